package broadcaster_test

import (
	"log/slog"
	"testing"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// reader is a connection that waits for its log.
type reader chan struct{}

func (r reader) Wake() {
	select {
	case r <- struct{}{}:
	default:
	}
}

func (r reader) End(error) {}

// An event is encoded once: whoever reads it is given the same frame.
func TestAllReadersAreGivenTheSameFrame(t *testing.T) {
	b, err := broadcaster.New(replayer.NewMemory(replayer.MemoryOptions{}), broadcaster.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	var logs []stream.Log
	var readers []reader
	for range 3 {
		r := make(reader, 1)
		if err := b.Register(r); err != nil {
			t.Fatal(err)
		}
		log, err := b.Subscribe(r, "orders")
		if err != nil {
			t.Fatal(err)
		}
		for !log.State().Synced {
			<-r
		}
		logs, readers = append(logs, log), append(readers, r)
	}
	at := logs[0].State().Head
	if _, err := b.BroadcastTo(t.Context(), stream.Message{Data: "1"}, "orders"); err != nil {
		t.Fatal(err)
	}
	var first *stream.Frame
	for i, log := range logs {
		var frames []*stream.Frame
		for len(frames) == 0 {
			<-readers[i]
			if frames, err = log.Read(at); err != nil {
				t.Fatal(err)
			}
		}
		if first == nil {
			first = frames[0]
		}
		if frames[0] != first {
			t.Errorf("reader %d was given a frame of its own", i)
		}
	}
}

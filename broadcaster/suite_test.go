package broadcaster_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// brokenBy names the defect of the Broadcaster that TestBroken runs the suite
// against.
const brokenBy = "TEST_BROKEN_BROADCASTER"

// defects are mistakes of a Broadcaster, each with a part of the name of the
// test that must notice.
var defects = map[string]string{
	"counts one too many":             "counted",
	"tells a connection twice":        "only force",
	"publishes after Close":           "Close ends",
	"ids in another order":            "stores once in each",
	"refuses and stores":              "stored nowhere",
	"mixes topics":                    "do not mix",
	"gives a frame twice":             "arrives once",
	"leaves a frame out":              "arrives once",
	"finds what is not there":         "Seek finds",
	"shares what it goes on to write": "for good",
}

// A suite that cannot fail proves nothing.
func TestTheSuiteFindsDefects(t *testing.T) {
	for defect, noticed := range defects {
		t.Run(defect, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestBroken$", "-test.failfast")
			cmd.Env = append(os.Environ(), brokenBy+"="+defect)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite did not notice")
			}
			if want := strings.ReplaceAll(noticed, " ", "_"); !strings.Contains(string(out), "--- FAIL: TestBroken/") || !strings.Contains(string(out), want) {
				t.Errorf("another test than that with %q failed:\n%s", noticed, out)
			}
		})
	}
}

// TestBroken is run by TestTheSuiteFindsDefects. On its own it shows that the
// wrapper without a defect passes.
func TestBroken(t *testing.T) {
	defect := os.Getenv(brokenBy)
	broadcastertest.Run(t, func(t testing.TB) broadcastertest.Harness {
		m := replayer.NewMemory(replayer.MemoryOptions{})
		return broadcastertest.Harness{
			Pod: func(o broadcaster.Options) broadcaster.Broadcaster {
				o.Logger = quiet
				b, err := broadcaster.New(m, o)
				if err != nil {
					t.Fatal(err)
				}
				return &broken{Broadcaster: b, store: m, defect: defect}
			},
			Add: func(topic stream.Topic, fields ...string) stream.ID {
				id, err := m.Store(context.Background(), topic, message(fields))
				if err != nil {
					t.Error(err)
				}
				return id
			},
			Read: m.Read,
		}
	})
}

// broken is a Broadcaster with a defect.
type broken struct {
	broadcaster.Broadcaster
	store  *replayer.Memory
	defect string
	closed bool
}

func (b *broken) ConnectionCount(ctx context.Context) (broadcaster.Count, error) {
	n, err := b.Broadcaster.ConnectionCount(ctx)
	if b.defect == "counts one too many" && n.Local > 1 {
		n.Local++
	}
	return n, err
}

func (b *broken) Unregister(c broadcaster.Conn, force bool) {
	b.Broadcaster.Unregister(c, force)
	if b.defect == "tells a connection twice" && force {
		c.End(broadcaster.ErrForced)
	}
}

func (b *broken) Close(ctx context.Context) error {
	b.closed = true
	return b.Broadcaster.Close(ctx)
}

func (b *broken) BroadcastTo(ctx context.Context, m stream.Message, topics ...stream.Topic) ([]stream.ID, error) {
	if b.defect == "publishes after Close" && b.closed {
		id, err := b.store.Store(ctx, topics[0], m)
		return []stream.ID{id}, err
	}
	ids, err := b.Broadcaster.BroadcastTo(ctx, m, topics...)
	switch {
	case b.defect == "ids in another order":
		slices.Reverse(ids)
	case b.defect == "refuses and stores" && err != nil && !b.closed:
		_, _ = b.store.Store(ctx, topics[0], stream.Message{Data: "refused"})
	}
	return ids, err
}

func (b *broken) Subscribe(c broadcaster.Conn, t stream.Topic) (stream.Log, error) {
	if b.defect == "mixes topics" && t == "a:b" {
		t = "a/b"
	}
	log, err := b.Broadcaster.Subscribe(c, t)
	switch b.defect {
	case "gives a frame twice", "leaves a frame out", "finds what is not there", "shares what it goes on to write":
		if err == nil {
			log = brokenLog{log, b.defect}
		}
	}
	return log, err
}

// brokenLog is a Log with a defect. It is comparable, as tests compare logs.
type brokenLog struct {
	stream.Log
	defect string
}

func (l brokenLog) Seek(id stream.ID) (stream.Position, error) {
	p, err := l.Log.Seek(id)
	if l.defect == "finds what is not there" && err != nil && id.Less(l.State().Head.ID) {
		return stream.Position{ID: id, Epoch: p.Epoch, Index: p.Index}, nil
	}
	return p, err
}

func (l brokenLog) Read(p stream.Position) ([]*stream.Frame, error) {
	switch {
	case l.defect == "gives a frame twice" && p.Index == 30:
		p.Index--
	case l.defect == "leaves a frame out" && p.Index >= 30:
		p.Index++
	}
	frames, err := l.Log.Read(p)
	if l.defect == "shares what it goes on to write" {
		frames = append(make([]*stream.Frame, 0, len(frames)+1), frames...)
	}
	return frames, err
}

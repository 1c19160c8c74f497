package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

var errNetwork = errors.New("simulated network error")

// slowStore is a Replayer in memory that counts, and hangs or fails when told
// to.
type slowStore struct {
	*replayer.Memory
	reads, seeks atomic.Int64
	gate         chan struct{} // if not nil, each read and seek takes one
	err          atomic.Value  // a failure of reads and seeks

	// What the Broadcaster sees: see liveStore.
	wrong    atomic.Bool   // no key holds a stream, for the history neither
	silence  chan struct{} // if not nil, reads wait until it is closed
	storeErr atomic.Value  // a failure of Store
}

type failure struct{ err error }

func newSlowStore() *slowStore {
	return &slowStore{Memory: replayer.NewMemory(replayer.MemoryOptions{MaxEvents: 100_000})}
}

func (s *slowStore) fail(err error) { s.err.Store(failure{err}) }

func (s *slowStore) pass(ctx context.Context) error {
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f, _ := s.err.Load().(failure); f.err != nil {
		return f.err
	}
	if s.wrong.Load() {
		return &stream.WrongTypeError{Key: "some key"}
	}
	return nil
}

func (s *slowStore) Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error) {
	s.reads.Add(1)
	if err := s.pass(ctx); err != nil {
		return stream.Page{}, err
	}
	return s.Memory.Read(ctx, t, at, upTo, limit)
}

func (s *slowStore) Seek(ctx context.Context, t stream.Topic, since replayer.Since) (stream.ID, error) {
	s.seeks.Add(1)
	if err := s.pass(ctx); err != nil {
		return stream.ID{}, err
	}
	return s.Memory.Seek(ctx, t, since)
}

// fill publishes n events and returns their ids.
func (s *slowStore) fill(t *testing.T, topic stream.Topic, n, size int) (ids []stream.ID) {
	t.Helper()
	for i := range n {
		id, err := s.Store(context.Background(), topic, stream.Message{Data: fmt.Sprintf("%d %*s", i, size, "")})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// liveStore is the store as the Broadcaster sees it. It counts nothing, and
// hangs and fails apart from the history's reading.
type liveStore struct{ *slowStore }

func (s liveStore) Store(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error) {
	if f, _ := s.storeErr.Load().(failure); f.err != nil {
		return stream.ID{}, f.err
	}
	return s.Memory.Store(ctx, t, m)
}

func (s liveStore) Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error) {
	if err := s.passLive(ctx, t); err != nil {
		return stream.Page{}, err
	}
	return s.Memory.Read(ctx, t, at, upTo, limit)
}

func (s liveStore) Bounds(ctx context.Context, t stream.Topic) (stream.Info, error) {
	if err := s.passLive(ctx, t); err != nil {
		return stream.Info{}, err
	}
	return s.Memory.Bounds(ctx, t)
}

func (s liveStore) passLive(ctx context.Context, t stream.Topic) error {
	if s.silence != nil {
		select {
		case <-s.silence:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if t == "wrong" || s.wrong.Load() {
		return &stream.WrongTypeError{Key: "sse:" + string(t)}
	}
	return nil
}

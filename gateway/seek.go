package gateway

import (
	"context"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// seekKey makes equal wishes share one seek.
type seekKey struct {
	topic stream.Topic
	since replayer.Since
}

type seek struct {
	done   bool
	ok     bool
	id     stream.ID
	born   time.Time
	wakers map[stream.Waker]struct{}
}

// seek returns the position that since stands for. If it is not known yet, w
// is woken when it is.
func (h *history) seek(t stream.Topic, since replayer.Since, w stream.Waker) (stream.ID, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return stream.ID{}, false
	}
	key := seekKey{t, since}
	k := h.seeks[key]
	if k == nil || k.done && (!k.ok || time.Since(k.born) > seekAge) {
		k = &seek{wakers: map[stream.Waker]struct{}{}}
		h.seeks[key] = k
		h.done.Go(func() { h.runSeek(key, k) })
	}
	if k.done {
		return k.id, true
	}
	k.wakers[w] = struct{}{}
	return stream.ID{}, false
}

// forgetSeek takes back what w has asked for: it has gone.
func (h *history) forgetSeek(t stream.Topic, since replayer.Since, w stream.Waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.seeks[seekKey{t, since}]; k != nil {
		delete(k.wakers, w)
	}
}

func (h *history) runSeek(key seekKey, k *seek) {
	var id stream.ID
	ok := h.retry(func(ctx context.Context) (err error) {
		id, err = h.replayer.Seek(ctx, key.topic, key.since)
		return err
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	// A key that is not a stream has no positions: begin at 0-0, and the log
	// says what is wrong.
	k.done, k.ok, k.id, k.born = true, ok || h.ctx.Err() == nil, id, time.Now()
	for w := range k.wakers {
		w.Wake()
	}
	k.wakers = nil
	if k.born.Sub(h.sought) < seekAge {
		return
	}
	h.sought = k.born
	for old, s := range h.seeks {
		if s.done && k.born.Sub(s.born) > seekAge {
			delete(h.seeks, old)
		}
	}
}

package broadcaster

import (
	"container/list"
	"context"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// queue holds the tails that want to be read, each once.
type queue struct {
	mu    sync.Mutex
	tails []*tail
	later []*tail       // got no answer, and wait
	kick  chan struct{} // capacity 1
}

func (q *queue) put(t *tail) {
	q.mu.Lock()
	q.tails = append(q.tails, t)
	q.mu.Unlock()
	signal(q.kick)
}

// putLater queues a tail that got no answer until retry. The others do not
// wait with it: what does not answer may be one key, or one node of a Cluster.
func (q *queue) putLater(t *tail) {
	q.mu.Lock()
	q.later = append(q.later, t)
	q.mu.Unlock()
	signal(q.kick)
}

func (q *queue) waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.later) > 0
}

func (q *queue) retry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tails = append(q.tails, q.later...)
	q.later = nil
}

// take returns at most n tails. It reuses dst.
func (q *queue) take(dst []*tail, n int) []*tail {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.tails))
	dst = append(dst[:0], q.tails[:n]...)
	rest := copy(q.tails, q.tails[n:])
	clear(q.tails[rest:])
	q.tails = q.tails[:rest]
	if rest > 0 {
		signal(q.kick)
	}
	return dst
}

const (
	maxBatch   = 1024    // tails in one read
	batchBytes = 4 << 20 // expected size of an answer
	maxPage    = 512     // entries of one tail in one read
)

// flush reads tails as long as any wants to be read. There is one read at a
// time, whoever has the turn, and no timer but for those that got no answer:
// while a read is under way wake-ups gather, so the busier the pod the larger
// its batches.
func (h *hub) flush(ctx context.Context) {
	var batch []*tail
	var retry <-chan time.Time // nil while none of them waits
	backoff := h.timing.MinBackoff
	for {
		if retry == nil && h.queue.waiting() {
			retry = time.After(backoff/2 + rand.N(backoff))
			backoff = min(2*backoff, h.timing.MaxBackoff)
		}
		select {
		case <-ctx.Done():
			return
		case <-h.queue.kick:
		case <-retry:
			retry = nil
			h.queue.retry()
		}
		if batch = h.queue.take(batch, maxBatch); len(batch) == 0 {
			continue
		}
		h.turn.Lock()
		ok := h.readBatch(ctx, batch)
		h.turn.Unlock()
		if ok && retry == nil && !h.queue.waiting() {
			backoff = h.timing.MinBackoff
		}
	}
}

// quiet is how long nothing must have been heard for the next wake-up to be
// read where it is heard. It is longer than a read takes, so that what has
// gathered behind one goes to the flusher, in one batch.
const quiet = 250 * time.Microsecond

// hear is wake for the goroutine that listens to Redis. When little happens
// it reads at once instead of waking the flusher, which is most of what the
// pod adds to the latency of a single event.
func (h *hub) hear(ctx context.Context, topic stream.Topic) {
	h.mu.RLock()
	t := h.tails[topic]
	h.mu.RUnlock()
	if t == nil {
		return
	}
	now := time.Now().UnixNano()
	alone := now-h.heard.Swap(now) > int64(quiet)
	switch {
	case !t.wake():
	case alone && h.turn.TryLock():
		h.readBatch(ctx, []*tail{t}) // after an error the tail is in the queue
		h.turn.Unlock()
	default:
		h.queue.put(t)
	}
}

// readBatch reads tails and wakes their connections. It reports whether the
// source answered.
func (h *hub) readBatch(ctx context.Context, batch []*tail) (ok bool) {
	var fresh, following []*tail
	var freshPlans, plans []plan
	var topics []stream.Topic
	var reads []tailRead
	for _, t := range batch {
		switch p := t.begin(); {
		case p.head:
			fresh, freshPlans, topics = append(fresh, t), append(freshPlans, p), append(topics, t.topic)
		default:
			following, plans = append(following, t), append(plans, p)
			reads = append(reads, tailRead{t.topic, p.at, pageLimit(len(batch), p.avg)})
		}
	}
	ok = true
	if len(reads) > 0 {
		for i, r := range h.source.pages(ctx, reads) {
			ok = h.apply(following[i], plans[i], r) && ok
		}
	}
	if len(topics) > 0 {
		heads, errs := h.source.heads(ctx, topics)
		for i, t := range fresh {
			ok = h.apply(t, freshPlans[i], result{head: heads[i], err: errs[i]}) && ok
		}
	}
	return ok
}

// pageLimit returns how many entries of avg bytes a tail may read in a batch of
// n. It is a power of two, so that tails with much the same load share a
// command.
func pageLimit(n, avg int) int {
	limit := min(max(batchBytes/n/max(avg, 64), 8), maxPage)
	return 1 << (bits.Len(uint(limit)) - 1)
}

// apply gives a result to its tail and tells everybody concerned.
func (h *hub) apply(t *tail, p plan, r result) (ok bool) {
	e := t.finish(p, r)
	if e.window {
		h.budget.note(t)
	}
	h.report(t, e)
	switch {
	case e.again && e.unanswered:
		h.queue.putLater(t)
	case e.again:
		h.queue.put(t)
	}
	if e.changed {
		t.subs.wake()
	}
	if e.unanswered {
		h.meters.readErrors.Add(context.Background(), 1)
		h.log.Debug("reading failed", "topic", t.topic, "error", r.err)
		return false
	}
	return true
}

// report counts and logs what a read brought.
func (h *hub) report(t *tail, e effect) {
	ctx := context.Background()
	if e.events > 0 {
		h.meters.events.Add(ctx, int64(e.events))
		h.meters.recordLag(e.newest)
	}
	for _, f := range e.faults {
		h.meters.unsendable(f.Fault)
	}
	if n := len(e.faults); n > 0 && t.mayLog(time.Now()) {
		f := e.faults[n-1]
		h.log.Warn("entry skipped", "topic", t.topic, "id", f.ID, "reason", string(f.Fault),
			"detail", f.Fault.Error(), "skipped", n)
	}
	if e.gap {
		h.meters.gaps.Add(ctx, 1)
		h.log.Warn("entries were trimmed before this pod read them: raise MAXLEN", "topic", t.topic)
	}
	if e.reset {
		h.meters.resets.Add(ctx, 1)
		h.log.Warn("the stream's history was replaced: its key was deleted, or Redis went back to an older copy", "topic", t.topic)
	}
	if e.failed != "" {
		h.log.Error("topic cannot be read", "topic", t.topic, "error", e.failed)
	}
}

// budget bounds the bytes in all windows. When they are too many, those
// windows are emptied that have had no event for longest: what they held is
// still in the stream.
type budget struct {
	max int64

	mu    sync.Mutex
	used  int64
	order list.List // of *tail, the one with the newest event last
}

// note counts a tail whose window has changed. Nothing waits while the lock is
// held; tails are locked inside it, never the other way round.
func (b *budget) note(t *tail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.dropped {
		return
	}
	b.count(t, t.size())
	if t.place == nil {
		t.place = b.order.PushBack(t)
	} else {
		b.order.MoveToBack(t.place)
	}
	for b.used > b.max && b.order.Len() > 0 {
		old := b.order.Front().Value.(*tail)
		old.evictAll()
		b.forget(old)
	}
}

func (b *budget) count(t *tail, bytes int) {
	b.used += int64(bytes - t.counted)
	t.counted = bytes
}

func (b *budget) forget(t *tail) {
	b.count(t, 0)
	if t.place != nil {
		b.order.Remove(t.place)
		t.place = nil
	}
}

// drop ends the counting of a tail that is no longer followed.
func (b *budget) drop(t *tail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t.dropped = true
	b.forget(t)
}

func (b *budget) bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

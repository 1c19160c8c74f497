package gateway

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sending bounds the bytes that are being written to clients at a time. When
// they are too many, because many clients have stopped taking them, those are
// ended that have been at it for longest, which loses nothing: they come back.
type sending struct {
	max   int64
	bytes atomic.Int64
	mu    sync.Mutex // held while looking for those to end
}

// write is what a connection is writing. Its zero value is nothing.
type write struct {
	bytes int64        // the writer's own
	since atomic.Int64 // Unix ns; 0 if nothing is being written, or it was given up
	mu    sync.Mutex   // held while that becomes 0, and so while the writer is cut
}

// begin counts bytes in and, if they are too many, makes room among open.
func (s *sending) begin(w *write, bytes int, open func(func(*session))) {
	w.bytes = int64(bytes)
	w.since.Store(time.Now().UnixNano())
	if s.bytes.Add(w.bytes) > s.max && s.mu.TryLock() {
		s.relieve(open)
		s.mu.Unlock()
	}
}

// relieve ends the stalest, and some more than it must, so that it is not
// called again for each client of many that stop at once.
func (s *sending) relieve(open func(func(*session))) {
	type stale struct {
		s     *session
		since int64
	}
	var all []stale
	open(func(o *session) {
		if at := o.writing.since.Load(); at != 0 {
			all = append(all, stale{o, at})
		}
	})
	slices.SortFunc(all, func(a, b stale) int { return cmp.Compare(a.since, b.since) })
	for _, o := range all {
		if s.bytes.Load() <= s.max-s.max/16 {
			return
		}
		s.giveUp(o.s, o.since)
	}
}

// giveUp ends a session for what it is writing, if it still is, and counts that
// out at once.
func (s *sending) giveUp(o *session, since int64) {
	w := &o.writing
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.Load() != since {
		return
	}
	w.since.Store(0)
	s.bytes.Add(-w.bytes)
	o.conclude(endOverload)
	o.notifier.cut(0)
}

// hurry lets a write that is under way not take long any more.
func (w *write) hurry(n notifier) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.Load() != 0 {
		n.cut(endGrace)
	}
}

// done counts a write out, if that has not been done.
func (s *sending) done(w *write) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.Swap(0) != 0 {
		s.bytes.Add(-w.bytes)
	}
}

package gateway

import (
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
	mu    sync.Mutex // held while looking for the one to end
}

// write is what a connection is writing. Its zero value is nothing.
type write struct {
	bytes int64        // the writer's own
	since atomic.Int64 // Unix ns; 0 if nothing is being written

	mu  sync.Mutex // held while cutting, so that a writer is not gone meanwhile
	cut func()     // makes the write that is under way fail
}

// begin counts bytes in and, if they are too many, ends the stalest of open.
func (s *sending) begin(w *write, bytes int, open func(func(*session))) {
	w.bytes = int64(bytes)
	w.since.Store(time.Now().UnixNano())
	if s.bytes.Add(w.bytes) <= s.max || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	var stalest *session
	var since int64
	open(func(o *session) {
		if at := o.writing.since.Load(); at != 0 && o.ended() == "" && (stalest == nil || at < since) {
			stalest, since = o, at
		}
	})
	if stalest != nil {
		stalest.writing.end(stalest, since)
	}
}

// end ends the session whose write it is, if it is still the same.
func (w *write) end(s *session, since int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.Load() == since {
		s.end(endOverload)
		w.cut()
	}
}

// done counts them out.
func (s *sending) done(w *write) {
	w.mu.Lock()
	w.since.Store(0)
	w.mu.Unlock()
	s.bytes.Add(-w.bytes)
}

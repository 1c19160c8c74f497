package broadcaster

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// tail follows one topic for all its connections. It is a state machine:
// wake, begin and finish change its state and do nothing else, so that the
// simulation runs it without Redis, goroutines or time.
//
//	         wake            begin                 finish
//	idle ───────────► dirty ───────► reading ─────────────────► idle
//	                   ▲                 │  more, error, or dirty again
//	                   └─────────────────┘
//
// Why no event is missed: an entry added before a read starts is in that
// read; one added later is announced after dirty was cleared, since begin
// clears it and finish does not. Every read begins at the entry that was read
// last, and that entry's presence in the answer proves that nothing was
// trimmed, deleted or forked in between.
type tail struct {
	topic    stream.Topic
	maxBytes int // of the window
	maxEntry int // of an entry

	view atomic.Pointer[view] // what readers see

	mu      sync.Mutex
	win     window
	synced  bool      // win.head is a position in the stream
	dirty   bool      // there may be something new
	queued  bool      // waits for the flusher
	reading bool      // a read is under way
	forking bool      // the last read found another history
	closed  bool      // the newest entry closes the topic
	unsure  bool      // closed was lost with a history: ask whether it is
	telling bool      // the answer was that there are newer entries, which tell
	fault   string    // why the topic cannot be read
	avg     int       // bytes of an entry, a moving average
	logged  time.Time // when an entry that cannot be sent was last logged

	subs subscribers

	idleSince time.Time // nobody follows since; zero if somebody does. Guarded by hub.mu

	// Guarded by budget.mu.
	place   *list.Element // in budget.order
	counted int           // bytes of the window in budget.used
	dropped bool          // no longer followed, and not counted
}

// plan is a read that a tail asks for.
type plan struct {
	head bool      // where the stream ends, not entries
	at   stream.ID // else: entries after this position, and its verdict
	avg  int       // expected bytes of an entry
}

// result is what a read brought.
type result struct {
	head stream.Info
	page stream.Page
	err  error
}

// effect is what a finished read changed, for those who count and log.
type effect struct {
	again      bool // the tail must be queued again
	unanswered bool // the source did not answer
	changed    bool // readers have something to look at
	events     int  // frames added that are sent
	window     bool // the window holds something else than before
	gap        bool
	reset      bool
	faults     []*frame // entries that cannot be sent
	newest     stream.ID
	failed     string // set when the topic's fault changed to this
}

// wake says that there may be something new. It reports whether the tail must
// be queued.
func (t *tail) wake() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
	return t.enqueue()
}

// enqueue marks the tail as queued, unless it is, or is being read: then
// finish tells.
func (t *tail) enqueue() bool {
	if t.queued || t.reading {
		return false
	}
	t.queued = true
	return true
}

// begin starts a read.
func (t *tail) begin() plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queued, t.dirty, t.reading = false, false, true
	at := t.win.head
	if t.forking {
		at = t.win.start
	}
	ask := t.unsure && !t.telling && !t.forking
	return plan{head: !t.synced || ask, at: at, avg: t.avg}
}

// finish takes the result of the read that begin planned.
func (t *tail) finish(p plan, r result) (e effect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next, bytes := t.win.next(), t.win.bytes
	t.reading = false
	if r.err != nil {
		t.fail(r.err, &e)
	} else {
		e.changed = t.fault != ""
		t.fault = ""
		switch {
		case !p.head:
			t.take(p, r.page, &e)
		case !t.synced:
			t.synced = true
			t.closed = r.head.Closed
			t.win.reset(r.head.LastGenerated, true)
			e.changed = true
		default:
			t.settle(r.head, &e)
		}
	}
	t.win.evict(t.maxBytes)
	t.publish()
	e.window = t.win.next() != next || t.win.bytes != bytes
	e.changed = e.changed || e.window || e.reset
	e.again = t.dirty && t.enqueue()
	return e
}

// fail notes why a read failed. A key of a wrong type is the topic's fault, and
// read again when something happens to the key. All else is the network's:
// nobody will say when it is back, so the tail stays dirty.
func (t *tail) fail(err error, e *effect) {
	var wrong *stream.WrongTypeError
	if !errors.As(err, &wrong) {
		t.dirty = true
		e.unanswered = true
		return
	}
	if t.fault == wrong.Error() {
		return
	}
	t.fault = wrong.Error()
	e.failed, e.changed = t.fault, true
}

// settle takes whether the newest entry of a new history closes the topic,
// unless there are entries that have not been read and will tell.
func (t *tail) settle(head stream.Info, e *effect) {
	t.dirty = true // what woke this read has not been looked at
	if t.telling = t.win.head.Less(head.LastGenerated); t.telling {
		return
	}
	t.unsure = false
	e.changed = e.changed || t.closed != head.Closed
	t.closed = head.Closed
}

// forked ends the history in the window. Whether the new one is closed is not
// known unless its entries tell.
func (t *tail) forked(f stream.Fork, p plan, page stream.Page, e *effect) {
	t.win.fork(f, p.at, page)
	t.closed, t.unsure = false, true
	t.dirty = true
	e.reset = true
}

// take adds a page to the window.
func (t *tail) take(pl plan, p stream.Page, e *effect) {
	t.telling = false
	switch {
	case t.forking:
		// Read again from the window's start: the position at which the two
		// histories part is where everybody beyond it has to go on.
		t.forking = false
		t.forked(t.win.agree(p), pl, p, e)
		return
	case p.Verdict == stream.Reset && t.win.len() > 0:
		t.forking = true
		t.dirty = true
		return
	case p.Verdict == stream.Reset:
		// Nothing is left to compare with: whoever read the old history must
		// be told.
		t.forked(stream.Fork{Restart: p.Start}, pl, p, e)
	case p.Verdict == stream.Gap:
		t.win.append(stream.GapFrame(t.win.head, p.Start))
		t.closed = false
		e.gap = true
	}
	for _, entry := range p.Entries {
		f := stream.Encode(entry, t.maxEntry)
		t.win.append(f)
		t.closed, t.unsure = f.Close, false
		if f.Kind == stream.KindSkip {
			e.faults = append(e.faults, f)
		} else {
			e.events++
		}
		t.avg += (entry.Size() + 64 - t.avg) / 4
		e.newest = f.ID
	}
	t.dirty = t.dirty || t.unsure || p.More
}

// evictAll empties the window when the pod is short of memory. Readers that
// are behind read from the Replayer.
func (t *tail) evictAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.win.evict(0)
	t.publish()
}

func (t *tail) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.win.bytes
}

// quiet reports whether no read is wanted or under way, and if so, the
// position that the tail has; nil if it has none.
func (t *tail) quiet() (at *stream.ID, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.queued || t.reading {
		return nil, false
	}
	if t.synced && t.fault == "" {
		head := t.win.head
		at = &head
	}
	return at, true
}

// mayLog allows one line a minute about entries that cannot be sent.
func (t *tail) mayLog(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.logged) < time.Minute {
		return false
	}
	t.logged = now
	return true
}

// The stream.Log that connections read. They read views, which are replaced
// and never changed: a thousand connections that read a new event wait neither
// for each other nor for the flusher.

// view is a tail as of its last change.
type view struct {
	window
	synced bool
	closed bool
	fault  string
}

// unread is the view of a tail that has not been read yet.
var unread view

// publish shows readers the tail as it is. t.mu is held.
func (t *tail) publish() {
	t.view.Store(&view{window: t.win, synced: t.synced, closed: t.closed, fault: t.fault})
}

func (t *tail) seen() *view {
	if v := t.view.Load(); v != nil {
		return v
	}
	return &unread
}

// Topic returns the topic that the tail follows.
func (t *tail) Topic() stream.Topic { return t.topic }

// State returns where the log stands.
func (t *tail) State() stream.LogState {
	v := t.seen()
	return stream.LogState{
		Synced: v.synced,
		Head:   stream.Position{ID: v.head, Epoch: v.epoch, Index: v.next()},
		Start:  v.start,
		Closed: v.closed,
		Fault:  v.fault,
	}
}

// Seek finds an id in the window.
func (t *tail) Seek(id stream.ID) (stream.Position, error) {
	v := t.seen()
	if !v.synced {
		return stream.Position{}, stream.ErrUnsynced
	}
	return v.seek(id)
}

// Read returns the frames after a position.
func (t *tail) Read(p stream.Position) ([]*stream.Frame, error) {
	v := t.seen()
	if !v.synced {
		return nil, stream.ErrUnsynced
	}
	frames, err := v.read(p)
	if err == nil && len(frames) == 0 && v.fault != "" {
		err = stream.ErrUnavailable
	}
	return frames, err
}

// Fork tells a reader of an earlier epoch where it goes on.
func (t *tail) Fork(epoch uint32) stream.Fork { return t.seen().since(epoch) }

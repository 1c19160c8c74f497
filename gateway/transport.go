package gateway

import (
	"net/http"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// The seam between cursors and sockets. A session says what its client is to
// be sent next and never waits; a transport owns the socket and never knows
// what it sends:
//
//	wake ─► transport:  b.reset()
//	                    more := session.next(b)    fills b, moves nothing
//	                    n := send(b.buf)           all, some or none
//	                    session.commit(b, n)       moves the positions
//
// What was filled in and not sent is filled in again, so a transport can stop
// at any byte, keep nothing of it, and go on later.

// transport makes connections of one kind.
type transport interface {
	// connect returns a connection for a request, or nil if it cannot be
	// served on this transport. Nothing has been sent before or is yet.
	connect(w http.ResponseWriter, r *http.Request) connection
}

// connection moves the bytes of a session to its client. The session is a part
// of it: most connections do nothing, and should be one object.
type connection interface {
	notifier

	// of returns the session, which the caller makes that of the request.
	of() *session

	// serve finishes the session, once, when its stream has ended. That may
	// be after serve has returned: it returns, or panics with
	// http.ErrAbortHandler, when it needs the request no longer.
	serve()
}

// notifier is where a session's connection hears of it. The methods do not
// block and may be called from any goroutine, also for nothing.
type notifier interface {
	notify()                 // there may be something to send
	cut(after time.Duration) // the session has ended: give up what is being written, if it takes longer
}

// state is what a session expects of its transport.
type state uint8

const (
	idle   state = iota // nothing to send until the next wake-up
	more                // there is more than fitted
	ending              // after these bytes the stream ends: see session.ended
)

// batch is what a session wants to be sent next. A transport has one for each
// goroutine that sends and uses it for all its sessions.
type batch struct {
	max   int  // bytes after which no further frame is added
	frame bool // in: write HTTP/1.1 chunked framing

	buf   []byte
	out   int    // so many bytes at the beginning are from the outbox
	marks []mark // of the frames behind them
	sent  int    // bytes of the first frame that the client has, and which are left out
	end   int    // where buf would end if there were room for all of the last frame

	delivered int // out: events that were committed, until the transport has counted them
}

// mark is the place in a batch behind a frame. It may be beyond the batch's
// end: a large frame goes out in parts, and nobody holds a copy of all of it.
type mark struct {
	end  int // offset in buf
	feed int // that moves
	id   stream.ID
}

// count adds what was delivered to the metrics. That is not done for each
// delivery: processors would spend more on sharing the counter than on it.
func (b *batch) count(m *meters) {
	if b.delivered > 0 {
		m.deliveries.Add(int64(b.delivered))
		b.delivered = 0
	}
}

// reset empties the batch for a session.
func (b *batch) reset() { b.buf, b.out, b.marks, b.sent, b.end = b.buf[:0], 0, b.marks[:0], 0, 0 }

// full reports whether no further frame should be added.
func (b *batch) full() bool { return len(b.buf) >= b.max }

// cut keeps the first n marks, and what belongs to them.
func (b *batch) cut(n int) {
	b.marks = b.marks[:n]
	b.end = b.marks[n-1].end
	b.buf = b.buf[:min(len(b.buf), b.end)]
}

// addOutbox puts bytes from the outbox at the beginning.
func (b *batch) addOutbox(p []byte) {
	b.buf = append(b.buf, p...)
	b.out = len(b.buf)
	b.end = b.out
}

// add appends a piece of a frame, but for what the client has, and as far as
// there is room: a batch gets at most as long again as it may be when a frame
// is added.
func (b *batch) add(p []byte) {
	has := min(b.sent, len(p))
	b.sent -= has
	p = p[has:]
	if b.end == len(b.buf) {
		b.buf = append(b.buf, p[:min(len(p), max(2*b.max-len(b.buf), 1))]...)
	}
	b.end += len(p)
}

// close marks the end of a frame. It reports whether there was room for all
// of it.
func (b *batch) close(feed int, id stream.ID) bool {
	b.marks = append(b.marks, mark{b.end, feed, id})
	return b.end == len(b.buf)
}

package gateway

import (
	"net/http"

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

// transport moves a session's bytes to its client until the session ends.
type transport interface {
	// serve owns w and r until the stream has ended, and says why it has.
	serve(w http.ResponseWriter, r *http.Request, s *session) end
}

// notifier is told that a session has something to send. Its method does not
// block and may be called from any goroutine, also for nothing.
type notifier interface{ notify() }

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

	frames []*stream.Frame // scratch
}

// mark is a place in a batch up to which all is sent or nothing.
type mark struct {
	end  int // offset in buf
	feed int // that moves
	id   stream.ID
}

func (b *batch) reset() {
	clear(b.frames)
	b.buf, b.out, b.marks, b.frames = b.buf[:0], 0, b.marks[:0], b.frames[:0]
}

// full reports whether no further frame should be added.
func (b *batch) full() bool { return len(b.buf) >= b.max }

// cut keeps the first n marks, and what belongs to them.
func (b *batch) cut(n int) {
	b.marks = b.marks[:n]
	b.buf = b.buf[:b.marks[n-1].end]
}

// put appends bytes that are not framed yet.
func (b *batch) put(p []byte) {
	if b.frame {
		b.buf = stream.AppendChunk(b.buf, p)
		return
	}
	b.buf = append(b.buf, p...)
}

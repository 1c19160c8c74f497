package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// portable is the transport for any http.ResponseWriter: HTTP/1.0, HTTP/1.1
// and HTTP/2, with TLS and middleware, on every system. The request's own
// goroutine writes; net/http frames.
type portable struct {
	heartbeat    time.Duration
	writeTimeout time.Duration
	firstWait    time.Duration
}

const (
	portableBatch = 32 << 10  // bytes after which a batch gets no further frame
	portableKeep  = 256 << 10 // a larger buffer is not kept for the next batch
	portableSlice = 16 << 10  // bytes that a client must take within the write time-out
)

// batches are shared by the connections of the portable transport, which need
// one only while they send.
var batches = sync.Pool{New: func() any { return &batch{max: portableBatch} }}

func newPortable(o *Options) portable {
	return portable{heartbeat: o.beat(), writeTimeout: o.WriteTimeout, firstWait: o.FirstWait}
}

func (p portable) connect(w http.ResponseWriter, r *http.Request) connection {
	return &portableConn{
		portable: p, w: w, r: r,
		rc:   http.NewResponseController(w),
		wake: make(chan struct{}, 1),
	}
}

// portableConn is a stream on the portable transport.
type portableConn struct {
	portable
	w       http.ResponseWriter
	r       *http.Request
	rc      *http.ResponseController
	s       session
	wake    chan struct{}
	beat    bool // a heartbeat is due
	started bool // the headers have been sent
}

func (c *portableConn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *portableConn) of() *session { return &c.s }

func (c *portableConn) cut(after time.Duration) {
	_ = c.rc.SetWriteDeadline(time.Now().Add(after))
}

func (c *portableConn) serve() {
	// Also when a panic of a program's ResponseWriter passes through here.
	why := endWrite
	defer func() { c.s.finish(why) }()
	// A program's server may limit how long a request is read. A stream has
	// been read, and goes on.
	_ = c.rc.SetReadDeadline(time.Time{})
	if why = c.run(); !why.clean() {
		// A response that is complete would mean that nothing more will come.
		// Cutting it makes every client come back; also one that is said to
		// have gone, since a request's context ends for other reasons too.
		panic(http.ErrAbortHandler)
	}
}

func (c *portableConn) run() end {
	beat := time.NewTimer(c.firstWait)
	defer beat.Stop()
	var lifetime <-chan time.Time
	if d := c.s.g.opt.Lifetime; d > 0 {
		t := time.NewTimer(between(d-d/10, d))
		defer t.Stop()
		lifetime = t.C
	}
	for {
		sent, done, why := c.send()
		if done {
			return why
		}
		if sent {
			beat.Reset(c.heartbeat)
		}
		select {
		case <-c.wake:
		case <-beat.C:
			// The first time it is not a heartbeat but the headers' having
			// waited long enough. They go out with a sign of life.
			c.beat = true
			beat.Reset(c.heartbeat)
		case <-lifetime:
			c.s.end(endLifetime)
		case <-c.r.Context().Done():
			return endClient
		}
	}
}

// send sends everything there is. It returns whether there was anything, and
// if the stream has ended, why.
func (c *portableConn) send() (sent, done bool, why end) {
	b := batches.Get().(*batch)
	defer func() {
		if cap(b.buf) <= portableKeep {
			b.reset()
			batches.Put(b)
		}
	}()
	for {
		b.reset()
		if c.beat {
			c.beat = false
			c.s.heartbeat(b)
		}
		state := c.s.next(b)
		if len(b.buf) > 0 {
			c.s.g.sending.begin(&c.s.writing, len(b.buf), c.s.g.each)
			why := c.write(b.buf)
			c.s.g.sending.done(&c.s.writing)
			if why != "" {
				return sent, true, why
			}
			c.s.commit(b, len(b.buf))
			b.count(c.s.g.meters)
			sent = true
		}
		switch {
		case state == ending:
			c.start()
			return sent, true, c.s.ended()
		case state == idle:
			return sent, false, ""
		}
	}
}

// start sends the headers, if they have not been.
func (c *portableConn) start() {
	if !c.started {
		c.started = true
		streamHeaders(c.w.Header())
		c.w.WriteHeader(http.StatusOK)
	}
}

// write sends p and waits until the kernel has taken it. It returns why the
// stream ended, if it has. The time-out is for each slice: a slow client may
// take long over a large event, if only it takes something.
func (c *portableConn) write(p []byte) end {
	c.start()
	for len(p) > 0 {
		n := min(len(p), portableSlice)
		deadline := time.Now().Add(c.writeTimeout)
		// Not every writer has deadlines. Then its server's time-outs hold.
		_ = c.rc.SetWriteDeadline(deadline)
		if c.s.ended().cut() { // and may have set a nearer one just before
			c.cut(endGrace)
		}
		_, err := c.w.Write(p[:n])
		if p = p[n:]; err == nil && len(p) == 0 {
			err = c.rc.Flush()
		}
		switch {
		case err == nil:
		case c.s.ended().cut():
			return c.s.ended()
		case time.Now().Before(deadline): // HTTP/2 does not say that it was the deadline
			return endWrite
		default:
			return endTimeout
		}
	}
	// On HTTP/2 a deadline that expires resets the stream, even if nothing
	// is being written.
	_ = c.rc.SetWriteDeadline(time.Time{})
	return ""
}

func streamHeaders(h http.Header) {
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
}

// canStream reports whether w, or what it wraps, can be flushed.
func canStream(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case http.Flusher:
			return true
		case interface{ FlushError() error }:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

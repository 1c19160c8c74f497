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

// signal is a notifier that its goroutine can wait for.
type signal chan struct{}

func (s signal) notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func (p portable) serve(w http.ResponseWriter, r *http.Request, s *session) end {
	wake := s.notifier.(signal)
	c := &portableConn{portable: p, w: w, rc: http.NewResponseController(w), s: s}
	s.writing.cut = func() { _ = c.rc.SetWriteDeadline(time.Now()) }
	// A program's server may limit how long a request is read. A stream has
	// been read, and goes on.
	_ = c.rc.SetReadDeadline(time.Time{})

	beat := time.NewTimer(p.firstWait)
	defer beat.Stop()
	var lifetime <-chan time.Time
	if d := s.g.opt.Lifetime; d > 0 {
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
			beat.Reset(p.heartbeat)
		}
		select {
		case <-wake:
		case <-beat.C:
			// The first time it is not a heartbeat but the headers' having
			// waited long enough. They go out with a sign of life.
			c.beat = true
			beat.Reset(p.heartbeat)
		case <-lifetime:
			s.end(endLifetime)
		case <-r.Context().Done():
			return endClient
		}
	}
}

// portableConn is a stream on a portable transport.
type portableConn struct {
	portable
	w       http.ResponseWriter
	rc      *http.ResponseController
	s       *session
	beat    bool // a heartbeat is due
	started bool // the headers have been sent
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
			sent = true
		}
		switch {
		case state == ending:
			return sent, true, c.s.ended()
		case state == idle:
			return sent, false, ""
		}
	}
}

// write sends p and waits until the kernel has taken it. It returns why the
// stream ended, if it has. The time-out is for each slice: a slow client may
// take long over a large event, if only it takes something.
func (c *portableConn) write(p []byte) end {
	if !c.started {
		c.started = true
		streamHeaders(c.w.Header())
		c.w.WriteHeader(http.StatusOK)
	}
	for len(p) > 0 {
		n := min(len(p), portableSlice)
		deadline := time.Now().Add(c.writeTimeout)
		// Not every writer has deadlines. Then its server's time-outs hold.
		_ = c.rc.SetWriteDeadline(deadline)
		_, err := c.w.Write(p[:n])
		if p = p[n:]; err == nil && len(p) == 0 {
			err = c.rc.Flush()
		}
		switch {
		case err == nil:
		case c.s.ended() == endOverload:
			return endOverload
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

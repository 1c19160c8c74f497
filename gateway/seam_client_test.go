package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httputil"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// simConn is a connection as a transport has it: a session, a batch, and a
// socket that takes as many bytes as the schedule says. It calls next only
// when it was woken, when more was promised, or when the socket was full.
type simConn struct {
	pod    *simPod
	client *simClient
	s      *session
	b      batch

	woken   atomic.Bool // also by the history's goroutines
	pending bool
	over    bool
	spins   int    // calls of next in a row that brought nothing
	wire    []byte // what the socket has taken

	delivered int // by the meter
}

func (c *simConn) notify() {
	if !c.client.sim.d.deafToHistory || !c.client.sim.delivering {
		c.woken.Store(true)
	}
}

func (c *simConn) cut(time.Duration) {}

func (c *simConn) runnable() bool { return !c.over && (c.woken.Load() || c.pending) }

// send does what a transport does, once. take is how much the socket takes of
// n bytes.
func (c *simConn) send(beat bool, take func(n int) int) {
	d := c.client.sim.d
	c.woken.Store(false)
	c.b.reset()
	if beat {
		c.s.heartbeat(&c.b)
	}
	half := c.s.part.bytes > 0
	state := c.s.next(&c.b)
	n := take(len(c.b.buf))
	if beat && half && d.beatInside {
		c.wire = append(c.wire, ":\n"...)
	}
	c.wire = append(c.wire, c.b.buf[:n]...)
	switch {
	case d.commitAll:
		c.s.commit(&c.b, len(c.b.buf))
	case d.commitLess && n > 1:
		c.s.commit(&c.b, n-1)
	default:
		c.s.commit(&c.b, n)
	}
	c.delivered += c.b.delivered
	c.b.delivered = 0
	if d.partForgotten {
		c.s.part.bytes = 0
	}
	if d.staleSuffix && c.s.multi != nil && len(c.s.multi.suffix) > 0 {
		c.s.multi.of = len(c.s.feeds) - 1
	}
	c.pending = n < len(c.b.buf) || state == more
	if c.spins++; n > 0 || !c.pending {
		c.spins = 0
	}
	switch {
	case c.spins > 2000:
		c.client.fault("next promises more and has nothing, again and again")
		c.over = true
	case state == ending && n == len(c.b.buf):
		c.over = true
		if c.s.part.bytes > 0 && c.restIsThere() {
			c.client.fault("ended (%s) inside an event that could have been finished", c.s.ended())
		}
	}
}

// restIsThere reports whether the log has the rest of a half-sent frame.
func (c *simConn) restIsThere() bool {
	f := &c.s.feeds[c.s.part.feed]
	p, err := f.log.Seek(f.pos.ID)
	if err != nil {
		return false
	}
	frames, err := f.log.Read(p)
	return err == nil && len(frames) > 0 && frames[0].ID == c.s.part.id
}

// checkLive checks that a connection at rest reads the logs that all share. One
// may be ahead of a log, if the newest entry was deleted before that read it.
func (c *simConn) checkLive() {
	for i := range c.s.feeds {
		if f := &c.s.feeds[i]; f.step != live && !f.log.State().Head.ID.Less(f.pos.ID) {
			c.client.fault("topic %s at rest is not live: %d at %v, log %+v", f.topic(), f.step, f.pos.ID, f.log.State())
		}
	}
}

// simClient is a client that comes back, to any pod, with an id that it has
// received.
type simClient struct {
	sim     *seamSim
	name    int
	topics  []stream.Topic
	form    stream.Form
	control bool
	since   *replayer.Since

	conn *simConn
	got  []simEvent // since it first came
}

// simEvent is an event that a client has received.
type simEvent struct {
	cursor string
	at     map[stream.Topic]stream.ID // what cursor stands for
	topic  stream.Topic
	kind   string // controlOpen, …; "" for an entry
	entry  simEntry
	to     stream.ID // of a control event
}

func (c *simClient) fault(format string, args ...any) {
	if c.sim.fault == "" {
		c.sim.fault = fmt.Sprintf("client %d: ", c.name) + fmt.Sprintf(format, args...)
	}
}

// connect opens a connection to a pod. The topics stand in any order.
func (c *simClient) connect(p *simPod) {
	rnd := c.sim.rnd
	rnd.Shuffle(len(c.topics), func(i, j int) { c.topics[i], c.topics[j] = c.topics[j], c.topics[i] })
	sub := &subscription{topics: c.topics, form: c.form, control: c.control, since: c.since}
	if n := len(c.got); n > 0 {
		if rnd.IntN(4) == 0 {
			n = 1 + rnd.IntN(n) // any id that it has received will do
			c.got = c.got[:n]
		}
		cursor := c.got[n-1].cursor
		if c.sim.d.resumeAtHead {
			cursor = ""
			for _, t := range c.topics[:1] {
				cursor = c.sim.stream(t).last.String()
			}
		}
		var err error
		if sub.cursor, err = stream.ParseCursor(cursor); err != nil {
			c.fault("id %q: %v", c.got[n-1].cursor, err)
			return
		}
		sub.hasCursor = true
	}
	conn := &simConn{pod: p, client: c, b: batch{max: 1 + rnd.IntN(500), frame: rnd.IntN(2) == 0}, pending: true}
	conn.s = newSession(p.g, sub)
	conn.s.notifier = conn
	if err := conn.s.follow(sub.topics); err != nil {
		c.fault("%v", err)
	}
	c.conn = conn
	c.sim.logf("client %d: connects to pod %d, topics %v, cursor %v", c.name, p.number(), c.topics, sub.cursor)
}

// disconnect ends the connection after the first n bytes on the wire, and
// takes in what the client makes of them.
func (c *simClient) disconnect(n int) {
	conn := c.conn
	c.conn = nil
	conn.s.close()
	wire := conn.wire[:n]
	text, whole := wire, true
	if conn.b.frame {
		var err error
		text, err = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire)))
		if err != io.ErrUnexpectedEOF {
			c.fault("chunked framing: %v in %q", err, wire)
		}
		rest, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(append(bytes.Clone(wire), "0\r\n\r\n"...))))
		whole = err == nil && len(rest) == len(text)
	}
	inside := c.lines(string(text))
	if why := conn.s.ended(); conn.over && n == len(conn.wire) && conn.s.part.bytes == 0 {
		// What the gateway ended ends between frames, with the time to wait.
		if !whole || inside || !regexp.MustCompile(`(^|\n)retry: \d+\n$`).Match(text) {
			c.fault("ended (%s) by %q", why, text[max(0, len(text)-80):])
		}
	}
	c.sim.logf("client %d: disconnected (%v), %d bytes", c.name, conn.s.ended(), n)
	first := len(c.got)
	d := sse.NewDecoder(bytes.NewReader(text))
	for e, err := d.Decode(); err == nil; e, err = d.Decode() {
		c.take(e, first)
	}
	if n == len(conn.wire) {
		c.checkDeliveries(conn, c.got[first:])
	}
}

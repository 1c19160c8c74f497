package gateway

import (
	"golang.org/x/sys/unix"
)

// What a shard does with one of its connections:
//
//	adopt ─► open ◄─► blocked        the socket is full; epoll tells when it is not
//	          │  └───────┴──► drop   gone, broken or timed out
//	          └─► leaving ──► drop   all has been sent; the client may read it

// pump sends a connection what its session has for it.
func (sh *shard) pump(c *directConn) {
	c.queued.Store(false)
	switch {
	case c.fd < 0 || c.leaving:
		return
	case c.blocked:
		if c.hopeless.Load() {
			sh.abandon(c, c.s.ended())
		}
		return
	}
	b := &sh.batch
	b.reset()
	b.frame = c.chunked
	state := ending
	if !c.final {
		if c.beat {
			c.beat = false
			c.s.heartbeat(b)
		}
		state = c.s.next(b)
	}
	p, last := b.buf, ""
	if state == ending && !c.final && c.chunked && c.s.ended().clean() {
		last = lastChunk
	}
	switch {
	case len(p) == 0 && state != ending:
		if state == more {
			sh.schedule(c)
		}
		return // the headers wait for the first bytes
	case len(c.raw) > 0 || last != "":
		sh.buf = append(append(append(sh.buf[:0], c.raw...), p...), last...)
		p = sh.buf
	}
	n, ok := sh.send(c, p)
	if !ok {
		return
	}
	full := n < len(p)
	n -= c.skipRaw(n)
	if !c.final {
		sent := min(n, len(b.buf))
		c.s.commit(b, sent)
		if state == ending && len(c.raw) == 0 && sent == len(b.buf) {
			c.final = true
			c.raw = []byte(last[n-sent:])
		}
	}
	switch {
	case full:
		sh.block(c)
	case state == ending:
		sh.leave(c)
	case state == more:
		sh.schedule(c)
	}
}

// skipRaw notes that of n bytes the first were raw ones, and returns how many.
func (c *directConn) skipRaw(n int) int {
	n = min(n, len(c.raw))
	if c.raw = c.raw[n:]; len(c.raw) == 0 {
		c.raw = nil
	}
	return n
}

// send sends p, or a part of it. It reports false if the connection broke, and
// has been dropped.
func (sh *shard) send(c *directConn, p []byte) (n int, ok bool) {
	if len(p) == 0 {
		return 0, true
	}
	n, err := send(c.fd, p)
	switch err {
	case 0:
		sh.slots[c.slot].last = sh.now
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		// Without memory the kernel does not say when there is some again. The
		// time-out ends the stream, if no acknowledgement comes before.
	case unix.ETIMEDOUT:
		sh.drop(c, endTimeout)
		return 0, false
	default:
		sh.drop(c, endWrite)
		return 0, false
	}
	return n, true
}

// block waits until the client takes something.
func (sh *shard) block(c *directConn) {
	c.blocked = true
	if !c.armed {
		// Most connections never come here, and are spared the events of a
		// socket that is writable.
		if c.armed = sh.watch(c, unix.EPOLL_CTL_MOD, evWatch|unix.EPOLLOUT); !c.armed {
			sh.abandon(c, endWrite)
			return
		}
	}
	sh.g.sending.begin(&c.s.writing, stalled, sh.g.each)
}

func (sh *shard) unblock(c *directConn) {
	c.blocked = false
	sh.g.sending.done(&c.s.writing)
}

// event takes what epoll says of a connection.
func (sh *shard) event(e unix.EpollEvent) {
	s := sh.slots[e.Fd]
	if s.c == nil || s.gen != e.Pad {
		return // it was closed before the event was read
	}
	c := s.c
	switch {
	case e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0:
		why := endClient
		if socketError(c.fd) == unix.ETIMEDOUT {
			why = endTimeout
		}
		sh.drop(c, why)
	case e.Events&unix.EPOLLRDHUP != 0:
		sh.drop(c, endClient)
	case e.Events&unix.EPOLLOUT != 0 && c.blocked:
		sh.unblock(c)
		sh.schedule(c)
	}
}

// sweep looks for connections for which it is time to do something.
func (sh *shard) sweep() {
	o := &sh.g.opt
	sh.swept = sh.now
	for i := range sh.slots {
		s := &sh.slots[i]
		if s.c == nil {
			continue
		}
		silent := sh.now - s.last
		if s.dies > 0 && sh.now >= s.dies {
			s.dies = 0
			s.c.s.end(endLifetime)
		}
		switch {
		case silent >= o.beat()-sh.period && !s.c.blocked && !s.c.leaving:
			s.c.beat = true
			sh.schedule(s.c)
		case silent >= lingerTime && s.c.leaving:
			sh.drop(s.c, endClient)
		case silent >= endGrace && s.c.blocked && s.c.s.ended().cut():
			sh.abandon(s.c, s.c.s.ended()) // its last words would not arrive
		case silent >= o.WriteTimeout && s.c.blocked:
			sh.abandon(s.c, endTimeout)
		}
	}
}

// leave ends a stream of which everything has been sent. The socket is closed
// once the client has seen that, so that it gets what is on its way.
func (sh *shard) leave(c *directConn) {
	sh.finish(c, c.s.ended())
	c.leaving = true
	sh.slots[c.slot].last = sh.now
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR) // or it is gone already
}

func (sh *shard) finish(c *directConn, why end) {
	sh.g.direct.open.Add(-1)
	c.s.finish(why)
}

// abandon ends a stream whose client does not take what is there for it.
func (sh *shard) abandon(c *directConn, why end) {
	reset(c.fd)
	sh.drop(c, why)
}

// drop closes a connection and, unless that has been done, finishes its session.
func (sh *shard) drop(c *directConn, why end) {
	if c.blocked {
		sh.unblock(c)
	}
	if c.leaving {
		discard(c.fd, sh.discarded[:], lingerDrain)
	} else {
		sh.finish(c, why)
	}
	_ = unix.Close(int(c.fd))
	sh.slots[c.slot].c = nil
	sh.free = append(sh.free, c.slot)
	c.fd, c.raw = -1, nil
}

// closeAll ends what is left when the gateway is closed.
func (sh *shard) closeAll() {
	sh.collect()
	for i := range sh.slots {
		if c := sh.slots[i].c; c != nil {
			sh.drop(c, endShutdown)
		}
	}
	_ = sh.epoll.Close()
}

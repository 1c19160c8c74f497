package integration

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// cutConn is a connection that breaks after a number of bytes from the
// server, or after a time, unless the proof has settled by then.
type cutConn struct {
	net.Conn
	cut     cutPlan
	left    int64
	settled <-chan struct{}
	timer   *time.Timer
}

var errCut = errors.New("cut by the plan")

func newCutConn(raw net.Conn, cut cutPlan, settled <-chan struct{}) *cutConn {
	c := &cutConn{Conn: raw, cut: cut, left: cut.bytes, settled: settled}
	c.timer = time.AfterFunc(cut.after, func() {
		if !c.spared() {
			c.breakOff()
		}
	})
	return c
}

// Read hands on exactly the bytes before the cut.
func (c *cutConn) Read(b []byte) (int, error) {
	if c.cut.bytes > 0 && !c.spared() {
		if c.left == 0 {
			c.breakOff()
			return 0, errCut
		}
		b = b[:min(int64(len(b)), c.left)]
	}
	n, err := c.Conn.Read(b)
	c.left = max(0, c.left-int64(n))
	return n, err
}

func (c *cutConn) spared() bool {
	select {
	case <-c.settled:
		return true
	default:
		return false
	}
}

func (c *cutConn) breakOff() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && c.cut.reset {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (c *cutConn) stop() { c.timer.Stop() }

// slowConn stops reading at times, until the proof has settled.
type slowConn struct {
	net.Conn
	rng     *rand.Rand
	left    int64 // bytes to the next stall
	stall   time.Duration
	settled <-chan struct{}
}

func newSlowConn(c *cutConn, rng *rand.Rand, settled <-chan struct{}) *slowConn {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		// What it does not read is the pod's to hold. Below a segment of
		// loopback, 64 KiB, TCP sends by its timers alone.
		_ = tcp.SetReadBuffer(64 << 10)
	}
	s := &slowConn{Conn: c, rng: rng, settled: settled}
	s.left, s.stall = nextStall(rng)
	return s
}

func (s *slowConn) Read(b []byte) (int, error) {
	if s.left <= 0 {
		select {
		case <-time.After(s.stall):
		case <-s.settled:
		}
		s.left, s.stall = nextStall(s.rng)
	}
	n, err := s.Conn.Read(b)
	s.left -= int64(n)
	return n, err
}

package embedded

import (
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// maxOutput is how many bytes wait for a client that does not read, before
	// its connection is closed, as Redis does with its
	// client-output-buffer-limit.
	maxOutput = 256 << 20

	// drainTime is how long a connection being closed may take to send what
	// has been written.
	drainTime = time.Second
)

var errOutputFull = errors.New("embedded: the client does not read")

// conn is a connection on which Write never waits. miniredis writes while it
// holds the lock of the whole server, so one client that does not read would
// stop all of it.
type conn struct {
	net.Conn

	mu      sync.Mutex
	more    sync.Cond // pending or closing has changed
	pending []byte
	closing bool
	err     error // that ended the writing
}

// newConn wraps c. The caller runs send.
func newConn(c net.Conn) *conn {
	w := &conn{Conn: c}
	w.more.L = &w.mu
	return w
}

// Write takes b in. It fails once the connection has failed or been closed.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closing:
		return 0, net.ErrClosed
	case len(c.pending)+len(b) > maxOutput:
		c.err = errOutputFull
		_ = c.Conn.Close()
		c.more.Signal()
		return 0, c.err
	}
	c.pending = append(c.pending, b...)
	c.more.Signal()
	return len(b), nil
}

// Close ends reading at once, and writing when all has been sent.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing = true
		now := time.Now()
		_ = c.Conn.SetReadDeadline(now)
		_ = c.Conn.SetWriteDeadline(now.Add(drainTime))
		c.more.Signal()
	}
	return nil
}

// send writes what Write took in, until the connection is closed or fails.
func (c *conn) send() {
	defer func() { _ = c.Conn.Close() }()
	var batch []byte
	for {
		c.mu.Lock()
		for len(c.pending) == 0 && !c.closing && c.err == nil {
			c.more.Wait()
		}
		if c.err != nil || len(c.pending) == 0 {
			c.mu.Unlock()
			return
		}
		batch, c.pending = c.pending, batch[:0]
		c.mu.Unlock()
		if _, err := c.Conn.Write(batch); err != nil {
			c.mu.Lock()
			if c.err == nil {
				c.err = err
			}
			c.pending = nil
			c.mu.Unlock()
			return
		}
		if cap(batch) > 1<<20 {
			batch = nil
		}
	}
}

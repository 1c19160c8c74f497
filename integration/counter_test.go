package integration

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// numbered is the n-th event of a test that counts them: its data, padded.
func numbered(n, size int) string {
	s := strconv.Itoa(n) + " "
	return s + strings.Repeat("x", size-len(s))
}

// number is what numbered was given.
func number(data string) int {
	n, err := strconv.Atoi(strings.SplitN(data, " ", 2)[0])
	if err != nil {
		return -1
	}
	return n
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// narrow returns what connects with a small receive buffer, so that a client
// which does not read fills it soon. One that will read on on the same
// connection should have smallest or more.
func narrow(size int) dialer {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, size) })
	}}
	return d.DialContext
}

// smallest is a segment of loopback. With a buffer below that, TCP sends by its
// timers alone.
const smallest = 64 << 10

// counter is a client of numbered events. It reports each that is not the
// next one.
type counter struct {
	ask    rig.Ask
	stream *rig.Stream
	got    atomic.Int64 // the next one's number
}

// open connects, from where the counter was, and reads the first block.
func (c *counter) open(ctx context.Context, pod *rig.Pod) (err error) {
	if c.stream, err = rig.Open(ctx, pod.Addr, c.ask); err != nil {
		return err
	}
	if e, err := c.stream.Next(); err != nil || e.Type != "gateway.open" {
		return fmt.Errorf("want gateway.open, got %+v, %w", e, err)
	}
	return nil
}

// read reads until event number upTo has come, or the stream ends. Only
// events out of turn are an error.
func (c *counter) read(upTo int64) error {
	for c.got.Load() <= upTo {
		e, err := c.stream.Next()
		if err != nil {
			return nil //nolint:nilerr // how a stream ends is not for this to judge
		}
		if n := int64(number(e.Data)); n != c.got.Load() || strings.HasPrefix(e.Type, "gateway.") {
			return fmt.Errorf("want event %d, got %s %.40q", c.got.Load(), e.Type, e.Data)
		}
		c.got.Add(1)
		c.ask.LastEventID = e.ID
	}
	return nil
}

// complete reads on, up to the last of n events, which must come on this
// connection.
func (c *counter) complete(n int) error {
	if err := c.read(int64(n - 1)); err != nil || c.got.Load() != int64(n) {
		return fmt.Errorf("got up to event %d of %d, %w", c.got.Load(), n, err)
	}
	return nil
}

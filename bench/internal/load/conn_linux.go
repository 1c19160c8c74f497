package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// conn is one connection.
type conn struct {
	*group
	number int // in its group
	mode   Mode
	fd     int
	job    *job // that waits for it to open
	dialed time.Time

	request         []byte // not sent yet
	scanner         wire.Scanner
	partial         []byte // of a PubSub message
	opened, stopped bool
	segmentsBefore  uint32

	// Position:
	lastID []byte
	known  bool   // what is expected
	expect uint64 // number of the next event
}

// renew makes it as it is before the first byte, but for its position.
func (c *conn) renew() {
	c.scanner, c.partial, c.opened, c.stopped, c.segmentsBefore = wire.Scanner{}, nil, false, false, 0
	switch c.mode {
	case Raw:
		c.scanner.SkipHead()
	case PubSub:
		c.request = []byte("SUBSCRIBE " + PubSubChannel + "\r\n")
	default:
		c.request = c.get()
	}
}

func (c *conn) get() []byte {
	b := []byte("GET /events?")
	for i := range c.connect.PerConnection {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, "topic="...)
		b = append(b, c.connect.Prefix...)
		b = strconv.AppendInt(b, int64((c.connect.First+c.number*c.connect.PerConnection+i)%c.connect.Topics), 10)
	}
	b = append(b, " HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n"...)
	if len(c.lastID) > 0 {
		b = append(b, "Last-Event-ID: "...)
		b = append(b, c.lastID...)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// dial begins to connect. Its errors are those of the whole process; what
// happens to the connection is told to the job.
func (c *conn) dial() (err error) {
	addr, err := net.ResolveTCPAddr("tcp4", c.connect.Addr)
	if err != nil {
		return err
	}
	if c.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if size := c.connect.ReceiveBuffer; size > 0 {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); err != nil {
			return fmt.Errorf("SO_RCVBUF: %w", err)
		}
	}
	if c.mode != PubSub { // Redis in protected mode knows only one local address
		if err := c.bind(); err != nil {
			return err
		}
	}
	c.dialed = time.Now()
	to := &unix.SockaddrInet4{Port: addr.Port, Addr: [4]byte(addr.IP.To4())}
	if err := unix.Connect(c.fd, to); err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("connect: %w", err)
	}
	for len(c.conns) <= c.fd {
		c.conns = append(c.conns, nil)
	}
	c.conns[c.fd] = c
	c.live[c] = struct{}{}
	return c.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN|unix.EPOLLOUT)
}

// bind chooses one of many source addresses, so that ports which wait for
// their last packets do not run out.
func (c *conn) bind() error {
	const addresses = 64
	c.sources++
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err := unix.Bind(c.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + c.sources%addresses)}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// ready is called when the socket has something to read or can be written.
func (c *conn) ready(events uint32) {
	if events&unix.EPOLLOUT != 0 {
		if err := c.connected(); err != nil {
			c.end(err)
			return
		}
	}
	if events&^uint32(unix.EPOLLOUT) != 0 {
		if err := c.read(); err != nil {
			c.end(err)
		}
	}
}

// connected sends the request.
func (c *conn) connected() error {
	if code, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return fmt.Errorf("connect: %w", errors.Join(err, unix.Errno(code)))
	}
	if len(c.request) > 0 {
		n, err := unix.Write(c.fd, c.request)
		if err != nil && err != unix.EAGAIN {
			return fmt.Errorf("send the request: %w", err)
		}
		if c.request = c.request[max(n, 0):]; len(c.request) > 0 {
			return nil
		}
	}
	c.request = nil
	if c.mode == Raw {
		c.open()
	}
	return c.control(unix.EPOLL_CTL_MOD, c.fd, unix.EPOLLIN)
}

func (c *conn) open() {
	c.opened = true
	c.opening.Add(time.Since(c.dialed))
	if c.job != nil {
		c.job.settle(nil)
		c.job = nil
	}
}

func (c *conn) read() error {
	n, err := unix.Read(c.fd, c.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return io.EOF
	}
	c.now = time.Now()
	c.counts.Reads++
	c.counts.Bytes += int64(n)
	if c.mode == PubSub {
		return c.messages(c.buf[:n])
	}
	c.scratch, err = c.scanner.Feed(c.buf[:n], c.scratch, c)
	if last := c.connect.LeaveAt; err == nil && last > 0 && c.expect > last {
		c.counts.Left++
		c.close()
	}
	return err
}

// Event implements wire.Handler.
func (c *conn) Event(id, data []byte) error {
	stamp, number, err := wire.ParsePayload(data)
	if err != nil {
		return err
	}
	if len(id) > 0 {
		c.lastID = append(c.lastID[:0], id...)
	}
	c.event(c, stamp, number)
	return nil
}

// Control implements wire.Handler.
func (c *conn) Control(kind string, id []byte) error {
	c.counts.Controls[kind]++
	if len(id) > 0 {
		c.lastID = append(c.lastID[:0], id...)
	}
	if kind == "open" && !c.opened {
		c.open()
	}
	return nil
}

// messages reads what Redis sends to a subscriber. Payloads are all of one
// size, so its messages are, too.
func (c *conn) messages(p []byte) error {
	const confirmation = "*3\r\n$9\r\nsubscribe\r\n$5\r\n" + PubSubChannel + "\r\n:1\r\n"
	before := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$5\r\n%s\r\n$%d\r\n", PubSubChannel, wire.PayloadSize)
	c.partial = append(c.partial, p...)
	if !c.opened {
		if len(c.partial) < len(confirmation) {
			return nil
		}
		if !bytes.HasPrefix(c.partial, []byte(confirmation)) {
			return fmt.Errorf("Redis answered %q", c.partial)
		}
		c.partial = c.partial[len(confirmation):]
		c.open()
	}
	for size := len(before) + wire.PayloadSize + len("\r\n"); len(c.partial) >= size; c.partial = c.partial[size:] {
		if err := c.Event(nil, c.partial[len(before):len(before)+wire.PayloadSize]); err != nil {
			return err
		}
	}
	return nil
}

// end is called when the other side, or what it sent, ended the connection.
func (c *conn) end(why error) {
	if c.job != nil {
		c.job.settle(why)
		c.job = nil
	} else {
		c.counts.Ended++
		c.trouble(fmt.Sprintf("connection %d ended: %v", c.number, why))
	}
	c.close()
}

// close closes the socket. What a group that is cut does with the connection
// is up to that.
func (c *conn) close() {
	if c.fd == 0 {
		return
	}
	c.conns[c.fd] = nil
	_ = unix.Close(c.fd)
	c.fd = 0
	delete(c.live, c)
}

// forget drops a job that waits for a connection which was closed.
func (c *conn) forget() {
	if c.job != nil {
		c.job.settle(errors.New("closed on command"))
		c.job = nil
	}
}

// segments returns how many TCP segments with data have come.
func (c *conn) segments() uint32 {
	if c.fd == 0 || !c.opened {
		return 0
	}
	info, err := unix.GetsockoptTCPInfo(c.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return info.Data_segs_in
}

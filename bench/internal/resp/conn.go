// Package resp speaks to Redis with as little in between as can be: what it
// costs to publish must not show in what is measured.
package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"time"
)

// Conn is one connection. Sending and receiving may be done at the same time,
// each by one goroutine.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
}

// Dial connects.
func Dial(addr string) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{conn, bufio.NewReaderSize(conn, 64<<10)}, nil
}

// Close closes the connection.
func (c *Conn) Close() { _ = c.conn.Close() }

// Append appends a command as it is sent.
func Append(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, "\r\n"...)
		b = append(b, a...)
		b = append(b, "\r\n"...)
	}
	return b
}

// Send sends what Append made.
func (c *Conn) Send(b []byte) error {
	_, err := c.conn.Write(b)
	return err
}

// Do sends a command and returns the last string in its reply.
func (c *Conn) Do(args ...string) ([]byte, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	defer func() { _ = c.conn.SetReadDeadline(time.Time{}) }()
	if err := c.Send(Append(nil, args...)); err != nil {
		return nil, fmt.Errorf("send %s: %w", args[0], err)
	}
	p, err := c.Receive()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	return p, nil
}

// Receive reads one reply and returns the last string in it. An error that
// Redis answers is returned as one, wherever in the reply it is.
func (c *Conn) Receive() (last []byte, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, errors.New("not a reply of Redis")
	}
	kind, text := line[0], string(bytes.TrimSpace(line[1:]))
	switch kind {
	case '+', ':':
		return []byte(text), nil
	case '-':
		return nil, errors.New(text)
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a reply of Redis: %c%.40s", kind, text)
	case n < 0:
		return nil, nil
	case kind == '$':
		p := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, p); err != nil {
			return nil, err
		}
		return p[:n], nil
	}
	var first error
	for range n {
		p, err := c.Receive()
		if err != nil && first == nil {
			first = err
		}
		if p != nil {
			last = p
		}
	}
	return last, first
}

// Calls returns how often each command has been executed, from INFO.
func (c *Conn) Calls() (map[string]int64, error) {
	text, err := c.Do("INFO", "commandstats")
	if err != nil {
		return nil, err
	}
	return parseCalls(string(text)), nil
}

var calls = regexp.MustCompile(`(?m)^cmdstat_([^:]+):calls=(\d+)`)

func parseCalls(text string) map[string]int64 {
	out := make(map[string]int64)
	for _, m := range calls.FindAllStringSubmatch(text, -1) {
		out[m[1]], _ = strconv.ParseInt(m[2], 10, 64)
	}
	return out
}

// Reads sums those that read streams.
func Reads(calls map[string]int64) int64 {
	return calls["xread"] + calls["xrange"] + calls["xrevrange"] + calls["xinfo|stream"]
}

package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// payloadSize is that of every event, in bytes.
const payloadSize = 200

// stamp returns a payload that begins with the present time.
func stamp() string {
	now := strconv.FormatInt(time.Now().UnixNano(), 10)
	return now + strings.Repeat("x", payloadSize-len(now))
}

// age returns how long ago a payload was made.
func age(payload []byte) time.Duration {
	ns, err := strconv.ParseInt(string(payload[:19]), 10, 64)
	if err != nil {
		return -1
	}
	return time.Duration(time.Now().UnixNano() - ns)
}

// resp is a connection to Redis with as little in between as can be.
type resp struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(addr string) (*resp, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &resp{conn, bufio.NewReader(conn)}, nil
}

func dialRedis(b *testing.B, addr string) *resp {
	b.Helper()
	c, err := dial(addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.conn.Close() })
	return c
}

func (c *resp) send(args ...string) error {
	buf := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		buf = fmt.Appendf(buf, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := c.conn.Write(buf)
	return err
}

// reply reads one reply and returns the last bulk string in it.
func (c *resp) reply() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	kind := line[0]
	n, _ := strconv.Atoi(string(bytes.TrimSpace(line[1:])))
	switch kind {
	case '-':
		return nil, fmt.Errorf("redis: %s", line)
	case '$':
		if n < 0 {
			return nil, nil
		}
		p := make([]byte, n+2)
		_, err := io.ReadFull(c.r, p)
		return p[:n], err
	case '*':
		var last []byte
		for range n {
			p, err := c.reply()
			if err != nil {
				return nil, err
			}
			if p != nil {
				last = p
			}
		}
		return last, nil
	}
	return nil, nil
}

func (c *resp) do(b *testing.B, args ...string) []byte {
	b.Helper()
	if err := c.send(args...); err != nil {
		b.Fatal(err)
	}
	p, err := c.reply()
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// listener is a client of a pod. It counts events, and gives their payloads to
// onEvent.
type listener struct {
	conn   net.Conn
	events atomic.Int64
	opened chan struct{}
}

// open opens a stream and reads it until it is closed.
func open(addr, query, lastID string, onEvent func(payload []byte)) (*listener, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	header := ""
	if lastID != "" {
		header = "Last-Event-ID: " + lastID + "\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET /events?%s HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n%s\r\n", query, header); err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := &listener{conn: conn, opened: make(chan struct{})}
	go l.read(onEvent)
	return l, nil
}

// listen is open for a benchmark, which closes the stream at its end.
func listen(b *testing.B, addr, query, lastID string, onEvent func(payload []byte)) *listener {
	b.Helper()
	l, err := open(addr, query, lastID, onEvent)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.conn.Close() })
	return l
}

func (l *listener) read(onEvent func([]byte)) {
	r := bufio.NewReaderSize(l.conn, 16<<10)
	open := false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		if payload, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			if !open { // gateway.open
				open = true
				close(l.opened)
				continue
			}
			if onEvent != nil {
				onEvent(payload)
			}
			l.events.Add(1)
		}
	}
}

// opens waits for the first block.
func (l *listener) opens() error {
	select {
	case <-l.opened:
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("a stream did not open in 30 s")
	}
}

func (l *listener) await(b *testing.B) {
	b.Helper()
	if err := l.opens(); err != nil {
		b.Fatal(err)
	}
}

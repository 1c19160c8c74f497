package rig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// Ask is a request for a stream, as an EventSource makes it.
type Ask struct {
	Topics      []string
	Params      string // further query parameters, "since=earliest"
	LastEventID string
	HTTP10      bool

	// Wrap, if set, puts something between the client and its connection.
	Wrap func(net.Conn) net.Conn
	// Copy, if set, is written every byte of the stream, decoded or not.
	Copy io.Writer
	// OnComment, if set, is called for each comment. A heartbeat is an empty one.
	OnComment func(text string)
}

// Target returns path and query of the request.
func (a Ask) Target() string {
	q := url.Values{"topic": a.Topics}.Encode()
	if a.Params != "" {
		q += "&" + a.Params
	}
	return "/events?" + q
}

// Stream is one connection of a client that is no more than a socket and a
// decoder, so that a test knows every byte and decides when it ends.
// Its methods must not be called at the same time, Close excepted.
type Stream struct {
	Status int
	Header http.Header
	Body   io.Reader // for an answer that is no event stream; else Next reads it

	conn net.Conn
	dec  *sse.Decoder
}

// Open connects to addr and waits for the head of the answer. ctx bounds
// connecting and waiting, not the stream.
func Open(ctx context.Context, addr string, ask Ask) (*Stream, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if ask.Wrap != nil {
		conn = ask.Wrap(conn)
	}
	s := &Stream{conn: conn}
	defer context.AfterFunc(ctx, s.Close)()
	if err := s.request(ask, addr); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stream) request(ask Ask, addr string) error {
	version := "HTTP/1.1"
	if ask.HTTP10 {
		version = "HTTP/1.0"
	}
	var head strings.Builder
	fmt.Fprintf(&head, "GET %s %s\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n", ask.Target(), version, addr)
	if ask.LastEventID != "" {
		fmt.Fprintf(&head, "Last-Event-ID: %s\r\n", ask.LastEventID)
	}
	if _, err := io.WriteString(s.conn, head.String()+"\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(s.conn), nil) //nolint:bodyclose // closing it would read the stream to its end
	if err != nil {
		return err
	}
	s.Status, s.Header, s.Body = resp.StatusCode, resp.Header, resp.Body
	opts := []sse.DecoderOption{sse.InitialID(ask.LastEventID)}
	if ask.OnComment != nil {
		opts = append(opts, sse.OnComment(ask.OnComment))
	}
	if ask.Copy != nil {
		s.Body = io.TeeReader(s.Body, ask.Copy)
	}
	s.dec = sse.NewDecoder(s.Body, opts...)
	return nil
}

// Next returns the next event. The error says how the stream ended: io.EOF is
// a clean end, after which no client comes back; everything else is a broken
// connection.
func (s *Stream) Next() (sse.Event, error) { return s.dec.Decode() }

// LastEventID returns what a browser would send when coming back.
func (s *Stream) LastEventID() string { return s.dec.LastEventID() }

// Retry returns the reconnection time that the stream last asked for.
func (s *Stream) Retry() (time.Duration, bool) { return s.dec.Retry() }

// Close closes the connection.
func (s *Stream) Close() { _ = s.conn.Close() }

package rig

import (
	"bufio"
	"cmp"
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

// Protocol is the version of HTTP that a client speaks.
type Protocol string

// The versions. HTTP/2 is without TLS, by prior knowledge (RFC 9113 §3.3).
const (
	HTTP11 Protocol = "" // what is meant if nothing is said
	HTTP10 Protocol = "HTTP/1.0"
	HTTP2  Protocol = "HTTP/2"
)

// String names the version.
func (p Protocol) String() string { return cmp.Or(string(p), "HTTP/1.1") }

// Ask is a request for a stream, as an EventSource makes it.
type Ask struct {
	Topics      []string
	Params      string // further query parameters, "since=earliest"
	LastEventID string
	Protocol    Protocol

	// Dial, if set, connects, for example from another network.
	Dial dialFunc
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

	// TakenOver says that the gateway writes to the socket itself: an answer
	// of that kind announces that it is the connection's last (RFC 9112 §9.6),
	// and one that net/http writes does not.
	TakenOver bool

	conn   net.Conn
	cancel context.CancelFunc // of HTTP/2
	dec    *sse.Decoder
}

// Open connects to addr and waits for the head of the answer. ctx bounds
// connecting and waiting, not the stream.
func Open(ctx context.Context, addr string, ask Ask) (*Stream, error) {
	dial := ask.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if ask.Wrap != nil {
		conn = ask.Wrap(conn)
	}
	s := &Stream{conn: conn, cancel: func() {}}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	request := s.request
	if ask.Protocol == HTTP2 {
		request = s.requestHTTP2
	}
	if err := request(ask, addr); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stream) request(ask Ask, addr string) error {
	var head strings.Builder
	fmt.Fprintf(&head, "GET %s %s\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n", ask.Target(), ask.Protocol, addr)
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
	// net/http moves the header to Close, but that is true of all of HTTP/1.0.
	s.TakenOver = resp.Header.Get("Connection") == "close" || resp.Close && resp.ProtoAtLeast(1, 1)
	s.answered(ask, resp)
	return nil
}

// answered takes the head of the answer in.
func (s *Stream) answered(ask Ask, resp *http.Response) {
	s.Status, s.Header, s.Body = resp.StatusCode, resp.Header, resp.Body
	opts := []sse.DecoderOption{sse.InitialID(ask.LastEventID)}
	if ask.OnComment != nil {
		opts = append(opts, sse.OnComment(ask.OnComment))
	}
	if ask.Copy != nil {
		s.Body = io.TeeReader(s.Body, ask.Copy)
	}
	s.dec = sse.NewDecoder(s.Body, opts...)
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
func (s *Stream) Close() {
	s.cancel()
	_ = s.conn.Close()
}

package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw is a request on a bare TCP connection, to see what is really sent.
type raw struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dial(t testing.TB, addr net.Addr, request string) *raw {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return &raw{t, conn, bufio.NewReader(conn)}
}

// head reads the status line and the headers.
func (r *raw) head() (status string, h http.Header) {
	r.t.Helper()
	status, err := r.r.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	h = http.Header{}
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			return strings.TrimSpace(status), h
		}
		h.Add(name, value)
	}
}

// exactly reads as many bytes as want has, and fails unless they are those.
func (r *raw) exactly(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.r, got); err != nil || string(got) != want {
		r.t.Fatalf("got  %q (%v)\nwant %q", got, err, want)
	}
}

// rest reads until the connection ends.
func (r *raw) rest() string {
	r.t.Helper()
	b, err := io.ReadAll(r.r)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset by peer") {
		r.t.Fatal(err)
	}
	return string(b)
}

// chunk is p as one chunk (RFC 9112 §7.1).
func chunk(p string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(p), p) }

const openBlock = "retry: 1500\nid: 0-0\nevent: gateway.open\ndata: {}\n\n"

func drained(t testing.TB, p *pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.Drain(ctx, 0); err != nil {
		t.Fatal(err)
	}
}

// In HTTP/2 a stream that is cut ends with RST_STREAM, and the connection with
// all its other streams goes on.
func TestHTTP2(t *testing.T) {
	p := newPod(t, fixedRetry)
	srv := serve(t, p)
	c := httpClient(t, h2)
	r := open(t, c, get(t, srv.URL+"/events?topic=a"))
	r.opened()
	drained(t, p)
	if e, err := r.Decode(); err == nil || !strings.Contains(err.Error(), "received from peer") {
		t.Errorf("ended with %+v, %v", e, err)
	}
	if retry, ok := r.Retry(); !ok || retry != 1500*time.Millisecond {
		t.Errorf("retry %v", retry)
	}
	resp, err := c.Get(srv.URL + "/cursor?topic=a")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// A client that closes its side ends the stream, with no word to anybody.
func TestAClientThatGoesAway(t *testing.T) {
	p := newPod(t, Options{})
	srv := serve(t, p)
	for name, use := range map[string]func(*http.Protocols){"HTTP/1.1": h1, "HTTP/2": h2} {
		r := open(t, httpClient(t, use), get(t, srv.URL+"/events?topic=a"))
		r.opened()
		before := p.metric(t, "sse.disconnects")["client"]
		r.cancel()
		await(t, name+" client gone", func() bool { return p.Connections() == 0 })
		if n := p.metric(t, "sse.disconnects")["client"]; n != before+1 {
			t.Errorf("%s: %d of %v", name, n, p.metric(t, "sse.disconnects"))
		}
	}
}

// await polls for what can only be asked for.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

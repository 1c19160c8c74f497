package gateway

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

// What a client sends before and behind the request for its stream.
var hijackCases = []transportCase{
	{"bytes in the request's own segment", extraBytes},
	{"pipelined requests", pipelined},
	{"much garbage behind the request", garbage},
	{"a client that keeps sending", keepsSending},
	{"a request that comes byte by byte", byteByByte},
}

// ends drains a pod with one client and checks that it gets the last words, and
// nothing behind them, without a reset.
func (s *served) ends(w *raw, before string) {
	s.t.Helper()
	drained(s.t, s.pod)
	if got := w.quietly(); got != before+chunk("retry: 1500\n") {
		s.t.Errorf("ends with %q", got)
	}
	s.expectEnd(endDrain)
}

func extraBytes(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(ask("topic=a") + "\x00\x01\x02 not a request\r\n\r\n")
	w.exactly(chunk(openBlock))
	id := s.publish(t, "a", "x")
	w.exactly(r.frame("id: "+id.String()+"\n", "data: x\n\n"))
	if r.direct {
		s.ends(w, "")
		return
	}
	// net/http closes with unread input, which may become a reset.
	drained(t, s.pod)
	if got := w.rest(); got != "" && got != chunk("retry: 1500\n") {
		t.Errorf("ends with %q", got)
	}
}

// Several requests on one connection: an answer before the stream does not
// disturb it, and after a stream there is none.
func pipelined(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	cursor := "GET /cursor?topic=a HTTP/1.1\r\nHost: x\r\n\r\n"
	w := s.dial(cursor + cursor + ask("topic=a") + cursor + ask("topic=a"))
	for range 2 {
		if status, h := w.head(); status != "HTTP/1.1 200 OK" || h.Get("Content-Type") != "application/json" {
			t.Fatal(status, h)
		}
		w.exactly("{\"cursor\":\"0-0\"}\n")
	}
	opened(w).exactly(chunk(openBlock))
	s.ends(w, "")
	if n := s.meters.accepted.Load(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

// A socket that is closed with unread input makes the peer drop what it has not
// read yet. The direct transport knows that.
func garbage(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.dial(ask("topic=a"))
	sent := make(chan error, 1)
	go func() {
		_, err := w.conn.Write(bytes.Repeat([]byte("garbage "), 100_000/8))
		sent <- err
	}()
	opened(w).exactly(chunk(openBlock))
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	id := s.publish(t, "a", "x")
	w.exactly(r.frame("id: "+id.String()+"\n", "data: x\n\n"))
	if r.direct {
		s.ends(w, "")
		return
	}
	drained(t, s.pod)
	if got := w.rest(); !strings.HasPrefix(chunk("retry: 1500\n"), got) {
		t.Errorf("ends with %q", got)
	}
}

// Nobody reads what it sends; its stream goes on as long as it reads that.
func keepsSending(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(ask("topic=a"))
	w.exactly(chunk(openBlock))
	quit := make(chan struct{})
	go func() {
		defer close(quit)
		for {
			if _, err := w.conn.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	}()
	for range 100 {
		id := s.publish(t, "a", "x")
		w.exactly(r.frame("id: "+id.String()+"\n", "data: x\n\n"))
	}
	drained(t, s.pod)
	if got := w.rest(); !strings.HasPrefix(chunk("retry: 1500\n"), got) {
		t.Errorf("ends with %q", got)
	}
	w.conn.Close()
	<-quit
	s.expectEnd(endDrain)
}

func byteByByte(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.dial("")
	if err := w.conn.(*net.TCPConn).SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	for _, c := range ask("topic=a", "Accept: text/event-stream") {
		if _, err := io.WriteString(w.conn, string(c)); err != nil {
			t.Fatal(err)
		}
	}
	opened(w).exactly(chunk(openBlock))
	resp, err := httpClient(t).Get(s.url + "/cursor?topic=a") // and the server is well
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

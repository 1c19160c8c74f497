package client_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

// TestEveryEventComesOnceAndInOrderThroughAFaultyServer has many clients read a log to its end from a
// server that serves each connection up to a random byte of it, and refuses every other one.
func TestEveryEventComesOnceAndInOrderThroughAFaultyServer(t *testing.T) {
	const clients, events = 40, 300
	var connections atomic.Uint64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		rng := rand.New(rand.NewPCG(2, connections.Add(1)))
		last := 0
		if id := r.Header.Get("Last-Event-ID"); id != "" {
			var err error
			if last, err = strconv.Atoi(id); err != nil {
				t.Errorf("Last-Event-ID %q was never sent", id)
			}
		}
		if last == events {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		switch rng.IntN(6) {
		case 0:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case 1: // gone before the head
			panic(http.ErrAbortHandler)
		case 2: // a reset
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
			return
		}
		var b bytes.Buffer
		for id := last + 1; id <= min(events, last+rng.IntN(100)); id++ {
			b.WriteString(frame(rng, id))
		}
		cut := rng.IntN(b.Len() + 1)
		w.Header().Set("Content-Type", sse.ContentType)
		for sent := 0; sent < cut; {
			n := min(cut-sent, 1+rng.IntN(400))
			send(w, string(b.Bytes()[sent:sent+n]))
			sent += n
		}
		if rng.IntN(3) > 0 {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	var wg sync.WaitGroup
	for n := range clients {
		c := newClient(t, s, client.RetryFirst(), client.MaxRetry(5*time.Millisecond), client.ReadTimeout(patience))
		wg.Go(func() {
			next := 1
			err := c.Run(t.Context(), func(e sse.Event) error {
				if want := (sse.Event{ID: strconv.Itoa(next), Type: "n", Data: data(next)}); e.ID != want.ID || e.Type != want.Type || e.Data != want.Data {
					return fmt.Errorf("got %+v, want %+v", e, want)
				}
				next++
				return nil
			})
			if err != nil || next != events+1 {
				t.Errorf("client %d: %d events, %v", n, next-1, err)
			}
		})
	}
	wg.Wait()
}

// data is what event n carries: lines, and what looks like fields.
func data(n int) string {
	return strings.Repeat("id: 0\ndata: "+strconv.Itoa(n)+"\n\n", n%4) + strconv.Itoa(n)
}

// frame is event n with a line end of any kind, sometimes with a comment or a retry time.
func frame(rng *rand.Rand, n int) string {
	var b []byte
	if rng.IntN(4) == 0 {
		b = sse.AppendComment(b, "")
	}
	e := sse.Event{ID: strconv.Itoa(n), Type: "n", Data: data(n)}
	if rng.IntN(8) == 0 {
		e.Retry = time.Millisecond
	}
	b, _ = sse.Append(b, e)
	return strings.ReplaceAll(string(b), "\n", []string{"\n", "\r\n", "\r"}[rng.IntN(3)])
}

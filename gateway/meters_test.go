package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Every reason for which a stream can end is there from the start, so that a
// rate can be taken of it.
func TestAllReasonsAreCounted(t *testing.T) {
	p := newPod(t, Options{})
	got := p.metric(t, "sse.disconnects")
	for _, why := range []string{"client", "write_timeout", "write_error", "drain", "lifetime", "forced", "shutdown", "overload", "behind"} {
		if n, ok := got[why]; !ok || n != 0 {
			t.Errorf("%s: %d, %v", why, n, ok)
		}
	}
	if len(got) != len(ends) {
		t.Errorf("reasons: %v", got)
	}
}

// An event is counted once for each client that it was written to, whether it
// came from the log or from history; what is not an event is not.
func TestDeliveriesAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		for i := range 10 {
			p.publish(t, "a", fmt.Sprint(i))
		}
		m := begin(p, get(t, "http://x/events?topic=a&topic=b&since=earliest"))
		late := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		p.publish(t, "a", "live")
		p.publish(t, "b", "live")
		p.publish(t, "c", "nobody's")
		time.Sleep(time.Minute) // heartbeats
		m.leave()
		late.leave()
		if n := p.metric(t, "sse.deliveries")[""]; n != 12+1 {
			t.Errorf("%d deliveries", n)
		}
		if n := p.metric(t, "sse.history.reads")[""]; n < 1 || n > 4 {
			t.Errorf("%d reads of history", n)
		}
		if n := p.metric(t, "sse.connections")[""]; n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// The end of a request's context may be the server's doing: a client that is
// still there must not take it for the end of what there is to say.
func TestAContextThatEndsIsACut(t *testing.T) {
	p := newPod(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(w, r.WithContext(ctx)) // as http.Server.BaseContext would do it
	}))
	var cut []*reading
	for _, protocol := range []func(*http.Protocols){h1, h2} {
		r := open(t, httpClient(t, protocol), get(t, srv.URL+"/events?topic=a"))
		r.opened()
		cut = append(cut, r)
	}
	cancel()
	for _, r := range cut {
		if _, err := r.Decode(); err == nil || err.Error() == "EOF" {
			t.Errorf("%s: ended with %v", r.Proto, err)
		}
	}
}

// brokenWriter is a connection that broke.
type brokenWriter struct{ memory }

var errBroken = errors.New("broken pipe")

func (b *brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestAConnectionThatBreaks(t *testing.T) {
	p := newPod(t, Options{})
	w := &brokenWriter{memory{header: http.Header{}}}
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
				t.Errorf("ended with %v", err)
			}
		}()
		p.ServeHTTP(w, get(t, "http://x/events?topic=a"))
	}()
	if n := p.metric(t, "sse.disconnects"); n["write_error"] != 1 {
		t.Errorf("ends: %v", n)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

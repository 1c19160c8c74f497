package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// fixedRetry makes the reconnection time predictable.
var fixedRetry = Options{RetryMin: 1500 * time.Millisecond, RetryMax: 1500 * time.Millisecond}

// A stream's first bytes are a position to come back to, before any event.
func TestFirstBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, fixedRetry)
		id := p.publish(t, "a", "before")
		for query, want := range map[string]string{
			"topic=a":     "retry: 1500\nid: " + id.String() + "\nevent: gateway.open\ndata: {}\n\n",
			"topic=new":   "retry: 1500\nid: 0-0\nevent: gateway.open\ndata: {}\n\n",
			"topic=a&x=1": "retry: 1500\nid: " + id.String() + "\nevent: gateway.open\ndata: {}\n\n",
			"topic=a&last_event_id=" + id.Prev().String(): "retry: 1500\nid: " + id.Prev().String() + "\nevent: gateway.open\ndata: {}\n\n" +
				"id: " + id.String() + "\ndata: before\n\n",
			"topic=a&control=off": "retry: 1500\n:\n",
		} {
			m := begin(p, get(t, "http://x/events?"+query))
			synctest.Wait()
			if got := m.text(); got != want {
				t.Errorf("%s: got  %q\nwant %q", query, got, want)
			}
			m.leave()
		}
	})
}

func TestHeadersOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		defer m.leave()
		for name, want := range map[string]string{
			"Content-Type":           "text/event-stream",
			"Cache-Control":          "no-cache, no-transform",
			"X-Accel-Buffering":      "no",
			"X-Content-Type-Options": "nosniff",
			"Content-Length":         "",
		} {
			if got := m.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if m.status != http.StatusOK {
			t.Errorf("status %d", m.status)
		}
	})
}

// A heartbeat is five bytes less than any event: a comment without a blank
// line, after silence only, and before it is due.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{Heartbeat: 10 * time.Second})
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		block := m.text()
		time.Sleep(8500*time.Millisecond - time.Millisecond)
		p.publish(t, "a", "x")
		synctest.Wait()
		block += strings.TrimPrefix(m.text(), block)
		if strings.Contains(block, ":\n") {
			t.Errorf("a heartbeat without silence: %q", block)
		}
		time.Sleep(31 * time.Second)
		if got := strings.TrimPrefix(m.text(), block); got != ":\n:\n:\n" {
			t.Errorf("in 31 s of silence: %q", got)
		}
		m.leave()
	})
}

func TestEventsArriveWithTheirIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a&topic=b"))
		synctest.Wait()
		a := p.publish(t, "a", "one")
		b := p.publish(t, "b", "two\nlines")
		p.publish(t, "c", "of another topic")
		synctest.Wait()
		m.leave()
		events := m.events()
		if len(events) != 3 || events[1].Data != "one" || events[2].Data != "two\nlines" {
			t.Fatalf("got %+v", events)
		}
		for i, want := range [][2]stream.ID{{{}, {}}, {a, {}}, {a, b}} {
			c, err := stream.ParseCursor(events[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			for k, topic := range []stream.Topic{"a", "b"} {
				if id, ok := c.Position(topic, false); !ok || id != want[k] {
					t.Errorf("event %d: %s stands at %v, want %v", i, topic, id, want[k])
				}
			}
		}
	})
}

// Whatever there is is sent to its end, however many batches it takes, without
// waiting for another event or a heartbeat.
func TestALongRunIsSentToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		p.store.fill(t, "a", 2000, 0) // nobody is told
		p.publish(t, "a", "the last")
		synctest.Wait()
		events := m.events()
		if n := len(events); n != 2002 || events[n-1].Data != "the last" {
			t.Errorf("%d events, the last is %+v", n, events[n-1])
		}
		m.leave()
	})
}

// A topic whose key stops being a stream is told of also to a client that is
// still behind.
func TestAKeyThatChangesItsTypeWhileAClientIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		ids := p.store.fill(t, "a", 10, 0)
		other := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		p.store.wrong.Store(true)
		time.Sleep(time.Minute) // the sweep comes by
		m := begin(p, get(t, "http://x/events?topic=a", "Last-Event-ID", ids[0].String()))
		time.Sleep(time.Minute)
		p.store.wrong.Store(false)
		time.Sleep(time.Minute)
		m.leave()
		other.leave()
		events := m.events()
		if len(events) != 11 || events[1].Type != controlFault || events[10].ID != ids[9].String() {
			t.Errorf("got %+v", events)
		}
	})
}

func TestEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a&envelope=json"))
		synctest.Wait()
		ids, err := p.live.BroadcastTo(t.Context(), stream.Message{Event: "paid", Data: "{\"n\":1}\n"}, "a")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		m.leave()
		events := m.events()
		if len(events) != 2 || events[1].Type != "" || events[1].ID != ids[0].String() {
			t.Fatalf("got %+v", events)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(events[1].Data), &got); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(map[string]string{"topic": "a", "id": ids[0].String(), "event": "paid", "data": "{\"n\":1}\n"})
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestMountedBelowAPrefix(t *testing.T) {
	p := newPod(t, Options{})
	mux := http.NewServeMux()
	mux.Handle("/push/", http.StripPrefix("/push", p))
	srv := serve(t, mux)
	r := open(t, httpClient(t), get(t, srv.URL+"/push/events?topic=a"))
	r.opened()
	resp, err := httpClient(t).Post(srv.URL+"/push/publish?topic=a", "text/plain", strings.NewReader("hi"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r.expect("hi")
}

// wrapper is middleware that hides what a ResponseWriter can do, but for
// Unwrap.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestMiddlewareThatUnwraps(t *testing.T) {
	p := newPod(t, Options{})
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.ServeHTTP(wrapper{wrapper{w}}, r)
	}))
	r := open(t, httpClient(t), get(t, srv.URL+"/events?topic=a"))
	r.opened()
	p.publish(t, "a", "through")
	r.expect("through")
}

// mute is middleware that cannot be flushed at all.
type mute struct{ w http.ResponseWriter }

func (m mute) Header() http.Header         { return m.w.Header() }
func (m mute) Write(p []byte) (int, error) { return m.w.Write(p) }
func (m mute) WriteHeader(status int)      { m.w.WriteHeader(status) }

func TestAResponseWriterThatCannotBeFlushed(t *testing.T) {
	p := newPod(t, Options{})
	rec := httptest.NewRecorder()
	p.ServeHTTP(mute{rec}, get(t, "http://x/events?topic=a"))
	if rec.Code != http.StatusInternalServerError || !strings.Contains(rec.Body.String(), "Unwrap") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// The same events, in the same order, in every protocol.
func TestProtocols(t *testing.T) {
	p := newPod(t, Options{})
	srv := serve(t, p)
	for name, use := range map[string]func(*http.Protocols){"HTTP/1.1": h1, "HTTP/2.0": h2} {
		r := open(t, httpClient(t, use), get(t, srv.URL+"/events?topic="+name[5:6]+"&topic=x"))
		if r.Proto != name {
			t.Errorf("%s, want %s", r.Proto, name)
		}
		r.opened()
		big := string(bytes.Repeat([]byte("large "), 50_000))
		topic := stream.Topic(name[5:6])
		p.publish(t, topic, "1")
		p.publish(t, topic, big)
		p.publish(t, topic, "3")
		r.expect("1", big, "3")
		r.cancel()
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the body ended")
		}
	}
}

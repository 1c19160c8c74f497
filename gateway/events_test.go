package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
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
// line, after silence only.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{Heartbeat: 10 * time.Second})
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		block := m.text()
		time.Sleep(9 * time.Second)
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
		if m.abort {
			t.Error("a client that went away was aborted")
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

// Where a stream begins, in all the ways to say it. Entries 0 to 9 are a
// minute apart, the newest is 30 seconds old.
func TestWhereAStreamBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{MaxLast: 8})
		var ids []stream.ID
		for i := range 10 {
			ids = append(ids, p.publish(t, "a", fmt.Sprint(i)))
			if i < 9 {
				time.Sleep(time.Minute)
			}
		}
		time.Sleep(30 * time.Second)
		at := func(i int) string { return ids[i].String() }
		exactly := time.UnixMilli(int64(ids[6].Ms))
		east := time.FixedZone("", 2*60*60)
		const now = 9
		for _, c := range []struct {
			query, header string
			after         int // the stream begins after this entry, -1 is at the start
		}{
			{"", "", now},
			{"since=earliest", "", -1},
			{"since=210s", "", 5},
			{"since=3m30s", "", 5},
			{"since=1h", "", -1},
			{"since=1s", "", now},
			{"since=" + fmt.Sprint(exactly.UnixMilli()), "", 5},
			{"since=" + fmt.Sprint(exactly.UnixMilli()+1), "", 6},
			{"since=" + url.QueryEscape(exactly.UTC().Format(time.RFC3339)), "", 5},
			{"since=" + url.QueryEscape(exactly.In(east).Format(time.RFC3339Nano)), "", 5},
			{"since=2999-01-01T00:00:00Z", "", now},
			{"last=1", "", 8},
			{"last=8", "", 1},
			{"last_event_id=" + at(3), "", 3},
			{"lastEventId=" + at(3), "", 3},
			{"lastEventID=" + at(3), "", 3},
			{"Last-Event-ID=" + at(3), "", 3},
			{"", at(3), 3},
			{"last_event_id=" + at(1), at(3), 3},
			{"last_event_id=" + at(1) + "&lastEventId=" + at(4), "", 4},
			{"lastEventId=" + at(4) + "&last_event_id=" + at(1), "", 1},
			{"last_event_id=" + at(1) + "&last_event_id=", "", now},
			{"since=earliest&last_event_id=" + at(7), "", 7},
			{"last=2", at(5), 5},
			{"last_event_id=0-0", "", -1},
		} {
			req := get(t, "http://x/events?topic=a&"+c.query)
			if c.header != "" {
				req.Header.Set("Last-Event-ID", c.header)
			}
			m := begin(p, req)
			synctest.Wait()
			m.leave()
			var got []string
			for _, e := range m.events()[1:] {
				got = append(got, e.Data)
			}
			var want []string
			for i := c.after + 1; i < 10; i++ {
				want = append(want, fmt.Sprint(i))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("?%s, header %q: got %v, want %v", c.query, c.header, got, want)
			}
			opened := m.events()[0].ID
			if c.after >= 0 && opened != at(c.after) || c.after < 0 && opened != "0-0" {
				t.Errorf("?%s, header %q: opened at %s", c.query, c.header, opened)
			}
		}
	})
}

// A topic that the cursor does not name follows since, else it begins now.
func TestATopicThatIsNewToTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a&topic=b"))
		synctest.Wait()
		cursor := m.events()[0].ID
		m.leave()
		for _, topic := range []stream.Topic{"a", "b", "c"} {
			p.publish(t, topic, string(topic))
		}
		for query, want := range map[string]string{
			"topic=c&topic=b&topic=a":                "[a b]",
			"topic=c&topic=b&topic=a&since=earliest": "[a b c]",
			"topic=c&last=1":                         "[c]",
			"topic=a":                                "[a]", // b is dropped
		} {
			m := begin(p, get(t, "http://x/events?"+query, "Last-Event-ID", cursor))
			synctest.Wait()
			m.leave()
			got := map[string]bool{}
			for _, e := range m.events()[1:] {
				got[e.Data] = true
			}
			var list []string
			for _, name := range []string{"a", "b", "c"} {
				if got[name] {
					list = append(list, name)
				}
			}
			if fmt.Sprint(list) != want {
				t.Errorf("%s: got %v, want %s", query, list, want)
			}
		}
	})
}

// The parameters of a POST and of a QUERY may stand in the body.
func TestParametersInTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		id := p.publish(t, "a", "1")
		p.publish(t, "a", "2")
		p.publish(t, "b", "3")
		const form, js = "application/x-www-form-urlencoded", "application/json"
		for _, method := range []string{"POST", "QUERY"} {
			for _, c := range []struct{ query, contentType, body, want string }{
				{"", form, "topic=a&since=earliest", "[1 2]"},
				{"?topic=b&since=earliest", form, "topic=a", "[1 2 3]"},
				{"?topic=a", form + "; charset=utf-8", "last_event_id=" + id.String(), "[2]"},
				{"?topic=a&last=1", "", "", "[2]"},
				{"", js, `{"topic":"a","last":2}`, "[1 2]"},
				{"", js, `{"topic":["a","b"],"since":"earliest","envelope":null,"other":"x"}`, "[1 2 3]"},
				{"", js, `{"topic":"a","last_event_id":"9-9","lastEventId":"` + id.String() + `"}`, "[2]"},
				{"", js, `{"topic":"a","lastEventId":"` + id.String() + `","last_event_id":"0-0"}`, "[1 2]"},
			} {
				req := httptest.NewRequest(method, "http://x/events"+c.query, strings.NewReader(c.body))
				req.Header.Set("Content-Type", c.contentType)
				m := begin(p, req)
				synctest.Wait()
				m.leave()
				var got []string
				if events := m.events(); len(events) > 0 {
					for _, e := range events[1:] {
						got = append(got, e.Data)
					}
				}
				if fmt.Sprint(got) != c.want && !(c.want == "[1 2 3]" && len(got) == 3) {
					t.Errorf("%s %s %s: got %v, want %s: %s", method, c.query, c.body, got, c.want, m.text())
				}
			}
		}
	})
}

// A cursor that is none is no error: any answer but 200 would end an
// EventSource for good. It is told so, and the stream begins now.
func TestABrokenCursorIsAResetAndNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		id := p.publish(t, "a", "old")
		for _, cursor := range []string{"x", "1-1-1", "-1-0", "1-0.!!!", strings.Repeat("1", 2000), "\x00"} {
			m := begin(p, get(t, "http://x/events?since=earliest&topic=a&last_event_id="+url.QueryEscape(cursor)))
			synctest.Wait()
			p.publish(t, "b", "")
			m.leave()
			events := m.events()
			if len(events) != 2 || events[1].Type != controlReset || events[1].ID != id.String() || !strings.Contains(events[1].Data, `"reason"`) {
				t.Errorf("%.20q: %+v", cursor, events)
			}
		}
		if n := p.metric(t, "sse.resets")[""]; n != 6 {
			t.Errorf("%d resets counted", n)
		}
	})
}

// What is trimmed is told, with the place where the stream goes on.
func TestTrimmedHistoryIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		var ids []stream.ID
		for i := range 10 {
			ids = append(ids, p.publish(t, "a", fmt.Sprint(i)))
			time.Sleep(time.Millisecond)
		}
		p.store.Trim("a", 4)
		m := begin(p, get(t, "http://x/events?topic=a", "Last-Event-ID", ids[2].String()))
		silent := begin(p, get(t, "http://x/events?topic=a&control=off", "Last-Event-ID", ids[2].String()))
		synctest.Wait()
		m.leave()
		silent.leave()
		events := m.events()
		if len(events) != 6 || events[1].Type != controlGap || events[1].ID != ids[6].Prev().String() {
			t.Fatalf("got %+v", events)
		}
		if want := fmt.Sprintf(`{"topic":"a","from":"%v","to":"%v"}`, ids[2], ids[6].Prev()); events[1].Data != want {
			t.Errorf("got %s, want %s", events[1].Data, want)
		}
		if events := silent.events(); len(events) != 4 || events[0].Data != "6" {
			t.Errorf("with control=off: %+v", events)
		}
		if n := p.metric(t, "sse.gaps")[""]; n != 2 {
			t.Errorf("%d gaps counted", n)
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

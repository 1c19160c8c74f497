package gateway

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

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

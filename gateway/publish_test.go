package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		var ids []string
		for _, r := range []request{
			{"POST", "/publish?topic=a", "", "plain"},
			{"POST", "/publish?topic=a&event=paid&retry=3000", form, `{"n":1}`}, // what curl -d sends
			{"POST", "/publish?topic=a&retry=0&close=0", "application/octet-stream", "two\r\nlines\n"},
			{"POST", "/publish?topic=a&event=bye&close=1", "", ""},
		} {
			rec := r.do(p)
			var got struct{ ID string }
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%v: %d %s", r, rec.Code, rec.Body)
			}
			if rec.Header().Get("Cache-Control") != "no-store" || rec.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%v: headers %v", r, rec.Header())
			}
			ids = append(ids, got.ID)
		}
		synctest.Wait()
		m.leave()
		want := []sse.Event{
			{ID: ids[0], Data: "plain"},
			{ID: ids[1], Data: `{"n":1}`, Type: "paid", Retry: 3 * time.Second},
			{ID: ids[2], Data: "two\nlines\n"},
			{ID: ids[3], Type: "bye"},
		}
		for i, e := range m.events()[1:] {
			if e != want[i] {
				t.Errorf("got %+v, want %+v", e, want[i])
			}
		}
		info, err := p.store.Memory.Bounds(t.Context(), "a")
		if err != nil || info.Length != 4 || !info.Closed {
			t.Errorf("the topic is %+v, %v", info, err)
		}
		if n := p.metric(t, "sse.publishes"); n["stored"] != 4 || len(n) != 1 {
			t.Errorf("publishes: %v", n)
		}
	})
}

func TestPublishKeepsTheTrace(t *testing.T) {
	p := newPod(t, Options{})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	req := httptest.NewRequest("POST", "/publish?topic=a", strings.NewReader("x"))
	req.Header.Set("traceparent", parent)
	p.ServeHTTP(httptest.NewRecorder(), req)
	page, err := p.store.Memory.Read(t.Context(), "a", stream.ID{}, stream.MaxID, 10)
	if err != nil || len(page.Entries) != 1 || !strings.Contains(strings.Join(page.Entries[0].Fields, " "), "traceparent "+parent) {
		t.Errorf("stored %+v, %v", page.Entries, err)
	}
}

func TestPublishThatIsTooLarge(t *testing.T) {
	p := newPod(t, Options{MaxEntryBytes: 1000})
	checkProblem(t, "1001 bytes", request{"POST", "/publish?topic=a", "", strings.Repeat("x", 1001)}.do(p), 413, "too_large", "the limit is 1000 bytes")
	if rec := (request{"POST", "/publish?topic=a", "", strings.Repeat("x", 990)}).do(p); rec.Code != http.StatusOK {
		t.Errorf("990 bytes: %d %s", rec.Code, rec.Body)
	}
}

func TestPublishThatIsNotStored(t *testing.T) {
	p := newPod(t, Options{})
	p.store.storeErr.Store(failure{&stream.WrongTypeError{Key: "sse:a"}})
	checkProblem(t, "wrong type", request{"POST", "/publish?topic=a", "", "x"}.do(p), 409, "wrong_type", "rename or delete it")
	p.store.storeErr.Store(failure{errNetwork})
	rec := request{"POST", "/publish?topic=a", "", "x"}.do(p)
	checkProblem(t, "network", rec, 503, "not_stored", "it may or may not have been stored")
	if strings.Contains(rec.Body.String(), errNetwork.Error()) {
		t.Errorf("tells %s", rec.Body)
	}
	request{"POST", "/publish?topic=a&event=gateway.open", "", "x"}.do(p)
	if n := p.metric(t, "sse.publishes"); n["failed"] != 2 || n["refused"] != 1 {
		t.Errorf("publishes: %v", n)
	}
}

// A page that is rendered with the cursor of now and then subscribes with it
// misses nothing in between, also of topics that did not exist then.
func TestCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		p.publish(t, "a", "old")
		p.publish(t, "b", "old")
		for _, topics := range []string{"topic=a", "topic=new", "topic=a&topic=b&topic=new", "topic=new&topic=a"} {
			rec := request{"GET", "/cursor?" + topics, "", ""}.do(p)
			var got struct{ Cursor string }
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", topics, rec.Code, rec.Body)
			}
			want := ""
			for _, topic := range []stream.Topic{"a", "b", "new"} {
				p.publish(t, topic, string(topic))
				if strings.Contains(topics, "topic="+string(topic)) {
					want += string(topic)
				}
			}
			m := begin(p, get(t, "http://x/events?"+topics+"&last_event_id="+got.Cursor))
			synctest.Wait()
			m.leave()
			seen := map[string]int{}
			for _, e := range m.events()[1:] {
				seen[e.Data]++
			}
			missed := ""
			for _, topic := range []string{"a", "b", "new"} {
				if seen[topic] == 1 {
					missed += topic
				}
			}
			if missed != want || len(seen) != len(m.events())-1 || seen["old"] > 0 {
				t.Errorf("%s, cursor %s: got %v", topics, got.Cursor, seen)
			}
			p.store.Drop("new")
		}
		if rec := (request{"GET", "/cursor?topic=a", "", ""}).do(p); rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", rec.Header())
		}
	})
}

// boundsFail is a Replayer whose Bounds fails.
type boundsFail struct {
	*slowStore
	err error
}

func TestCursorThatCannotBeHad(t *testing.T) {
	p := newPod(t, Options{})
	p.replayer = boundsFail{p.store, &stream.WrongTypeError{Key: "sse:a"}}
	checkProblem(t, "wrong type", request{"GET", "/cursor?topic=a", "", ""}.do(p), 409, "wrong_type", "rename or delete it")
	p.replayer = boundsFail{p.store, errNetwork}
	rec := request{"GET", "/cursor?topic=a", "", ""}.do(p)
	checkProblem(t, "network", rec, 503, "unavailable", "try again")
	if rec.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func (b boundsFail) Bounds(context.Context, stream.Topic) (stream.Info, error) {
	return stream.Info{}, b.err
}

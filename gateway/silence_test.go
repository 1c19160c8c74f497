package gateway

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// When Redis does not answer, a client that has no position yet gets its
// headers after a moment and then signs of life, and begins with the first
// position there is.
func TestHeadersDoNotWaitForRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.silence = make(chan struct{})
		o := fixedRetry
		o.FirstWait, o.Heartbeat = time.Second, 15*time.Second
		p := newPodOver(t, s, o, noLimits)
		id := s.fill(t, "a", 1, 0)[0]
		m := begin(p, get(t, "http://x/events?topic=a"))
		defer m.leave()
		time.Sleep(time.Second - time.Millisecond)
		if m.text() != "" || m.code() != 0 {
			t.Errorf("status %d and %q before it is time", m.code(), m.text())
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if m.text() != ":\n" || m.code() != http.StatusOK {
			t.Errorf("after FirstWait: status %d, %q", m.code(), m.text())
		}
		time.Sleep(31 * time.Second)
		if m.text() != ":\n:\n:\n" {
			t.Errorf("later: %q", m.text())
		}
		close(s.silence)
		synctest.Wait()
		if want := ":\n:\n:\nretry: 1500\nid: " + id.String() + "\nevent: gateway.open\ndata: {}\n\n"; m.text() != want {
			t.Errorf("when Redis is back: %q", m.text())
		}
	})
}

// A client with a cursor has its position at once, and misses nothing.
func TestAClientWithACursorDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.gate = make(chan struct{})
		s.silence = make(chan struct{})
		p := newPodOver(t, s, fixedRetry, noLimits)
		ids := s.fill(t, "a", 2, 0)
		m := begin(p, get(t, "http://x/events?topic=a", "Last-Event-ID", ids[0].String()))
		synctest.Wait()
		want := "retry: 1500\nid: " + ids[0].String() + "\nevent: gateway.open\ndata: {}\n\n"
		if m.text() != want {
			t.Errorf("got %q", m.text())
		}
		m.leave()
		// With another topic that has none it waits for that.
		m = begin(p, get(t, "http://x/events?topic=a&topic=b", "Last-Event-ID", ids[0].String()))
		synctest.Wait()
		if m.text() != "" {
			t.Errorf("got %q", m.text())
		}
		m.leave()
		// As does one whose position has to be looked up.
		m = begin(p, get(t, "http://x/events?topic=a&since=earliest"))
		time.Sleep(500 * time.Millisecond)
		if m.text() != "" {
			t.Errorf("got %q", m.text())
		}
		time.Sleep(time.Second)
		if m.text() != ":\n" {
			t.Errorf("got %q", m.text())
		}
		m.leave()
	})
}

// While history cannot be read, what was published meanwhile is not lost and
// not overtaken.
func TestHistoryThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		for _, data := range []string{"0", "1", "2"} {
			p.publish(t, "a", data)
		}
		p.store.fail(errNetwork)
		m := begin(p, get(t, "http://x/events?topic=a&last_event_id=0-0"))
		live := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		p.publish(t, "a", "3")
		time.Sleep(20 * time.Second)
		if got := live.events(); len(got) != 2 || got[1].Data != "3" {
			t.Errorf("a live client got %+v", got)
		}
		if got := m.events(); len(got) != 1 || !strings.HasSuffix(m.text(), "\n\n:\n") {
			t.Errorf("the client that waits got %q", m.text())
		}
		p.store.fail(nil)
		time.Sleep(retryMax)
		p.publish(t, "a", "4")
		synctest.Wait()
		checkRun(t, m, -1, 5)
		m.leave()
		live.leave()
	})
}

// A key that is not a stream is the fault of its topic alone: the client is
// told once, and its other topics go on.
func TestATopicThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		m := begin(p, get(t, "http://x/events?topic=a&topic=wrong"))
		synctest.Wait()
		p.publish(t, "a", "1")
		time.Sleep(time.Hour)
		p.publish(t, "a", "2")
		synctest.Wait()
		m.leave()
		var faults, data []string
		for _, e := range m.events()[1:] {
			if e.Type == controlFault {
				faults = append(faults, e.Data)
			} else {
				data = append(data, e.Data)
			}
		}
		if len(faults) != 1 || !strings.Contains(faults[0], `"topic":"wrong"`) || !strings.Contains(faults[0], "does not hold a stream") {
			t.Errorf("told of %v", faults)
		}
		if strings.Join(data, " ") != "1 2" {
			t.Errorf("got %v", data)
		}
		for _, e := range m.events() {
			if _, err := stream.ParseCursor(e.ID); err != nil {
				t.Errorf("%+v: %v", e, err)
			}
		}
	})
}

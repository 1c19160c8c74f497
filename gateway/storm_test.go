package gateway

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// A thousand clients come back to a topic at random points of its last hundred
// entries. What that costs Redis does not depend on how many they are.
func TestAThousandComeBack(t *testing.T) {
	const clients, entries = 1000, 100
	for _, c := range []struct {
		name     string
		warm     bool // the pod has the entries in its window
		maxReads int64
	}{
		{"to a pod that has followed the topic", true, 5},
		{"to a pod that has not", false, 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPod(t, Options{})
				if c.warm {
					m := begin(p, get(t, "http://x/events?topic=a"))
					synctest.Wait()
					defer m.leave()
				}
				var ids []stream.ID
				for i := range entries {
					ids = append(ids, p.publish(t, "a", fmt.Sprint(i)))
				}
				synctest.Wait()
				var open []*memory
				var from []int
				for range clients {
					at := rand.IntN(entries)
					from = append(from, at)
					open = append(open, begin(p, get(t, "http://x/events?topic=a", "Last-Event-ID", ids[at].String())))
				}
				synctest.Wait()
				for i, m := range open {
					checkRun(t, m, from[i], entries)
					m.leave()
				}
				if n := p.store.reads.Load(); n > c.maxReads {
					t.Errorf("%d reads of history, at most %d are allowed", n, c.maxReads)
				} else {
					t.Logf("%d reads of history", n)
				}
			})
		})
	}
}

// Clients far behind, and windows that hold next to nothing: all read from
// pages, and the pages are shared.
func TestManyComeBackFromFarBehind(t *testing.T) {
	const clients, entries = 150, 5000
	synctest.Test(t, func(t *testing.T) {
		p := newPodOver(t, newSlowStore(), Options{}, broadcaster.Limits{TopicBytes: 1})
		var ids []stream.ID
		for i := range entries {
			ids = append(ids, p.publish(t, "a", fmt.Sprint(i)))
		}
		var open []*memory
		var from []int
		for range clients {
			at := rand.IntN(entries)
			from = append(from, at)
			open = append(open, begin(p, get(t, "http://x/events?topic=a", "Last-Event-ID", ids[at].String())))
		}
		synctest.Wait()
		for i, m := range open {
			checkRun(t, m, from[i], entries)
			m.leave()
		}
		// Pages of up to 1024 entries; at first few, and not all at the lowest.
		if n := p.store.reads.Load(); n > 30 {
			t.Errorf("%d reads of history", n)
		} else {
			t.Logf("%d reads of history", n)
		}
	})
}

// checkRun checks that a client that came back at entry from was sent the rest,
// up to entry n, and nothing else.
func checkRun(t *testing.T, m *memory, from, n int) {
	t.Helper()
	events := m.events()
	if len(events) != n-from || events[0].Type != controlOpen {
		t.Fatalf("came back at %d of %d: %d events, begins %.200q", from, n, len(events), m.text())
	}
	for i, e := range events[1:] {
		if e.Data != fmt.Sprint(from+1+i) {
			t.Fatalf("came back at %d: event %d is %q", from, i, e.Data)
		}
	}
}

// Clients that come and go while Redis does not answer leave nothing in the
// history, and nothing is read for them when it is back.
func TestManyComeAndGoWhileRedisIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		ids := p.store.fill(t, "a", 1000, 0)
		p.store.fail(errNetwork)
		for i := range 300 {
			query := "topic=a&last_event_id=" + ids[i].String()
			if i%3 == 0 {
				query = "topic=a&last=5"
			}
			m := begin(p, get(t, "http://x/events?"+query))
			synctest.Wait()
			m.leave()
		}
		h := p.history
		h.mu.Lock()
		wishes, wakers := h.shelves["a"].wishes.Len(), 0
		for _, k := range h.seeks {
			wakers += len(k.wakers)
		}
		h.mu.Unlock()
		if wishes+wakers > 0 {
			t.Errorf("%d wishes and %d who wait are left", wishes, wakers)
		}
		p.store.fail(nil)
		before := p.store.reads.Load() + p.store.seeks.Load()
		time.Sleep(time.Minute)
		// The two that were under way.
		if n := p.store.reads.Load() + p.store.seeks.Load() - before; n > 2 {
			t.Errorf("%d reads for nobody", n)
		}
		if bytes, _ := h.stats(); bytes != 0 {
			t.Errorf("%d bytes of pages are left", bytes)
		}
	})
}

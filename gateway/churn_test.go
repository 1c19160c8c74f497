package gateway

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// Two pods over one store, with the real Broadcaster and its windows of a few
// entries, and clients that come and go all the time while everybody
// publishes. The seam's simulation draws every order of things one by one;
// here they really happen at once.
func TestChurn(t *testing.T) {
	const topics, clients, publishers, events = 6, 40, 4, 400
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore()
		var pods []*pod
		for range 2 {
			pods = append(pods, newPodOver(t, store, Options{HistoryBytes: 10_000}, broadcaster.Limits{TopicBytes: 1500}))
		}
		name := func(i int) stream.Topic { return stream.Topic(fmt.Sprint("t", i)) }
		var published, left sync.WaitGroup
		stop := make(chan struct{})
		for range publishers {
			published.Go(func() {
				for range events {
					pods[rand.IntN(2)].publish(t, name(rand.IntN(topics)), strings.Repeat("x", rand.IntN(100)))
					time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
				}
			})
		}
		all := make([]*visitor, clients)
		for i := range all {
			v := &visitor{got: map[stream.Topic][]stream.ID{}, from: map[stream.Topic]stream.ID{}}
			for _, n := range rand.Perm(topics)[:1+rand.IntN(topics)] {
				v.topics = append(v.topics, name(n))
			}
			all[i] = v
			left.Go(func() {
				for {
					select {
					case <-stop:
						v.visit(t, pods[rand.IntN(2)], 5*time.Second)
						return
					default:
						v.visit(t, pods[rand.IntN(2)], time.Duration(rand.IntN(300))*time.Millisecond)
					}
				}
			})
		}
		published.Wait()
		close(stop)
		left.Wait()
		for i, v := range all {
			v.check(t, i, store)
		}
		for _, p := range pods {
			if n := p.metric(t, "sse.gaps")[""] + p.metric(t, "sse.resets")[""]; n > 0 {
				t.Errorf("%d gaps and resets", n)
			}
		}
	})
}

// visitor is a client with all it has received.
type visitor struct {
	topics []stream.Topic
	cursor string
	from   map[stream.Topic]stream.ID // where it was when it first came
	got    map[stream.Topic][]stream.ID
}

// visit opens a stream for some time. The last bytes may be lost.
func (v *visitor) visit(t *testing.T, p *pod, stay time.Duration) {
	rand.Shuffle(len(v.topics), func(i, j int) { v.topics[i], v.topics[j] = v.topics[j], v.topics[i] })
	url := "http://x/events?last_event_id=" + v.cursor
	for _, topic := range v.topics {
		url += "&topic=" + string(topic)
	}
	m := begin(p, get(t, url))
	time.Sleep(stay)
	m.leave()
	text := m.text()
	if stay < time.Second {
		text = text[:rand.IntN(len(text)+1)]
	}
	v.take(t, strings.NewReader(text), func() bool { return false })
}

// take notes what comes until it ends, or is done.
func (v *visitor) take(t *testing.T, body io.Reader, done func() bool) {
	d := sse.NewDecoder(body)
	for e, err := d.Decode(); err == nil; e, err = d.Decode() {
		c, err := stream.ParseCursor(e.ID)
		if err != nil {
			t.Errorf("%+v: %v", e, err)
			return
		}
		for i, topic := range v.topics {
			at, ok := c.Position(topic, i == 0)
			switch {
			case !ok:
				t.Errorf("%+v does not name %s", e, topic)
			case e.Type != controlOpen:
				if n := len(v.got[topic]); (n == 0 && at != v.from[topic] || n > 0 && v.got[topic][n-1] != at) && !at.IsZero() {
					v.got[topic] = append(v.got[topic], at)
				}
			case v.cursor == "":
				v.from[topic] = at
			}
		}
		if v.cursor = e.ID; done() {
			return
		}
	}
}

// check compares what a visitor has received with what there is.
func (v *visitor) check(t *testing.T, n int, s *slowStore) {
	for _, topic := range v.topics {
		page, err := s.Memory.Read(t.Context(), topic, v.from[topic], stream.MaxID, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		got := v.got[topic]
		for i, e := range page.Entries {
			if i >= len(got) || got[i] != e.ID {
				t.Errorf("client %d, %s: got %d of %d entries since %v, entry %d is not %v", n, topic, len(got), len(page.Entries), v.from[topic], i, e.ID)
				break
			}
		}
		if len(got) > len(page.Entries) {
			t.Errorf("client %d, %s: got %d entries of %d", n, topic, len(got), len(page.Entries))
		}
	}
}

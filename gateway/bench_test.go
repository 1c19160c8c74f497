package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// signal is a notifier that a goroutine can wait for.
type signal chan struct{}

func (s signal) notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

func (s signal) cut(time.Duration) {}

// waiting is a session over the real Broadcaster that has n events of 200
// bytes to send on each of some topics, as often as it is rewound.
type waiting struct {
	*session
	b    batch
	from []stream.Position
}

func newWaiting(t testing.TB, topics, n int) *waiting {
	t.Helper()
	p := newPod(t, Options{})
	sub := &subscription{control: true}
	for i := range topics {
		sub.topics = append(sub.topics, stream.Topic(fmt.Sprint("topic-", i)))
	}
	w := &waiting{session: newSession(p.Gateway, sub), b: batch{max: portableBatch, frame: true}}
	wake := make(signal, 1)
	w.notifier = wake
	if err := w.follow(sub.topics); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	await := func(what string, done func() bool) {
		for !done() {
			<-wake
			w.send()
		}
	}
	await("first block", func() bool { return w.opened })
	for i := range w.feeds {
		w.from = append(w.from, w.feeds[i].pos)
	}
	for range n {
		for _, topic := range sub.topics {
			p.publish(t, topic, strings.Repeat("x", 200))
		}
	}
	await("all events", func() bool {
		for i := range w.feeds {
			if w.feeds[i].pos.Index-w.from[i].Index != uint64(n) {
				return false
			}
		}
		return true
	})
	return w
}

// rewind makes all events wait again.
func (w *waiting) rewind() {
	for i := range w.feeds {
		w.feeds[i].pos = w.from[i]
	}
}

// send sends everything there is, as a transport does, and returns how many
// bytes that were.
func (w *waiting) send() (n int) {
	for {
		w.b.reset()
		state := w.next(&w.b)
		w.commit(&w.b, len(w.b.buf))
		n += len(w.b.buf)
		if state != more {
			return n
		}
	}
}

var pending = []struct{ topics, events int }{{1, 1}, {1, 10}, {8, 1}, {8, 10}}

// A delivery costs no memory: frames are encoded once for all, and a session
// has nothing of its own to make.
func TestDeliveriesDoNotAllocate(t *testing.T) {
	for _, c := range pending {
		w := newWaiting(t, c.topics, c.events)
		sent := 0
		allocs := testing.AllocsPerRun(100, func() {
			w.rewind()
			sent = w.send()
		})
		if want := c.topics * c.events * 200; sent < want {
			t.Errorf("%d topics: sent %d bytes, want at least %d", c.topics, sent, want)
		}
		if allocs > 0 {
			t.Errorf("%d topics with %d events each: %v allocations", c.topics, c.events, allocs)
		}
	}
}

// BenchmarkDelivery is next and commit, without a socket; ns/event is for one
// event.
func BenchmarkDelivery(b *testing.B) {
	for _, c := range pending {
		b.Run(fmt.Sprintf("topics=%d/pending=%d", c.topics, c.events), func(b *testing.B) {
			w := newWaiting(b, c.topics, c.events)
			b.ReportAllocs()
			for b.Loop() {
				w.rewind()
				w.send()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.topics*c.events), "ns/event")
		})
	}
}

// counter is a response that counts events.
type counter struct {
	header http.Header
	got    *sync.WaitGroup
}

func (c counter) Header() http.Header { return c.header }
func (c counter) WriteHeader(int)     {}
func (c counter) FlushError() error   { return nil }

func (c counter) SetWriteDeadline(time.Time) error { return nil }

func (c counter) Write(p []byte) (int, error) {
	c.got.Add(-bytes.Count(p, []byte("\n\n")))
	return len(p), nil
}

// BenchmarkFanOut publishes to a topic with a thousand connections of the
// portable transport, goroutines and wake-ups included; ns/delivery is for one
// connection.
func BenchmarkFanOut(b *testing.B) {
	const clients = 1000
	p := newPod(b, Options{})
	var got, left sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	got.Add(clients) // first blocks
	for range clients {
		left.Go(func() {
			defer func() { _ = recover() }() // http.ErrAbortHandler: the stream is cut
			p.ServeHTTP(counter{http.Header{}, &got}, get(b, "http://x/events?topic=a").WithContext(ctx))
		})
	}
	got.Wait()
	data := strings.Repeat("x", 200)
	b.ReportAllocs()
	for b.Loop() {
		got.Add(clients)
		p.publish(b, "a", data)
		got.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/delivery")
	cancel()
	left.Wait()
}

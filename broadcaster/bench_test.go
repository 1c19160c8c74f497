package broadcaster

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

var payload = strings.Repeat("x", 200)

// full returns a tail whose window holds n events of 200 bytes.
func full(n int) *tail {
	t := &tail{topic: "t", maxBytes: 1 << 30}
	t.wake()
	t.finish(t.begin(), result{})
	t.wake()
	p := t.begin()
	page := stream.Page{}
	for i := range n {
		page.Entries = append(page.Entries, stream.Entry{ID: stream.ID{Ms: uint64(i + 1)}, Fields: []string{"data", payload}})
	}
	t.finish(p, result{page: page})
	return t
}

func TestReadingTheLogAllocatesNothing(t *testing.T) {
	tl := full(100)
	start, err := tl.Seek(stream.ID{})
	if err != nil {
		t.Fatal(err)
	}
	p := start
	if n := testing.AllocsPerRun(1000, func() {
		if p = advance(t, tl, p, 12); p.Index == 100 {
			p = start
		}
		_ = tl.State()
		if _, err := tl.Seek(p.ID); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// advance reads at most n frames after p, and returns the position after them.
func advance(t testing.TB, log stream.Log, p stream.Position, n int) stream.Position {
	frames, err := log.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames[:min(n, len(frames))] {
		p.ID, p.Index = f.ID, p.Index+1
	}
	return p
}

// BenchmarkRead is what a delivery costs in the log: one event read, and the
// position moved past it.
func BenchmarkRead(b *testing.B) {
	for _, coalesced := range []int{1, 10} {
		b.Run(fmt.Sprintf("coalesced=%d", coalesced), func(b *testing.B) {
			tl := full(1000)
			start, err := tl.Seek(stream.ID{})
			if err != nil {
				b.Fatal(err)
			}
			p := start
			b.ReportAllocs()
			for b.Loop() {
				if p = advance(b, tl, p, coalesced); p.Index == 1000 {
					p = start
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*coalesced), "ns/event")
		})
	}
}

// BenchmarkReadShared is the same with readers on all cores.
func BenchmarkReadShared(b *testing.B) {
	tl := full(1000)
	start, err := tl.Seek(stream.ID{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		p := start
		for pb.Next() {
			if p = advance(b, tl, p, 1); p.Index == 1000 {
				p = start
			}
		}
	})
}

// counted is a connection that counts wake-ups, as one with a flag and a
// queue of its shard would.
type counted struct{ woken atomic.Bool }

func (c *counted) Wake() { c.woken.Store(true) }

func (c *counted) End(error) {}

// BenchmarkWake is one batch that wakes 10,000 connections.
func BenchmarkWake(b *testing.B) {
	const conns = 10_000
	tl := full(1)
	for range conns {
		tl.subs.add(&subscription{tail: tl, of: &Membership{conn: &counted{}}})
	}
	b.ReportAllocs()
	for b.Loop() {
		tl.subs.wake()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*conns), "ns/conn")
}

// memoryless is a source that always has one more entry.
type memoryless struct{ ms uint64 }

func (m *memoryless) heads(_ context.Context, topics []stream.Topic) ([]stream.Info, []error) {
	return make([]stream.Info, len(topics)), make([]error, len(topics))
}

func (m *memoryless) pages(_ context.Context, reads []tailRead) []result {
	m.ms++
	results := make([]result, len(reads))
	for i, r := range reads {
		results[i].page = stream.Page{Start: r.at, Entries: []stream.Entry{{ID: stream.ID{Ms: m.ms}, Fields: []string{"data", payload}}}}
	}
	return results
}

func (m *memoryless) newer(_ context.Context, reads []tailRead) ([]bool, error) {
	return make([]bool, len(reads)), nil
}

func (m *memoryless) add(context.Context, stream.Topic, stream.Message) (stream.ID, error) {
	return stream.ID{}, nil
}

func (m *memoryless) load(context.Context, int) time.Duration { return time.Hour }

func (m *memoryless) follow(stream.Topic)   {}
func (m *memoryless) unfollow(stream.Topic) {}
func (m *memoryless) close()                {}

// BenchmarkFlush is the flusher's own work: entries read are encoded, put into
// windows and counted, and one connection of each topic is woken. Redis is left
// out.
func BenchmarkFlush(b *testing.B) {
	for _, topics := range []int{1, 100, maxBatch} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			s := &memoryless{}
			h := &hub{timing: defaultTiming(), source: s, listen: s}
			h.timing.MinSweep = time.Hour
			if err := h.setUp(Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = h.Close(context.Background()) }()
			batch := make([]*tail, topics)
			for i := range batch {
				batch[i] = &tail{topic: stream.Topic(fmt.Sprint(i)), maxBytes: h.limits.TopicBytes}
				batch[i].subs.add(&subscription{tail: batch[i], of: &Membership{conn: &counted{}}})
			}
			h.readBatch(b.Context(), batch) // the first position
			b.ReportAllocs()
			for b.Loop() {
				if !h.readBatch(b.Context(), batch) {
					b.Fatal("no answer")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*topics), "ns/event")
		})
	}
}

// BenchmarkRedis is from XADD to the connection that is woken, with topics
// followed beside; and how many events a second a pod takes in when they come
// as fast as Redis can.
func BenchmarkRedis(b *testing.B) {
	for _, topics := range []int{1, 5000} {
		s := redistest.Start(b)
		r, err := NewRedis(s.Client(), RedisOptions{Options: Options{Logger: slog.New(slog.DiscardHandler)}})
		if err != nil {
			b.Fatal(err)
		}
		logs, conns := make([]stream.Log, topics), make([]wakened, topics)
		for i := range logs {
			conns[i] = make(wakened, 1)
			if err := r.Register(conns[i]); err != nil {
				b.Fatal(err)
			}
			if logs[i], err = r.Subscribe(conns[i], stream.Topic(fmt.Sprint(i))); err != nil {
				b.Fatal(err)
			}
		}
		for i, log := range logs {
			for !log.State().Synced {
				<-conns[i]
			}
		}
		pub := s.Client()
		add := func(n, topic int) {
			pipe := pub.Pipeline()
			for range n {
				pipe.XAdd(b.Context(), &redis.XAddArgs{Stream: fmt.Sprint("sse:", topic), MaxLen: 1000, Approx: true, Values: []any{"data", payload}})
			}
			if _, err := pipe.Exec(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		arrive := func(topic int, index uint64) {
			for logs[topic].State().Head.Index < index {
				<-conns[topic]
			}
		}
		sent := make([]uint64, topics)
		b.Run(fmt.Sprintf("latency/topics=%d", topics), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				t := i % topics
				add(1, t)
				sent[t]++
				arrive(t, sent[t])
			}
		})
		b.Run(fmt.Sprintf("throughput/topics=%d", topics), func(b *testing.B) {
			const burst = 1000
			for i := 0; b.Loop(); i++ {
				t := i % topics
				add(burst, t)
				sent[t] += burst
				arrive(t, sent[t])
			}
			b.ReportMetric(float64(b.N*burst)/b.Elapsed().Seconds(), "events/s")
		})
		if err := r.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}
}

package gateway

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// BenchmarkCollection is what 100,000 open streams cost the garbage collector:
// CPU of one cycle, and memory of one connection. They are all there is of a
// direct connection but the socket.
func BenchmarkCollection(b *testing.B) {
	for _, c := range []struct{ conns, topics, each int }{{100_000, 100, 1}, {100_000, 100_000, 1}, {100_000, 1000, 8}} {
		b.Run(fmt.Sprintf("conns=%d/topics=%d/each=%d", c.conns, c.topics, c.each), func(b *testing.B) {
			p := newPod(b, Options{})
			before := heap()
			sh, err := newShard(p.Gateway, time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			defer sh.epoll.Close()
			for i := range c.conns {
				sub := &subscription{control: true}
				for k := range c.each {
					sub.topics = append(sub.topics, stream.Topic(fmt.Sprint("topic-", (i*c.each+k)%c.topics)))
				}
				simulate(b, sh, sub)
			}
			for _, s := range p.sessions {
				for !s.opened || int(s.outSent) < len(s.out) {
					sh.batch.reset()
					s.next(&sh.batch)
					s.commit(&sh.batch, len(sh.batch.buf))
					runtime.Gosched()
				}
				sh.batch.reset()
				s.next(&sh.batch)
			}
			sh.collect()
			per := float64(heap()-before) / float64(c.conns)
			runtime.GC()
			start := cpuTime(b)
			for b.Loop() {
				runtime.GC()
			}
			b.ReportMetric(float64((cpuTime(b)-start).Microseconds())/1000/float64(b.N), "ms-cpu/cycle")
			b.ReportMetric(per, "B/conn")
			for _, s := range slices.Clone(p.sessions) {
				s.finish(endClient)
			}
		})
	}
}

// simulate opens a stream that has no socket.
func simulate(b *testing.B, sh *shard, sub *subscription) {
	b.Helper()
	c := &directConn{shard: sh, fd: -1, slot: int32(len(sh.slots)), chunked: true}
	s := c.of()
	s.init(sh.g, sub)
	sh.slots = append(sh.slots, slot{c: c})
	s.notifier = c
	if !sh.g.add(s) {
		b.Fatal("no room")
	}
	if err := s.follow(sub.topics); err != nil {
		b.Fatal(err)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

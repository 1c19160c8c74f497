package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// BenchmarkLatency compares the time from XADD to a client with that from a
// bare PUBLISH to a bare subscriber, in turn, 500 of each a second. It reports
// medians in µs and their ratio.
func BenchmarkLatency(b *testing.B) {
	for _, topics := range []int{1, 5000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) { latency(b, topics) })
	}
}

// samples collects durations from many goroutines.
type samples struct {
	mu   sync.Mutex
	list []time.Duration
}

func (s *samples) add(payload []byte) {
	d := age(payload)
	s.mu.Lock()
	s.list = append(s.list, d)
	s.mu.Unlock()
}

func (s *samples) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

func latency(b *testing.B, topics int) {
	const perSecond, seconds = 500, 10
	r := rig.StartRedis(b)
	pod := rig.StartPod(b, r.URL())
	var events, floor samples

	clients := make([]*listener, topics)
	for i := range clients {
		clients[i] = listen(b, pod.Addr, "topic=t"+strconv.Itoa(i), "", events.add)
	}
	for _, c := range clients {
		c.await(b)
	}
	sub := dialRedis(b, r.Addr)
	sub.do(b, "SUBSCRIBE", "floor")
	go func() {
		for {
			p, err := sub.reply()
			if err != nil {
				return
			}
			floor.add(p)
		}
	}()

	pub := dialRedis(b, r.Addr)
	used := cpu(b, pod.PID())
	tick := time.NewTicker(time.Second / perSecond / 2)
	defer tick.Stop()
	const n = perSecond * seconds
	b.ResetTimer()
	for range n {
		<-tick.C
		pub.do(b, "PUBLISH", "floor", stamp())
		<-tick.C
		pub.do(b, "XADD", "sse:t"+strconv.Itoa(rand.IntN(topics)), "MAXLEN", "~", "100", "*", "data", stamp())
	}
	for deadline := time.Now().Add(10 * time.Second); events.len() < n && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	if events.len() != n {
		b.Fatalf("%d of %d events arrived", events.len(), n)
	}
	used = cpu(b, pod.PID()) - used
	event, bare := percentile(events.list, .5), percentile(floor.list, .5)
	b.ReportMetric(micros(event), "µs-event-p50")
	b.ReportMetric(micros(percentile(events.list, .99)), "µs-event-p99")
	b.ReportMetric(micros(bare), "µs-floor-p50")
	b.ReportMetric(float64(event)/float64(bare), "ratio-p50")
	b.ReportMetric(micros(used)/n, "µs-cpu/event")
	b.ReportMetric(0, "ns/op") // its time is the pace's
}

package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// BenchmarkLatency compares the time from XADD to a client with that from a
// bare PUBLISH to a bare subscriber, in turn, 500 of each a second. It reports
// medians in µs and their ratio. Publisher, Redis, pod and receiver are four
// processes.
func BenchmarkLatency(b *testing.B) {
	for _, topics := range []int{1, 5000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) { latency(b, topics) })
	}
}

func latency(b *testing.B, topics int) {
	const perSecond, seconds = 500, 10
	const n = perSecond * seconds
	r := rig.StartRedis(b, "--appendonly", "no")
	pod := rig.StartPod(b, r.URL())
	pub := dialRedis(b, r.Addr)
	for i := range topics { // a topic has a history, but for its first event
		pub.do(b, "XADD", "sse:t"+strconv.Itoa(i), "*", "data", stamp())
	}
	done := startReceiver(b, job{Redis: r.Addr, Pod: pod.Addr, Topics: topics, Count: n})

	used := cpu(b, pod.PID())
	tick := time.NewTicker(time.Second / perSecond / 2)
	defer tick.Stop()
	b.ResetTimer()
	for range n {
		<-tick.C
		pub.do(b, "PUBLISH", "floor", stamp())
		<-tick.C
		pub.do(b, "XADD", "sse:t"+strconv.Itoa(rand.IntN(topics)), "MAXLEN", "~", "100", "*", "data", stamp())
	}
	o := done()
	b.StopTimer()
	used = cpu(b, pod.PID()) - used
	if o.Events.N != n || o.Floor.N != n {
		b.Fatalf("%d events and %d messages of %d arrived", o.Events.N, o.Floor.N, n)
	}
	b.ReportMetric(micros(o.Events.P50), "µs-event-p50")
	b.ReportMetric(micros(o.Events.P99), "µs-event-p99")
	b.ReportMetric(micros(o.Floor.P50), "µs-floor-p50")
	b.ReportMetric(micros(o.Floor.P99), "µs-floor-p99")
	b.ReportMetric(float64(o.Events.P50)/float64(o.Floor.P50), "ratio-p50")
	b.ReportMetric(micros(used)/n, "µs-cpu/event")
	b.ReportMetric(0, "ns/op") // its time is the pace's
}

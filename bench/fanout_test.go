package bench

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// BenchmarkFanOut sends 1,000 events a second to 1,000 connections on one
// topic. When the pod cannot write each at once, events gather and go out
// together: writes per delivery falls below 1. It reports the pod's CPU time
// per delivery and the reads that Redis saw per event.
func BenchmarkFanOut(b *testing.B) {
	const connections, perSecond, seconds = 1000, 1000, 10
	r := rig.StartRedis(b, "--appendonly", "no")
	pod := rig.StartPod(b, r.URL())
	clients := make([]*listener, connections)
	for i := range clients {
		clients[i] = listen(b, pod.Addr, "topic=all", "", nil)
	}
	for _, c := range clients {
		c.await(b)
	}
	pub := dialRedis(b, r.Addr)
	used, calls, reads := cpu(b, pod.PID()), writes(b, pod.PID()), streamReads(b, pub)
	const n = perSecond * seconds
	b.ResetTimer()
	start := time.Now()
	for sent := 0; sent < n; {
		for due := int(time.Since(start).Seconds() * perSecond); sent < min(due, n); sent++ {
			pub.do(b, "XADD", "sse:all", "MAXLEN", "~", "1000", "*", "data", stamp())
		}
		time.Sleep(time.Millisecond)
	}
	var delivered int64
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		delivered = 0
		for _, c := range clients {
			delivered += c.events.Load()
		}
		if delivered == n*connections {
			break
		}
	}
	took := time.Since(start)
	b.StopTimer()
	if delivered != n*connections {
		b.Fatalf("%d of %d deliveries", delivered, n*connections)
	}
	used, calls, reads = cpu(b, pod.PID())-used, writes(b, pod.PID())-calls, streamReads(b, pub)-reads
	b.ReportMetric(micros(used)/float64(delivered), "µs-cpu/delivery")
	b.ReportMetric(float64(calls)/float64(delivered), "writes/delivery")
	b.ReportMetric(float64(reads)/n, "reads/event")
	b.ReportMetric(float64(delivered)/took.Seconds(), "deliveries/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkResume lets 1,000 clients come back at random points of the last
// 100 entries of one topic, to a pod that has been following it (warm) and to
// one that has not (cold), and reports how often Redis was read.
func BenchmarkResume(b *testing.B) {
	for _, warm := range []bool{true, false} {
		name := "cold"
		if warm {
			name = "warm"
		}
		b.Run(name, func(b *testing.B) { resume(b, warm) })
	}
}

func resume(b *testing.B, warm bool) {
	const clients, entries = 1000, 100
	r := rig.StartRedis(b, "--appendonly", "no")
	pod := rig.StartPod(b, r.URL())
	pub := dialRedis(b, r.Addr)
	if warm {
		listen(b, pod.Addr, "topic=all", "", nil).await(b)
	}
	ids := make([]string, 0, entries+1)
	for range entries + 1 {
		ids = append(ids, string(pub.do(b, "XADD", "sse:all", "*", "data", stamp())))
	}
	if warm { // until the pod has them
		l := listen(b, pod.Addr, "topic=all", ids[0], nil)
		for l.events.Load() < entries {
			time.Sleep(time.Millisecond)
		}
	}
	reads, used := streamReads(b, pub), cpu(b, pod.PID())
	b.ResetTimer()
	all := make([]*listener, clients)
	want := make([]int64, clients)
	for i := range all {
		at := rand.IntN(entries)
		want[i] = int64(entries - at)
		all[i] = listen(b, pod.Addr, "topic=all", ids[at], nil)
	}
	replayed := int64(0)
	for i, l := range all {
		for deadline := time.Now().Add(30 * time.Second); l.events.Load() < want[i]; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				b.Fatalf("client %d got %d of %d events", i, l.events.Load(), want[i])
			}
		}
		replayed += want[i]
	}
	b.StopTimer()
	used = cpu(b, pod.PID()) - used
	b.ReportMetric(float64(streamReads(b, pub)-reads), "reads")
	b.ReportMetric(micros(used)/clients, "µs-cpu/client")
	b.ReportMetric(float64(replayed)/clients, "events/client")
	b.ReportMetric(0, "ns/op")
}

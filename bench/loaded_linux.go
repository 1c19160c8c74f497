package main

import (
	"context"
	"math/rand/v2"
	"strconv"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
	"github.com/ssegateway/sse-gateway/bench/internal/resp"
	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// slowClients compares the latency of those who read, without and with others
// that have stopped to.
func slowClients(ctx context.Context, l *lab) (*report.Round, error) {
	const rate, others = 100, 30 // half of it to the readers' topic
	readers, slow := l.conns(1000), l.conns(1500)
	both := func(i int) string {
		if i%2 == 0 {
			return "t0"
		}
		return "u" + strconv.Itoa(i/2%others)
	}
	phase := func() (window, error) {
		return l.measure(ctx, func() error {
			return l.deliver(ctx, traffic{topic: both, rate: rate, batches: int(rate * l.seconds(8))})
		})
	}
	if _, err := l.connect(ctx, "all", load.Connect{N: readers, Next: 1}); err != nil {
		return nil, err
	}
	if err := l.deliver(ctx, traffic{rate: rate, batches: rate}); err != nil {
		return nil, err
	}
	without, err := phase()
	if err != nil {
		return nil, err
	}
	before, err := l.memory()
	if err != nil {
		return nil, err
	}
	for group, c := range map[string]load.Connect{
		"slow, same topic":   {N: slow, ReceiveBuffer: 4096},
		"slow, other topics": {N: slow, ReceiveBuffer: 4096, Prefix: "u", Topics: others},
	} {
		if _, err := l.connect(ctx, group, c); err != nil {
			return nil, err
		}
		if _, err := l.load.Do(ctx, load.Command{Op: load.OpStop, Group: group, N: slow}); err != nil {
			return nil, err
		}
	}
	// Fill what can be filled: 300 events, 70 KB, to each.
	if err := l.deliver(ctx, traffic{rate: 300, batches: 300}); err != nil {
		return nil, err
	}
	if err := l.send(ctx, traffic{topic: func(i int) string { return "u" + strconv.Itoa(i%others) }, rate: 5000, batches: 300 * others}); err != nil {
		return nil, err
	}
	with, err := phase()
	if err != nil {
		return nil, err
	}
	after, err := l.memory()
	if err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("p99 with ÷ without", "×", float64(with.Latency.P99)/float64(without.Latency.P99))
	addLatency(r, ", without", without.Latency)
	addLatency(r, ", with", with.Latency)
	r.Add("RSS per slow client", "KB", kilobytes(after.RSS-before.RSS, 2*slow))
	r.Add("kernel buffers per slow client, both ends", "KB", kilobytes(after.Buffers-before.Buffers, 2*slow))
	return r, nil
}

// latencyRatio sends events and bare messages in turn, which end in the same
// process: publisher, Redis, pod and receiver are four.
func latencyRatio(ctx context.Context, l *lab, topics int) (*report.Round, error) {
	const rate = 500 // of each
	topics = l.conns(topics)
	// A topic has a history, but for its first event.
	if err := l.send(ctx, traffic{topic: roundRobin(topics), batches: topics}); err != nil {
		return nil, err
	}
	if _, err := l.connect(ctx, "all", load.Connect{N: topics, Topics: topics, Next: 2}); err != nil {
		return nil, err
	}
	bare := load.Connect{N: 1, Mode: load.PubSub, Addr: l.redisAddr, Next: 1}
	if _, err := l.load.Do(ctx, load.Command{Op: load.OpConnect, Group: "bare", Connect: bare}); err != nil {
		return nil, err
	}
	n := int(rate * l.seconds(10))
	w, err := l.measure(ctx, func() error {
		err := l.pub.Run(ctx, resp.Plan{Rate: 2 * rate, Batches: 2 * n, Replies: 1, Append: func(b []byte, i int, stamp int64) []byte {
			if i%2 == 0 {
				return resp.Append(b, "PUBLISH", load.PubSubChannel, string(wire.AppendPayload(nil, stamp, uint64(i/2+1))))
			}
			t := traffic{topic: func(int) string { return "t" + strconv.Itoa(rand.IntN(topics)) }, perBatch: 1}
			return l.appendBatch(b, t, i, stamp)
		}})
		if err != nil {
			return err
		}
		if err := l.total(ctx, "bare", n); err != nil {
			return err
		}
		return l.total(ctx, "all", n)
	})
	if err != nil {
		return nil, err
	}
	if err := exactly(w.Report, n); err != nil {
		return nil, err
	}
	floor, err := l.report(ctx, "bare")
	if err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("p50 ÷ that of a bare PUBLISH", "×", float64(w.Latency.P50)/float64(floor.Latency.P50))
	r.Add("p50", "µs", micros(w.Latency.P50))
	r.Add("p99", "µs", micros(w.Latency.P99))
	r.Add("p50, bare PUBLISH", "µs", micros(floor.Latency.P50))
	r.Add("p99, bare PUBLISH", "µs", micros(floor.Latency.P99))
	r.Add("CPU per event", "µs", micros(w.server)/float64(n))
	return r, nil
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// delivering measures what it costs to bring the events of one topic to many.
// The floor does the same without Redis.
type delivering struct {
	connections int
	rate        float64 // batches per second
	perBatch    int     // events that are there at once
	seconds     float64
	nap         bool // see load.OpNap: CPU is measured, not latency
}

func (d delivering) run(ctx context.Context, l *lab) (*report.Round, error) {
	n := l.conns(d.connections)
	if _, err := l.connect(ctx, "all", load.Connect{N: n, Next: 1}); err != nil {
		return nil, err
	}
	if err := l.nap(ctx, d.nap); err != nil {
		return nil, err
	}
	// Warm up: what is allocated once, and congestion windows.
	if err := l.deliver(ctx, traffic{rate: d.rate, batches: max(int(d.rate), 3), perBatch: d.perBatch}); err != nil {
		return nil, err
	}
	batches := max(int(d.rate*l.seconds(d.seconds)), 1)
	w, err := l.measure(ctx, func() error {
		return l.deliver(ctx, traffic{rate: d.rate, batches: batches, perBatch: d.perBatch})
	})
	if err != nil {
		return nil, err
	}
	events := batches * d.perBatch
	deliveries := float64(events * n)
	if err := exactly(w.Report, events*n); err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add(perDelivery, "µs", micros(w.server)/deliveries)
	r.Add(perSecond, "", deliveries/w.server.Seconds())
	r.Add("deliveries per write", "", deliveries/float64(max(w.Segments, 1)))
	r.Add("context switches per event", "", float64(w.switches)/float64(events))
	if l.redis != nil {
		r.Add("Redis CPU per event", "µs", micros(w.redis)/float64(events))
		r.Add("Redis reads per event", "", float64(w.reads)/float64(events))
	}
	r.Add("clients' CPU per delivery", "µs", micros(w.load)/deliveries)
	if !d.nap {
		addLatency(r, "", w.Latency)
	}
	return r, nil
}

// deliver publishes and waits until the group "all", on topic t0, has it.
func (l *lab) deliver(ctx context.Context, t traffic) error {
	if err := l.send(ctx, t); err != nil {
		return err
	}
	return l.arrived(ctx, "all")
}

// window is what happened between two moments.
type window struct {
	usage
	load.Report
}

// measure runs something between two looks at all processes and at the
// counters of the group "all".
func (l *lab) measure(ctx context.Context, what func() error) (w window, err error) {
	if err := l.reset(ctx, "all"); err != nil {
		return w, err
	}
	begin, err := l.begin(ctx)
	if err != nil {
		return w, err
	}
	if err := what(); err != nil {
		return w, err
	}
	if w.usage, err = l.since(begin); err != nil {
		return w, err
	}
	w.Report, err = l.report(ctx, "all")
	return w, err
}

// manyToOne measures what an event costs that goes to one connection alone.
func manyToOne(ctx context.Context, l *lab) (*report.Round, error) {
	const rate = 1500
	topics := l.conns(4000)
	if _, err := l.connect(ctx, "all", load.Connect{N: topics, Topics: topics, Next: 1}); err != nil {
		return nil, err
	}
	total := 0
	publish := func(seconds float64) error {
		n := int(rate * seconds)
		total = n
		if err := l.send(ctx, traffic{topic: roundRobin(topics), rate: rate, batches: n}); err != nil {
			return err
		}
		return l.total(ctx, "all", n)
	}
	if err := publish(l.seconds(3)); err != nil { // each topic has a history then, nearly
		return nil, err
	}
	// CPU first, with clients that nap, then latency.
	if err := l.nap(ctx, true); err != nil {
		return nil, err
	}
	w, err := l.measure(ctx, func() error { return publish(l.seconds(10)) })
	if err != nil {
		return nil, err
	}
	if err := exactly(w.Report, total); err != nil {
		return nil, err
	}
	n := float64(total)
	r := &report.Round{}
	r.Add(perEvent, "µs", micros(w.server)/n)
	r.Add("context switches per event", "", float64(w.switches)/n)
	if l.redis != nil {
		r.Add("Redis CPU per event", "µs", micros(w.redis)/n)
		r.Add("Redis commands per event", "", float64(w.commands)/n)
		r.Add("Redis reads per event", "", float64(w.reads)/n)
	}
	if err := l.nap(ctx, false); err != nil {
		return nil, err
	}
	if w, err = l.measure(ctx, func() error { return publish(l.seconds(5)) }); err != nil {
		return nil, err
	}
	if err := exactly(w.Report, total); err != nil {
		return nil, err
	}
	r.Add("CPU per event, clients that must be woken", "µs", micros(w.server)/float64(total))
	addLatency(r, "", w.Latency)
	return r, nil
}

// addLatency adds the quantiles, in ms.
func addLatency(r *report.Round, suffix string, l stats.Latency) {
	r.Add("p50"+suffix, "ms", millis(l.P50))
	r.Add("p90"+suffix, "ms", millis(l.P90))
	r.Add("p99"+suffix, "ms", millis(l.P99))
	r.Add("p99.9"+suffix, "ms", millis(l.P999))
	r.Add("max"+suffix, "ms", millis(l.Max))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// kilobytes is what many hold of something, each.
func kilobytes(bytes int64, n int) float64 { return float64(bytes) / 1024 / float64(n) }

// errNone says that nothing was found where there must be something.
func errNone(what string) error { return fmt.Errorf("there is no %s", what) }

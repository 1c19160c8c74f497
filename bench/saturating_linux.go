package main

import (
	"context"
	"os"
	"runtime"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/proc"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

// saturating raises the rate until the machine, which clients and publisher
// share with the pod, is saturated, and then looks at half of the greatest rate
// at which it was not.
type saturating struct {
	connections, topics int
	first               float64 // events per second
}

// The machine is saturated when publisher, Redis, pod and clients take nearly
// all of it, or when events come too late or too slowly, whatever it is that
// they wait for. Beyond that, more can still be delivered, because what waits is
// sent together.
const (
	mostBusy   = .9
	worstP99   = 100 * time.Millisecond
	rateFactor = 1.5
	greatest   = 100_000 // events per second
)

// step is what was seen at one rate.
type step struct {
	window
	busy      float64 // share of the machine that all processes of the bench took
	saturated bool
}

func (s saturating) run(ctx context.Context, l *lab) (*report.Round, error) {
	n := l.conns(s.connections)
	if _, err := l.connect(ctx, "all", load.Connect{N: n, Topics: s.topics, Next: 1}); err != nil {
		return nil, err
	}
	perEvent := n / s.topics // deliveries
	if _, err := s.step(ctx, l, perEvent, s.first, 1); err != nil {
		return nil, err
	}
	r := &report.Round{}
	saturation, busy := 0.0, 0.0
	for rate := s.first; rate < greatest; rate *= rateFactor {
		at, err := s.step(ctx, l, perEvent, rate, l.seconds(3))
		if err == nil && at.saturated { // a neighbour may have been it
			at, err = s.step(ctx, l, perEvent, rate, l.seconds(3))
		}
		if err != nil {
			return nil, err
		}
		r.Curve = append(r.Curve, report.Point{
			Rate: rate * float64(perEvent), P50: millis(at.Latency.P50), P99: millis(at.Latency.P99), Busy: at.busy,
		})
		if at.saturated {
			break
		}
		saturation, busy = rate, at.busy
	}
	if saturation == 0 {
		return nil, errNone("rate at which the machine is not saturated")
	}
	half, err := s.step(ctx, l, perEvent, saturation/2, l.seconds(6))
	if err != nil {
		return nil, err
	}
	r.Add("saturation, events per second", "", saturation)
	r.Add("saturation, deliveries per second", "", saturation*float64(perEvent))
	r.Add("all processes' share of the machine", "%", 100*busy)
	r.Add("the same at half of saturation", "%", 100*half.busy)
	r.Add("p50 at half of saturation", "ms", millis(half.Latency.P50))
	r.Add("p99 at half of saturation", "ms", millis(half.Latency.P99))
	r.Add("p99.9 at half of saturation", "ms", millis(half.Latency.P999))
	r.Add("CPU per delivery at half", "µs", micros(half.server)/float64(half.Events))
	return r, nil
}

func (s saturating) step(ctx context.Context, l *lab, perEvent int, rate, seconds float64) (at step, err error) {
	before, err := proc.CPU(os.Getpid()) // the publisher's
	if err != nil {
		return at, err
	}
	events := int(rate * seconds)
	at.window, err = l.measure(ctx, func() error {
		if err := l.send(ctx, traffic{topic: roundRobin(s.topics), rate: rate, batches: events, stampDue: true}); err != nil {
			return err
		}
		return l.total(ctx, "all", events*perEvent)
	})
	if err != nil {
		return at, err
	}
	after, err := proc.CPU(os.Getpid())
	if err != nil {
		return at, err
	}
	at.busy = (at.server + at.redis + at.load + after - before).Seconds() / at.wall.Seconds() / float64(runtime.NumCPU())
	late := at.wall.Seconds() > 1.1*seconds+.1
	at.saturated = late || at.Latency.P99 > worstP99 || at.busy > mostBusy
	return at, exactly(at.Report, events*perEvent)
}

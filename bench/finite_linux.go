package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

// finite measures topics that live for ten events, after which the client goes
// and the key is deleted.
func finite(ctx context.Context, l *lab) (*report.Round, error) {
	const perSecond, tick, events = 200, 50 * time.Millisecond, 10
	const perTick = int(perSecond * tick / time.Second)
	ticks := int(l.seconds(40) / tick.Seconds())
	began, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	var half memory
	start := time.Now()
	for i := range ticks {
		if err := pause(ctx, time.Until(start.Add(time.Duration(i)*tick))); err != nil {
			return nil, err
		}
		if err := l.lives(ctx, i*perTick, perTick, events); err != nil {
			return nil, err
		}
		if i == ticks/2 {
			if half, err = l.memory(); err != nil {
				return nil, err
			}
		}
	}
	took := time.Since(start)
	lives := ticks * perTick
	var got load.Report
	for deadline := time.Now().Add(startPatience); got.Left < lives && time.Now().Before(deadline); {
		if got, err = l.load.Do(ctx, load.Command{Op: load.OpReport, Group: "all"}); err != nil {
			return nil, err
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := got.Faults(); err != nil {
		return nil, err
	}
	if got.Left != lives {
		return nil, fmt.Errorf("%d of %d clients have all events", got.Left, lives)
	}
	if err := exactly(got, lives*events); err != nil {
		return nil, err
	}
	u, err := l.since(began)
	if err != nil {
		return nil, err
	}
	end, err := l.memory()
	if err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("CPU per topic's life", "µs", micros(u.server)/float64(lives))
	r.Add("Redis CPU per topic's life", "µs", micros(u.redis)/float64(lives))
	r.Add("lives per second", "", float64(lives)/took.Seconds())
	r.Add("RSS at half-time", "MB", float64(half.RSS)/(1<<20))
	r.Add("RSS at the end", "MB", float64(end.RSS)/(1<<20))
	r.Add("p99", "ms", millis(got.Latency.P99))
	return r, nil
}

// lives connects a client to each of n topics from first on, feeds them, and
// deletes those of two seconds ago.
func (l *lab) lives(ctx context.Context, first, n, events int) error {
	c := load.Connect{N: n, Topics: 1 << 30, LeaveAt: uint64(events), Next: 1}
	if _, err := l.connect(ctx, "all", c); err != nil {
		return err
	}
	err := l.send(ctx, traffic{topic: func(i int) string { return fmt.Sprintf("t%d", first+i%n) }, batches: n * events})
	if err != nil {
		return err
	}
	old := []string{"DEL"}
	for i := max(first-40*n, 0); i < first-39*n; i++ {
		topic := fmt.Sprintf("t%d", i)
		old = append(old, "sse:"+topic)
		delete(l.numbers, topic)
	}
	if len(old) > 1 {
		_, err = l.pub.Do(old...)
	}
	return err
}

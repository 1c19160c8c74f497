package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

// connects measures what it costs to accept a connection: at a bounded rate,
// at full speed, and to notice that it is closed.
func connects(ctx context.Context, l *lab) (*report.Round, error) {
	n := l.conns(4000)
	if _, err := l.connect(ctx, "warm", load.Connect{N: 1, Next: 1}); err != nil {
		return nil, err
	}
	if err := l.send(ctx, traffic{batches: 10}); err != nil {
		return nil, err
	}
	if err := l.arrived(ctx, "warm"); err != nil {
		return nil, err
	}
	visit := func(rate float64) (open, closed usage, r load.Report, err error) {
		begin, err := l.begin(ctx)
		if err != nil {
			return open, closed, r, err
		}
		if r, err = l.connect(ctx, "all", load.Connect{N: n, Rate: rate}); err != nil {
			return open, closed, r, err
		}
		if err = pause(ctx, 300*time.Millisecond); err != nil {
			return open, closed, r, err
		}
		if open, err = l.since(begin); err != nil {
			return open, closed, r, err
		}
		if err = r.Faults(); err != nil {
			return open, closed, r, err
		}
		if begin, err = l.used(); err != nil {
			return open, closed, r, err
		}
		if err = l.closeGroup(ctx, "all", 1); err != nil {
			return open, closed, r, err
		}
		if closed, err = l.since(begin); err != nil {
			return open, closed, r, err
		}
		return open, closed, r, l.reset(ctx, "all")
	}
	if _, _, _, err := visit(0); err != nil { // what is allocated once
		return nil, err
	}
	open, closed, paced, err := visit(1000)
	if err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("CPU per connection", "µs", micros(open.server)/float64(n))
	r.Add("CPU per connection closed", "µs", micros(closed.server)/float64(n))
	r.Add("first block p50", "ms", millis(paced.Opening.P50))
	r.Add("first block p99", "ms", millis(paced.Opening.P99))
	open, _, full, err := visit(0)
	if err != nil {
		return nil, err
	}
	r.Add("CPU per connection, full speed", "µs", micros(open.server)/float64(n))
	r.Add("connections per second, full speed", "", float64(n)/full.Took.Seconds())
	r.Add("first block p99, full speed", "ms", millis(full.Opening.P99))
	return r, nil
}

// idle measures what connections hold on which nothing happens.
type idle struct {
	topics int
	each   int // topics per connection
}

func (i idle) run(ctx context.Context, l *lab) (*report.Round, error) {
	n, topics := l.conns(10_000), l.conns(i.topics)
	c := load.Connect{N: n, Topics: topics, PerConnection: i.each, Unchecked: true}
	warm := c
	warm.N = min(200, n)
	if _, err := l.connect(ctx, "warm", warm); err != nil {
		return nil, err
	}
	if err := l.send(ctx, traffic{topic: roundRobin(topics), rate: 100, batches: 100}); err != nil {
		return nil, err
	}
	if err := l.closeGroup(ctx, "warm", 0); err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	before, err := l.memory()
	if err != nil {
		return nil, err
	}
	opened, err := l.connect(ctx, "all", c)
	if err != nil {
		return nil, err
	}
	begin, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	gcBefore, err := l.gc(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, l.settleTime()); err != nil {
		return nil, err
	}
	u, err := l.since(begin)
	if err != nil {
		return nil, err
	}
	after, err := l.memory()
	if err != nil {
		return nil, err
	}
	gc, err := l.gc(ctx)
	if err != nil {
		return nil, err
	}
	if err := i.stillThere(ctx, l, n, topics); err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add(perConnected, "KB", kilobytes(after.RSS-before.RSS, n))
	r.Add("of it anonymous", "KB", kilobytes(after.Anonymous-before.Anonymous, n))
	r.Add("RSS of the pod", "MB", float64(after.RSS)/(1<<20))
	r.Add("pod CPU, share of one", "%", 100*u.server.Seconds()/u.wall.Seconds())
	r.Add("GC, share of one CPU", "%", 100*max(gc-gcBefore, 0).Seconds()/u.wall.Seconds())
	r.Add("Redis CPU, share of one", "%", 100*u.redis.Seconds()/u.wall.Seconds())
	r.Add("files per connection", "", float64(after.Files-before.Files)/float64(n))
	r.Add("kernel objects per connection, both ends", "KB", kilobytes(after.Slab-before.Slab, n))
	r.Add("kernel buffers per connection, both ends", "KB", kilobytes(after.Buffers-before.Buffers, n))
	r.Add("connecting", "s", opened.Took.Seconds())
	return r, nil
}

// stillThere publishes an event, which all connections on its topic must get.
func (i idle) stillThere(ctx context.Context, l *lab, n, topics int) error {
	if err := l.send(ctx, traffic{batches: 1}); err != nil {
		return err
	}
	want := 0
	for c := range n {
		for k := range i.each {
			if (c*i.each+k)%topics == 0 {
				want++
			}
		}
	}
	if want == 0 {
		return errNone("connection on t0")
	}
	if err := l.total(ctx, "all", want); err != nil {
		return err
	}
	r, err := l.report(ctx, "all")
	if err != nil {
		return err
	}
	if r.Open != n {
		return fmt.Errorf("%d of %d connections are left", r.Open, n)
	}
	return exactly(r, want)
}

// settleTime is how long connections are left alone.
func (b *bench) settleTime() time.Duration {
	if b.quick {
		return min(b.settle, 2*time.Second)
	}
	return b.settle
}

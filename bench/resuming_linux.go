package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// history publishes n events on t0, one by one, and returns where a client is
// that has had i of them, i from 1 on.
func (l *lab) history(n int) (cursors []load.Cursor, err error) {
	for range n {
		l.numbers["t0"]++
		payload := wire.AppendPayload(nil, time.Now().UnixNano(), l.numbers["t0"])
		id, err := l.pub.Do("XADD", "sse:t0", "*", "data", string(payload))
		if err != nil {
			return nil, err
		}
		cursors = append(cursors, load.Cursor{ID: string(id), Next: l.numbers["t0"] + 1})
	}
	return cursors, nil
}

// resume lets clients come back at random points of the last 100 events.
func resume(ctx context.Context, l *lab, warm bool) (*report.Round, error) {
	const entries = 100
	clients := l.conns(1000)
	if warm {
		if _, err := l.connect(ctx, "warm", load.Connect{N: 1, Next: 1}); err != nil {
			return nil, err
		}
	}
	cursors, err := l.history(entries + 1)
	if err != nil {
		return nil, err
	}
	if warm {
		if err := l.arrived(ctx, "warm"); err != nil {
			return nil, err
		}
	}
	cursors = cursors[:entries]
	rand.Shuffle(len(cursors), func(i, k int) { cursors[i], cursors[k] = cursors[k], cursors[i] })
	want := 0
	for i := range clients {
		want += entries + 2 - int(cursors[i%entries].Next)
	}
	begin, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := l.connect(ctx, "all", load.Connect{N: clients, Cursors: cursors}); err != nil {
		return nil, err
	}
	if err := l.arrived(ctx, "all"); err != nil {
		return nil, err
	}
	u, err := l.since(begin)
	if err != nil {
		return nil, err
	}
	got, err := l.report(ctx, "all")
	if err != nil {
		return nil, err
	}
	if err := exactly(got, want); err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("Redis reads", "", float64(u.reads))
	r.Add("CPU per client", "µs", micros(u.server)/float64(clients))
	r.Add("events per client", "", float64(want)/float64(clients))
	return r, nil
}

// resumeStorm compares connections that resume 100 events with ones that
// resume none, in the same pod and in turn, twice: what the former cost more is
// the price of the events.
func resumeStorm(ctx context.Context, l *lab) (*report.Round, error) {
	const entries, turns = 100, 2
	clients := l.conns(10_000)
	cursors, err := l.history(entries + 1)
	if err != nil {
		return nil, err
	}
	visit := func(at load.Cursor) (usage, error) {
		begin, err := l.begin(ctx)
		if err != nil {
			return begin, err
		}
		if _, err := l.connect(ctx, "all", load.Connect{N: clients, Cursors: []load.Cursor{at}}); err != nil {
			return begin, err
		}
		if err := l.arrived(ctx, "all"); err != nil {
			return begin, err
		}
		// What belongs to connecting may go on for a moment.
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return begin, err
		}
		u, err := l.since(begin)
		if err != nil {
			return u, err
		}
		got, err := l.report(ctx, "all")
		if err != nil {
			return u, err
		}
		if err := exactly(got, clients*(entries+2-int(at.Next))); err != nil {
			return u, err
		}
		if err := l.closeGroup(ctx, "all", 0); err != nil {
			return u, err
		}
		return u, l.reset(ctx, "all")
	}
	first, last := cursors[0], cursors[entries]
	var with, without usage
	reads := int64(0)
	for i := range turns {
		u, err := visit(first)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			reads = u.reads
		}
		with.server, with.wall = with.server+u.server, with.wall+u.wall
		if u, err = visit(last); err != nil {
			return nil, err
		}
		without.server, without.wall = without.server+u.server, without.wall+u.wall
	}
	replay := with.server - without.server
	if replay <= 0 {
		return nil, fmt.Errorf("replaying cost less than nothing: %v against %v", with.server, without.server)
	}
	n := float64(turns * clients)
	r := &report.Round{}
	r.Add("Redis reads", "", float64(reads))
	r.Add("replayed events per CPU-second", "", n*entries/replay.Seconds())
	r.Add("CPU per client with 100 events", "µs", micros(with.server)/n)
	r.Add("CPU per client without", "µs", micros(without.server)/n)
	r.Add("time until all have all", "s", with.wall.Seconds()/turns)
	return r, nil
}

// reconnectStorm cuts all clients at once while events are published.
func reconnectStorm(ctx context.Context, l *lab) (*report.Round, error) {
	const rate = 50
	n := l.conns(4000)
	if _, err := l.connect(ctx, "all", load.Connect{N: n, Next: 1}); err != nil {
		return nil, err
	}
	batches := int(rate * l.seconds(10))
	published := make(chan error, 1)
	start := time.Now()
	go func() { published <- l.send(ctx, traffic{rate: rate, batches: batches}) }()
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	begin, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	cut := time.Now()
	back, err := l.load.Do(ctx, load.Command{Op: load.OpReconnect, Group: "all"})
	if err != nil {
		return nil, err
	}
	// An event that is published now reaches everybody when all are live.
	now := uint64(time.Since(start).Seconds()*rate) + 2
	if _, err := l.load.Do(ctx, load.Command{Op: load.OpWait, Group: "all", Number: min(now, uint64(batches))}); err != nil {
		return nil, err
	}
	live := time.Since(cut)
	u, err := l.since(begin)
	if err != nil {
		return nil, err
	}
	if err := <-published; err != nil {
		return nil, err
	}
	if err := l.arrived(ctx, "all"); err != nil {
		return nil, err
	}
	got, err := l.report(ctx, "all")
	if err != nil {
		return nil, err
	}
	if err := exactly(got, n*batches); err != nil {
		return nil, err
	}
	r := &report.Round{}
	r.Add("time until all are open", "s", back.Took.Seconds())
	r.Add("time until all are live", "s", live.Seconds())
	r.Add("CPU in that time per client", "µs", micros(u.server)/float64(n))
	r.Add("Redis reads in that time", "", float64(u.reads))
	r.Add("events lost or doubled", "", float64(got.Skipped+got.Repeated))
	return r, nil
}

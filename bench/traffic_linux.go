package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/floor"
	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/resp"
	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// traffic is what is published, and when.
type traffic struct {
	topic    func(i int) string // of batch i; nil is "t0"
	rate     float64            // batches per second; 0 is as fast as can be
	batches  int
	perBatch int // events that are there at once, in a transaction; 0 is 1, without

	stampDue bool // see resp.Plan
}

func topicZero(int) string { return "t0" }

// send publishes, or lets the floor write the same.
func (l *lab) send(ctx context.Context, t traffic) error {
	t.perBatch = max(t.perBatch, 1)
	if l.floor != nil {
		l.numbers["t0"] += uint64(t.batches * t.perBatch)
		return l.floor.Call(ctx, floor.Command{Rounds: t.batches, PerWrite: t.perBatch, Rate: t.rate, InTurn: t.topic != nil}, nil)
	}
	if t.topic == nil {
		t.topic = topicZero
	}
	replies := 1
	if t.perBatch > 1 {
		replies = t.perBatch + 2 // MULTI, EXEC
	}
	return l.pub.Run(ctx, resp.Plan{
		Rate: t.rate, Batches: t.batches, Replies: replies, StampDue: t.stampDue,
		Append: func(b []byte, i int, stamp int64) []byte { return l.appendBatch(b, t, i, stamp) },
	})
}

func (l *lab) appendBatch(b []byte, t traffic, i int, stamp int64) []byte {
	topic := t.topic(i)
	if t.perBatch > 1 {
		b = resp.Append(b, "MULTI")
	}
	for range t.perBatch {
		l.numbers[topic]++
		payload := wire.AppendPayload(nil, stamp, l.numbers[topic])
		b = resp.Append(b, "XADD", "sse:"+topic, "MAXLEN", "~", "100000", "*", "data", string(payload))
	}
	if t.perBatch > 1 {
		b = resp.Append(b, "EXEC")
	}
	return b
}

// connect opens a group of connections: to the pod on topics t0, t1, …, or to
// the floor.
func (l *lab) connect(ctx context.Context, group string, c load.Connect) (load.Report, error) {
	c.Prefix, c.Addr, c.Mode = cmp.Or(c.Prefix, "t"), l.addr, load.Events
	c.Topics, c.PerConnection = max(c.Topics, 1), max(c.PerConnection, 1)
	if l.floor == nil {
		return l.load.Do(ctx, load.Command{Op: load.OpConnect, Group: group, Connect: c})
	}
	c.Addr, c.Mode = l.floor.Addr, load.Raw
	accepted := make(chan error, 1)
	go func() { accepted <- l.floor.Call(ctx, floor.Command{Accept: c.N}, nil) }()
	r, err := l.load.Do(ctx, load.Command{Op: load.OpConnect, Group: group, Connect: c})
	if err != nil {
		return r, err
	}
	return r, <-accepted
}

// arrived waits until every connection of a group that is on topic t0 alone
// has all its events.
func (l *lab) arrived(ctx context.Context, group string) error {
	_, err := l.load.Do(ctx, load.Command{Op: load.OpWait, Group: group, Number: l.numbers["t0"]})
	return err
}

// nap makes the load look every millisecond, or wait for events as others do.
func (l *lab) nap(ctx context.Context, yes bool) error {
	n := 0
	if yes {
		n = 1
	}
	_, err := l.load.Do(ctx, load.Command{Op: load.OpNap, Group: "all", N: n})
	return err
}

// total waits until a group has had so many events since its last reset.
func (l *lab) total(ctx context.Context, group string, events int) error {
	_, err := l.load.Do(ctx, load.Command{Op: load.OpWait, Group: group, Events: int64(events)})
	return err
}

// reset empties a group's counters.
func (l *lab) reset(ctx context.Context, group string) error {
	_, err := l.load.Do(ctx, load.Command{Op: load.OpReport, Group: group, Reset: true})
	return err
}

// report returns a group's counters, and an error if anything was lost, came
// twice or ended.
func (l *lab) report(ctx context.Context, group string) (load.Report, error) {
	r, err := l.load.Do(ctx, load.Command{Op: load.OpReport, Group: group})
	if err != nil {
		return r, err
	}
	return r, r.Faults()
}

// exactly returns an error if a group had more or fewer events.
func exactly(r load.Report, events int) error {
	if r.Events != int64(events) {
		return fmt.Errorf("%d events were delivered, not %d", r.Events, events)
	}
	return nil
}

// closeGroup closes a group's connections and waits until the pod has noticed
// and has no more than so many left.
func (l *lab) closeGroup(ctx context.Context, group string, left int) error {
	if _, err := l.load.Do(ctx, load.Command{Op: load.OpClose, Group: group}); err != nil {
		return err
	}
	return l.awaitConnections(ctx, float64(left))
}

// awaitConnections waits until the pod has no more than n connections.
func (l *lab) awaitConnections(ctx context.Context, n float64) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		m, err := l.metrics(ctx)
		if err != nil {
			return err
		}
		if m["sse_connections"] <= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pod still has %v connections: %w", m["sse_connections"], ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roundRobin returns topics t0 … t(n-1) in turn.
func roundRobin(n int) func(int) string {
	return func(i int) string { return "t" + strconv.Itoa(i%n) }
}

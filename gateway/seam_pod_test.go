package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// simPod is a gateway over logs and a Replayer that do what the schedule
// says, when it says so. Its sessions are served by the schedule too: nothing
// in it runs by itself but the history's fetches, and those wait in Read.
type simPod struct {
	broadcaster.Broadcaster // what the gateway does not call here
	replayer.Replayer

	sim  *seamSim
	g    *Gateway
	logs map[stream.Topic]*simLog
	subs map[stream.Topic][]broadcaster.Conn

	mu    sync.Mutex
	reads []*simRead // that the history waits for
}

// simRead is a read under way. What it brings is settled at one moment and
// delivered at another.
type simRead struct {
	topic    stream.Topic
	at, upTo stream.ID
	since    *replayer.Since
	settled  bool
	page     stream.Page
	id       stream.ID
	err      error
	done     chan struct{}
}

var errSim = errors.New("simulated network error")

func newSimPod(s *seamSim) *simPod {
	p := &simPod{sim: s, logs: map[stream.Topic]*simLog{}, subs: map[stream.Topic][]broadcaster.Conn{}}
	var err error
	p.g, err = New(p, p, Options{
		Authorizer:   auth.Anonymous(),
		HistoryBytes: []int64{1, 3000, 1 << 20}[s.rnd.IntN(3)],
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return p
}

// log returns the pod's log of a topic.
func (p *simPod) log(t stream.Topic) *simLog {
	if p.logs[t] == nil {
		p.logs[t] = &simLog{of: p.sim.stream(t), max: 1 + p.sim.rnd.IntN(12), blindToEviction: p.sim.d.skipEvicted}
	}
	return p.logs[t]
}

// advance lets a log read, and wakes who reads it.
func (p *simPod) advance(t stream.Topic, limit int) bool {
	changed := p.log(t).advance(limit)
	if changed {
		p.wake(t)
	}
	return changed
}

func (p *simPod) wake(t stream.Topic) {
	for _, c := range p.subs[t] {
		c.Wake()
	}
}

// linger forgets a topic that nobody follows.
func (p *simPod) linger(t stream.Topic) {
	if len(p.subs[t]) == 0 {
		delete(p.logs, t)
	}
}

// What a session needs of a Broadcaster.

func (p *simPod) Register(broadcaster.Conn) error { return nil }

func (p *simPod) Subscribe(c broadcaster.Conn, t stream.Topic) (stream.Log, error) {
	p.subs[t] = append(p.subs[t], c)
	return p.log(t), nil
}

func (p *simPod) Unregister(c broadcaster.Conn, force bool) {
	for t := range p.subs {
		p.subs[t] = slices.DeleteFunc(p.subs[t], func(o broadcaster.Conn) bool { return o == c })
	}
	if force {
		c.End(broadcaster.ErrForced)
	}
}

// What the history needs of a Replayer.

func (p *simPod) Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, _ int) (stream.Page, error) {
	r := &simRead{topic: t, at: at, upTo: upTo, done: make(chan struct{})}
	if err := p.await(ctx, r); err != nil {
		return stream.Page{}, err
	}
	return r.page, r.err
}

func (p *simPod) Seek(ctx context.Context, t stream.Topic, since replayer.Since) (stream.ID, error) {
	r := &simRead{topic: t, since: &since, done: make(chan struct{})}
	if err := p.await(ctx, r); err != nil {
		return stream.ID{}, err
	}
	return r.id, r.err
}

func (p *simPod) await(ctx context.Context, r *simRead) error {
	p.mu.Lock()
	p.reads = append(p.reads, r)
	p.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reads = slices.DeleteFunc(p.reads, func(o *simRead) bool { return o == r })
		return ctx.Err()
	}
}

// pending returns the reads under way, in an order that does not depend on
// which goroutine came first.
func (p *simPod) pending() []*simRead {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(p.reads, func(a, b *simRead) int {
		if c := cmp.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return a.at.Compare(b.at)
	})
	return slices.Clone(p.reads)
}

// settle decides what a read brings: the stream as it is now, or an error.
func (r *simRead) settle(s *seamSim, err error) {
	if r.settled {
		return
	}
	r.settled = true
	of := s.stream(r.topic)
	switch {
	case err != nil:
		r.err = err
	case r.since != nil:
		r.id, r.err = of.seek(*r.since)
	default:
		r.page, r.err = of.read(r.at, r.upTo, 1+s.rnd.IntN(6))
		if s.d.lossUntold && r.page.Verdict == stream.Gap {
			r.page.Verdict, r.page.Start = stream.Contiguous, r.at
		}
	}
}

// deliver lets a read return.
func (p *simPod) deliver(r *simRead) {
	p.mu.Lock()
	p.reads = slices.DeleteFunc(p.reads, func(o *simRead) bool { return o == r })
	p.mu.Unlock()
	close(r.done)
}

// longer than all backoffs of the history.
const simBackoff = 2*retryMax + time.Second

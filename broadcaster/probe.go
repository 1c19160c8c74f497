package broadcaster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The probe finds out how the pod hears of new entries by trying: it adds an
// entry to a key of its own and waits for the links to hear of it. Asking
// Redis for its configuration would not do, since managed services forbid it.

const (
	probeEvery   = 5 * time.Second
	probeRetry   = 250 * time.Millisecond // while Redis does not answer
	probeWait    = time.Second            // for the links to hear
	probeTTL     = time.Minute
	retryForbade = time.Minute // before a refused CONFIG SET is tried again
)

// prober is the state of the probe's loop.
type prober struct {
	*ears
	configured time.Time // when CONFIG SET was last tried
	refused    error     // what it said
	tracking   *link     // nil until it is needed
}

func (e *ears) probe() {
	p := &prober{ears: e}
	defer func() {
		if p.tracking != nil {
			p.tracking.close()
		}
	}()
	for {
		wait := probeEvery
		if !p.once() {
			wait = probeRetry
		}
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// once probes, and decides the way. It reports whether Redis answered.
func (p *prober) once() bool {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	if _, cluster := p.r.rdb.(*redis.ClusterClient); cluster {
		return p.decideCluster(ctx)
	}
	p.setUp(ctx)
	switch heard, err := p.try(ctx, p.all()); {
	case err != nil:
		p.unreachable(err)
		return false
	case heard == all:
		p.use(WayKeyspace, "")
		return true
	case heard == unclear:
		return p.r.Status().Ready
	}
	return p.fallBack(ctx)
}

func (p *prober) all() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*link(nil), p.links...)
}

// hearing is what a probe found out.
type hearing uint8

const (
	unclear hearing = iota // a connection is down, or too slow: no verdict
	all                    // every link has heard
	deaf                   // a link has not, and works
)

// try adds an entry and finds out whether the links hear of it. Redis sends
// the notification when it executes XADD, so a link that answers a later PING
// and has not heard will not hear any more.
func (p *prober) try(ctx context.Context, links []*link) (hearing, error) {
	until := func(done func(*link) bool) bool {
		timeout := time.NewTimer(probeWait)
		defer timeout.Stop()
		for _, l := range links {
			for !done(l) {
				select {
				case <-p.news:
				case <-timeout.C:
					return false
				case <-ctx.Done():
					return false
				}
			}
		}
		return true
	}
	ready := until(func(l *link) bool { return l.confirmed.Load() })
	sent := time.Now().UnixNano()
	pipe := p.r.rdb.Pipeline()
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: p.probeKey, MaxLen: 1, Values: []any{"probe", "1"}})
	pipe.Expire(ctx, p.probeKey, probeTTL)
	if _, err := pipe.Exec(ctx); err != nil || !ready {
		return unclear, err
	}
	for _, l := range links {
		l.ping(sent)
	}
	heard := func(l *link) bool { return l.hearing.Load() >= sent }
	if !until(func(l *link) bool { return heard(l) || l.answered.Load() >= sent }) {
		return unclear, nil
	}
	for _, l := range links {
		if !heard(l) {
			return deaf, nil
		}
	}
	return all, nil
}

// setUp configures Redis before the first probe, and after one that failed.
func (p *prober) setUp(ctx context.Context) {
	if p.noConfigure || p.r.Status().Way == WayKeyspace {
		return
	}
	if p.refused != nil && time.Since(p.configured) < retryForbade {
		return
	}
	p.configured = time.Now()
	did, err := p.r.configure(ctx)
	if err != nil {
		if isReply(err) {
			p.refused = err
		}
		return
	}
	p.refused = nil
	if did != "" {
		p.r.log.Info("Redis was configured to send keyspace notifications", "command", did)
	}
}

// fallBack looks for the best way without keyspace notifications. It reports
// whether Redis answered.
func (p *prober) fallBack(ctx context.Context) bool {
	if p.r.Status().Way == WayKeyspace {
		// They have been switched off behind our back: begin again.
		p.use(WayUnknown, "keyspace notifications have stopped")
		return p.once()
	}
	p.listenToPods()
	why := p.advice()
	if p.tracking == nil {
		p.tracking = p.trackingLink()
	}
	if p.tracking != nil {
		heard, err := p.try(ctx, []*link{p.tracking})
		if err != nil {
			p.unreachable(err)
			return false
		}
		if heard == all {
			p.use(WayTracking, why)
			return true
		}
	}
	p.use(WayPublish, why+". Until then an entry added with a plain XADD is found by a sweep, within a second or some")
	return true
}

func (p *prober) advice() string {
	set := "set notify-keyspace-events to Kgxet in the configuration of Redis"
	switch {
	case p.refused != nil:
		return fmt.Sprintf("Redis sends no keyspace notifications and refuses to be configured (%v): %s", p.refused, set)
	case p.noConfigure:
		return "Redis sends no keyspace notifications and the gateway may not configure it: " + set
	}
	return "Redis sends no keyspace notifications: " + set
}

func (p *prober) decideCluster(ctx context.Context) bool {
	if _, err := p.try(ctx, nil); err != nil {
		p.unreachable(err)
		return false
	}
	p.listenToPods()
	p.use(WayPublish, "in Cluster an entry added with a plain XADD is found by a sweep, within a second or some")
	return true
}

func (p *prober) use(w Way, reason string) {
	p.r.blind.Store(w != WayKeyspace && w != WayTracking)
	p.r.status(Status{Ready: true, Way: w, Reason: reason})
}

// unreachable keeps a pod that was ready so: its streams go on, and an answer
// other than 200 would end an EventSource for good.
func (p *prober) unreachable(err error) {
	s := p.r.Status()
	if p.ctx.Err() != nil {
		return
	}
	s.Reason = "Redis does not answer: " + err.Error()
	p.r.status(s)
}

// isReply tells an answer of Redis from an error of the connection.
func isReply(err error) bool {
	for _, prefix := range []string{"ERR", "NOPERM", "NOAUTH", "WRONGTYPE", "READONLY"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return strings.Contains(err.Error(), "unknown command")
}

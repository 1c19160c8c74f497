package broadcaster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The probe finds out how the pod hears of new entries by trying: it adds an
// entry to a key of its own and waits for the links to hear of it. Asking
// Redis for its configuration would not do, since managed services forbid it.

const probeTTL = time.Minute // of the key

// prober is the state of the probe's loop.
type prober struct {
	*ears

	unproven bool // links have connected since hearing was last proven

	configured time.Time // when CONFIG SET was last tried
	forbidden  error     // what it said

	tracking *link     // nil until it is needed
	untried  time.Time // not before then is tracking tried again

	unasked time.Time // not before then are refused links connected again
}

func (e *ears) probe() {
	p := &prober{ears: e}
	defer p.stopTracking()
	for {
		select {
		case <-e.anew: // before, and so covered by this probe
			p.unproven = true
		default:
		}
		wait := e.timing.Probe
		if !p.once() {
			wait = e.timing.ProbeRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-e.ctx.Done():
			timer.Stop()
			return
		case <-e.anew:
			timer.Stop()
			p.unproven = true
		case <-timer.C:
		}
	}
}

// once probes, and decides the way. It reports whether Redis answered.
func (p *prober) once() bool {
	ctx, cancel := context.WithTimeout(p.ctx, p.timing.ProbeLimit)
	defer cancel()
	if _, cluster := p.r.rdb.(*redis.ClusterClient); cluster {
		return p.decideCluster(ctx)
	}
	if err := p.setUp(ctx); err != nil {
		p.unreachable(err)
		return false
	}
	switch heard, err := p.try(ctx, p.all()); {
	case err != nil:
		p.unreachable(err)
		return false
	case heard == all:
		p.stopTracking()
		p.use(WayKeyspace, "")
		return true
	case heard == unclear:
		return p.r.Status().Ready
	}
	return p.fallBack(ctx)
}

// hearing is what a probe found out.
type hearing uint8

const (
	unclear hearing = iota // a connection is down, or too slow: no verdict
	all                    // every link has heard
	deaf                   // a link works and has not, or Redis refuses to let it
)

// try adds an entry and finds out whether the links hear of it. Redis sends
// the notification when it executes XADD, so a link that answers a later PING
// and has not heard will not hear any more.
func (p *prober) try(ctx context.Context, links []*link) (hearing, error) {
	losses := func() (n int64) {
		for _, l := range links {
			n += l.losses.Load()
		}
		return n
	}
	ready := p.await(ctx, links, func(l *link) bool {
		listening, refused := l.state()
		return listening || refused != nil
	})
	before := losses()
	sent := time.Now().UnixNano()
	pipe := p.r.rdb.Pipeline()
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: p.probeKey, MaxLen: 1, Values: []any{"probe", "1"}})
	pipe.Expire(ctx, p.probeKey, probeTTL)
	if _, err := pipe.Exec(ctx); err != nil || !ready {
		return unclear, err
	}
	if refused(links) {
		return deaf, nil
	}
	for _, l := range links {
		l.ping(sent)
	}
	heard := func(l *link) bool { return l.heard.Load() >= sent }
	if !p.await(ctx, links, func(l *link) bool { return heard(l) || l.answered.Load() >= sent }) {
		return unclear, nil
	}
	verdict := all
	for _, l := range links {
		if !heard(l) {
			verdict = deaf
		}
	}
	if verdict == deaf && losses() != before {
		verdict = unclear // it may have been away for that moment
	}
	return verdict, nil
}

// await waits until something is true of all links, for a while.
func (p *prober) await(ctx context.Context, links []*link, done func(*link) bool) bool {
	timeout := time.NewTimer(p.timing.ProbeWait)
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

// refusal returns what Redis refuses to links.
func refusal(links []*link) error {
	for _, l := range links {
		if _, refused := l.state(); refused != nil {
			return refused
		}
	}
	return nil
}

func refused(links []*link) bool { return refusal(links) != nil }

// setUp configures Redis before the first probe, and after one that failed. An
// error means that Redis did not answer.
func (p *prober) setUp(ctx context.Context) error {
	if p.noConfigure || p.r.Status().Way == WayKeyspace {
		return nil
	}
	if p.forbidden != nil && time.Since(p.configured) < p.timing.RetryRefuse {
		return nil
	}
	p.configured = time.Now()
	did, err := p.r.configure(ctx)
	if err != nil && !isReply(err) {
		return err
	}
	p.forbidden = err
	if did != "" {
		p.r.log.Info("Redis was configured to send keyspace notifications", "command", did)
	}
	return nil
}

// fallBack looks for the best way without keyspace notifications. It reports
// whether Redis answered.
func (p *prober) fallBack(ctx context.Context) bool {
	if p.r.Status().Way == WayKeyspace {
		// They have been switched off behind our back, or the links listen to
		// a Redis that the others have left, after a fail-over: begin again.
		p.use(WayUnknown, "keyspace notifications have stopped")
		for _, l := range p.all() {
			l.connect()
		}
		return p.once()
	}
	p.listenToPods()
	why := p.advice()
	p.askAgain()
	heard, err := p.track(ctx)
	switch {
	case err != nil:
		p.unreachable(err)
		return false
	case heard == all:
		p.use(WayTracking, why)
	case heard == unclear && p.r.Status().Way == WayTracking:
		// Its connection is down, and will be back.
	default:
		p.use(WayPublish, why+". Until then an entry added with a plain XADD is found by a sweep, within a second or some")
	}
	return true
}

// track finds out whether the pod can hear through CLIENT TRACKING. What Redis
// has refused is not tried again for a while.
func (p *prober) track(ctx context.Context) (hearing, error) {
	if p.tracking == nil && time.Now().After(p.untried) {
		p.tracking = p.trackingLink()
	}
	if p.tracking == nil {
		return deaf, nil
	}
	heard, err := p.try(ctx, []*link{p.tracking})
	if err == nil && heard == deaf {
		p.stopTracking()
		p.untried = time.Now().Add(p.timing.RetryRefuse)
	}
	return heard, err
}

// askAgain lets links that were refused connect again, now and then.
func (p *prober) askAgain() {
	links := p.all()
	if !refused(links) || time.Now().Before(p.unasked) {
		return
	}
	p.unasked = time.Now().Add(p.timing.RetryRefuse)
	for _, l := range links {
		if _, refused := l.state(); refused != nil {
			l.connect()
		}
	}
}

func (p *prober) stopTracking() {
	if p.tracking != nil {
		p.tracking.close()
		p.tracking = nil
	}
}

// advice says why there are no keyspace notifications and what to do.
func (p *prober) advice() string {
	set := "set notify-keyspace-events to Kgxet in the configuration of Redis"
	switch refused := refusal(p.all()); {
	case refused != nil:
		return fmt.Sprintf("Redis refuses subscriptions (%v): allow the channels %s* and %s*", refused,
			p.r.keys.Keyspace(p.r.keys.Prefix), p.r.keys.Wake(""))
	case p.forbidden != nil:
		return fmt.Sprintf("Redis sends no keyspace notifications and refuses to be configured (%v): %s", p.forbidden, set)
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
	if p.r.Status().Way != w {
		p.unproven = true
		signal(p.r.hurry) // it may have become slow, and be needed now
	}
	p.r.status(Status{Ready: true, Way: w, Reason: reason})
	if p.unproven {
		// What was added after the links had connected, and before somebody,
		// perhaps another pod, had switched notifications on: a Redis that has
		// restarted may begin without.
		p.onAny()
		p.unproven = false
	}
}

// unreachable keeps a pod that was ready so: its streams go on, and an answer
// other than 200 would end an EventSource for good.
func (p *prober) unreachable(err error) {
	if p.ctx.Err() != nil {
		return
	}
	s := p.r.Status()
	s.Reason = "Redis does not answer: " + err.Error()
	if isReply(err) {
		s.Reason = fmt.Sprintf("Redis refuses XADD to %s, by which the gateway tells whether all is well: %v", p.probeKey, err)
	}
	p.r.status(s)
}

// isReply tells an answer of Redis from an error of the connection.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

package broadcaster

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// link is one pub/sub connection. It is driven by hand: go-redis' own channel
// drops messages under back-pressure and hides reconnects, whereas Receive
// shows every confirmation and every error.
type link struct {
	ears    *ears
	rdb     redis.UniversalClient
	own     *redis.Client // closed with the link
	channel string        // on which the probe is heard; subscribed first
	topics  int           // guarded by ears.mu

	// What the connection has shown.
	alive    atomic.Int64 // when anything was last received, Unix ns
	heard    atomic.Int64 // when the probe was last heard, Unix ns
	answered atomic.Int64 // the greatest number that a PING was answered with
	losses   atomic.Int64 // how often the connection was lost

	mu        sync.Mutex
	pubsub    *redis.PubSub // nil if the link was closed before it connected
	listening *redis.PubSub // the one whose connection has subscribed to channel
	refused   error         // what Redis said to a subscription or a handshake
	wanted    map[string]struct{}
	pending   []change
	kick      chan struct{} // capacity 1

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// change is one step of what a link subscribes to.
type change struct {
	channel   string
	subscribe bool
}

const chunk = 1000 // channels in one SUBSCRIBE

// newLink connects. channel is where the link hears of the probe.
func newLink(e *ears, rdb redis.UniversalClient, channel string) *link {
	l := &link{ears: e, rdb: rdb, channel: channel, wanted: map[string]struct{}{}, kick: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(e.ctx)
	l.change(true, channel)
	l.connect()
	l.done.Go(l.write)
	return l
}

// change subscribes to channels, or unsubscribes from them. It does not block.
func (l *link) change(subscribe bool, channels ...string) {
	l.mu.Lock()
	for _, c := range channels {
		if subscribe {
			l.wanted[c] = struct{}{}
		} else {
			delete(l.wanted, c)
		}
		l.pending = append(l.pending, change{c, subscribe})
	}
	if len(l.pending) > 4*(len(l.wanted)+chunk) {
		l.pending = newest(l.pending) // Redis has not answered for long, while topics came and went
	}
	l.mu.Unlock()
	signal(l.kick)
}

// newest returns the last change of each channel, in their order.
func newest(list []change) []change {
	last := make(map[string]int, len(list))
	for i, c := range list {
		last[c.channel] = i
	}
	var kept []change
	for i, c := range list {
		if last[c.channel] == i {
			kept = append(kept, c)
		}
	}
	return kept
}

// connect replaces the connection. Everything wanted is subscribed again. It
// does not block.
func (l *link) connect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	if old := l.pubsub; old != nil {
		// The only thing that ends its Receive. It may have to wait for a
		// connection that is being made.
		l.done.Go(func() { _ = old.Close() })
	}
	p := l.rdb.Subscribe(l.ctx)
	l.pubsub, l.listening, l.refused = p, nil, nil
	l.losses.Add(1)
	l.pending = append(l.pending[:0], change{l.channel, true})
	for c := range l.wanted {
		if c != l.channel {
			l.pending = append(l.pending, change{c, true})
		}
	}
	l.alive.Store(time.Now().UnixNano())
	l.done.Go(func() { l.read(p) })
	signal(l.kick)
}

// current returns the connection of the moment.
func (l *link) current() *redis.PubSub {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pubsub
}

// state reports whether the connection has subscribed to the probe, and what
// Redis refuses to it.
func (l *link) state() (listening bool, refused error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pubsub != nil && l.listening == l.pubsub, l.refused
}

// write carries out changes, and looks after the connection's health.
func (l *link) write() {
	t := l.ears.timing
	ping := time.NewTicker(t.Ping)
	defer ping.Stop()
	var retry <-chan time.Time
	backoff := t.MinBackoff
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.kick:
		case <-retry:
			retry = nil
		case <-ping.C:
			if silence := time.Since(time.Unix(0, l.alive.Load())); silence > t.Silence {
				l.ears.r.log.Warn("pub/sub connection is silent: connecting anew", "silence", silence.Round(time.Second))
				l.connect()
			} else {
				l.ping(0)
			}
		}
		switch {
		case retry != nil:
		case l.writePending():
			backoff = t.MinBackoff
		default:
			retry = time.After(backoff)
			backoff = min(2*backoff, t.MaxBackoff)
		}
	}
}

// ping lets Redis answer with a number. An error shows in Receive as well, or
// as silence.
func (l *link) ping(n int64) {
	if p := l.current(); p != nil {
		_ = p.Ping(l.ctx, strconv.FormatInt(n, 10))
	}
}

// writePending carries out changes until there are none, or one has failed.
func (l *link) writePending() (ok bool) {
	for {
		p, batch := l.take()
		if p == nil || len(batch) == 0 {
			return true
		}
		channels := make([]string, len(batch))
		for i, c := range batch {
			channels[i] = c.channel
		}
		var err error
		if batch[0].subscribe {
			err = p.Subscribe(l.ctx, channels...)
		} else {
			err = p.Unsubscribe(l.ctx, channels...)
		}
		if err == nil {
			continue
		}
		if l.ctx.Err() == nil {
			l.ears.r.log.Debug("changing subscriptions failed", "channels", len(channels), "error", err)
		}
		// PubSub remembers the channels, but not before it has connected
		// again: the new connection may be without them.
		l.putBack(p, batch)
		return false
	}
}

// take removes the next changes of one kind from those that are pending.
func (l *link) take() (*redis.PubSub, []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < min(chunk, len(l.pending)) && l.pending[n].subscribe == l.pending[0].subscribe {
		n++
	}
	batch := slices.Clone(l.pending[:n])
	l.pending = append(l.pending[:0], l.pending[n:]...)
	return l.pubsub, batch
}

// putBack makes changes pending again, before all others, unless everything
// wanted is pending for a new connection anyway.
func (l *link) putBack(p *redis.PubSub, batch []change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pubsub == p {
		l.pending = append(batch, l.pending...)
	}
}

// read passes on what a connection receives, until it is closed.
func (l *link) read(p *redis.PubSub) {
	t := l.ears.timing
	backoff := t.MinBackoff
	for {
		m, err := p.Receive(l.ctx)
		switch {
		case l.ctx.Err() != nil || l.current() != p:
			return
		case err == nil:
			backoff = t.MinBackoff
			l.alive.Store(time.Now().UnixNano())
			l.receive(p, m)
			continue
		case errors.Is(err, redis.ErrClosed):
			return
		case strings.Contains(err.Error(), "payload: <nil>"):
			l.ears.onAny() // how an invalidation of all keys arrives
			continue
		}
		l.failed(p, err)
		sleep(l.ctx, backoff)
		backoff = min(2*backoff, t.MaxBackoff)
		// Receive connects and subscribes again.
	}
}

// failed notes an error of the connection p.
func (l *link) failed(p *redis.PubSub, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pubsub != p {
		return
	}
	l.losses.Add(1)
	if isReply(err) {
		l.refused = err
		l.ears.stir()
	} else {
		l.listening = nil
	}
	l.ears.r.log.Debug("pub/sub connection lost, or refused", "error", err)
}

// confirm notes that the connection p has subscribed to the probe.
func (l *link) confirm(p *redis.PubSub) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pubsub == p {
		l.listening, l.refused = p, nil
	}
}

func (l *link) receive(p *redis.PubSub, m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		if m.Kind == "subscribe" {
			l.subscribed(p, m.Channel)
		}
	case *redis.Message:
		l.message(m)
	case *redis.Pong:
		if n, err := strconv.ParseInt(m.Payload, 10, 64); err == nil && n > 0 {
			l.answered.Store(n)
			l.ears.stir()
		}
	}
}

func (l *link) subscribed(p *redis.PubSub, channel string) {
	if channel == l.channel {
		l.confirm(p)
		l.ears.confirmed()
	}
	if channel == invalidateChannel {
		l.ears.onAny()
		return
	}
	l.ears.onChannel(channel)
}

func (l *link) message(m *redis.Message) {
	switch {
	case m.Channel == invalidateChannel:
		for _, key := range m.PayloadSlice {
			if key == l.ears.probeKey {
				l.hear()
			}
			l.ears.onKey(key)
		}
	case m.Channel != l.channel:
		if !nothingNew[m.Payload] {
			l.ears.onChannel(m.Channel)
		}
	case m.Payload == "xadd":
		// Other events of the probe's key, such as its expiry, do not prove
		// that there are notifications of streams.
		l.hear()
	}
}

// nothingNew are the events of a key after which there is nothing to read.
// XADD with MAXLEN makes two, and XTRIM is the second of them.
var nothingNew = map[string]bool{"xtrim": true, "xdel": true, "expire": true, "persist": true}

func (l *link) hear() {
	l.heard.Store(time.Now().UnixNano())
	l.ears.stir()
}

func (l *link) close() {
	l.stop()
	if p := l.current(); p != nil {
		_ = p.Close()
	}
	l.done.Wait()
	if l.own != nil {
		_ = l.own.Close()
	}
}

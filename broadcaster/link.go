package broadcaster

import (
	"context"
	"errors"
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
	ears   *ears
	rdb    redis.UniversalClient
	own    *redis.Client // closed with the link
	topics int           // guarded by ears.mu

	alive     atomic.Int64 // when anything was last received, Unix ns
	hearing   atomic.Int64 // when the probe was last heard, Unix ns
	answered  atomic.Int64 // the greatest number that a PING was answered with
	confirmed atomic.Bool  // this connection has subscribed to the probe

	mu      sync.Mutex
	pubsub  *redis.PubSub
	wanted  map[string]struct{}
	pending []change
	kick    chan struct{} // capacity 1

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// change is one step of what a link subscribes to.
type change struct {
	channel   string
	subscribe bool
}

const (
	chunk      = 1000            // channels in one SUBSCRIBE
	pingEvery  = 5 * time.Second // so that a healthy connection is never silent
	silenceMax = 3 * pingEvery   // after which a connection is taken for dead
)

func newLink(e *ears, rdb redis.UniversalClient) *link {
	l := &link{ears: e, rdb: rdb, wanted: map[string]struct{}{}, kick: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(e.ctx)
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
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// connect replaces the connection. Everything wanted is subscribed again.
func (l *link) connect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return
	}
	if l.pubsub != nil {
		_ = l.pubsub.Close() // the only thing that ends its Receive
	}
	l.confirmed.Store(false)
	l.pubsub = l.rdb.Subscribe(l.ctx)
	l.pending = l.pending[:0]
	for c := range l.wanted {
		l.pending = append(l.pending, change{c, true})
	}
	l.alive.Store(time.Now().UnixNano())
	p := l.pubsub
	l.done.Go(func() { l.read(p) })
}

// write carries out changes, and looks after the connection's health.
func (l *link) write() {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.kick:
		case <-ping.C:
			if silence := time.Since(time.Unix(0, l.alive.Load())); silence > silenceMax {
				l.ears.r.log.Warn("pub/sub connection is silent: connecting anew", "silence", silence.Round(time.Second))
				l.connect()
			} else {
				l.ping(0)
			}
		}
		for l.writeOne() {
		}
	}
}

// ping lets Redis answer with a number. An error shows in Receive as well, or
// as silence.
func (l *link) ping(n int64) {
	l.mu.Lock()
	p := l.pubsub
	l.mu.Unlock()
	_ = p.Ping(l.ctx, strconv.FormatInt(n, 10))
}

// writeOne sends the next changes of one kind. It reports whether it did.
func (l *link) writeOne() bool {
	l.mu.Lock()
	var channels []string
	for _, c := range l.pending {
		if len(channels) == chunk || c.subscribe != l.pending[0].subscribe {
			break
		}
		channels = append(channels, c.channel)
	}
	if len(channels) == 0 {
		l.mu.Unlock()
		return false
	}
	subscribe := l.pending[0].subscribe
	l.pending = append(l.pending[:0], l.pending[len(channels):]...)
	p := l.pubsub
	l.mu.Unlock()

	// PubSub remembers the channels even if this fails, and subscribes to
	// them when it is connected again.
	var err error
	if subscribe {
		err = p.Subscribe(l.ctx, channels...)
	} else {
		err = p.Unsubscribe(l.ctx, channels...)
	}
	if err != nil && l.ctx.Err() == nil {
		l.ears.r.log.Debug("changing subscriptions failed", "channels", len(channels), "error", err)
	}
	return true
}

// read passes on what the connection receives, until it is closed.
func (l *link) read(p *redis.PubSub) {
	backoff := minBackoff
	for {
		m, err := p.Receive(l.ctx)
		if err != nil {
			if l.ctx.Err() != nil || errors.Is(err, redis.ErrClosed) {
				return
			}
			if strings.Contains(err.Error(), "payload: <nil>") {
				l.ears.onFlush() // how an invalidation of all keys arrives
				continue
			}
			l.ears.r.log.Debug("pub/sub connection lost", "error", err)
			select {
			case <-l.ctx.Done():
				return
			case <-time.After(backoff):
			}
			backoff = min(2*backoff, maxBackoff)
			continue // Receive connects and subscribes again
		}
		backoff = minBackoff
		l.alive.Store(time.Now().UnixNano())
		l.take(m)
	}
}

func (l *link) take(m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		switch {
		case m.Kind != "subscribe":
		case m.Channel == invalidateChannel:
			l.confirmed.Store(true)
			l.ears.onFlush()
		default:
			l.ears.onChannel(l, m.Channel, false)
		}
	case *redis.Message:
		if m.Channel != invalidateChannel {
			l.ears.onChannel(l, m.Channel, true)
			return
		}
		for _, key := range m.PayloadSlice {
			l.ears.onKey(l, key, true)
		}
	case *redis.Pong:
		if n, err := strconv.ParseInt(m.Payload, 10, 64); err == nil && n > 0 {
			l.answered.Store(n)
			l.ears.stir()
		}
	}
}

func (l *link) close() {
	l.stop()
	l.mu.Lock()
	_ = l.pubsub.Close()
	l.mu.Unlock()
	l.done.Wait()
	if l.own != nil {
		_ = l.own.Close()
	}
}

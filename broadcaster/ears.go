package broadcaster

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// ears hear of new entries: pub/sub connections to Redis (links), each for a
// bounded number of topics, and the probe that finds out whether they hear
// anything at all.
type ears struct {
	r           *Redis
	timing      timing
	probeKey    string
	noConfigure bool

	mu     sync.Mutex
	links  []*link
	topics map[stream.Topic]*link
	loud   bool          // wake channels are subscribed too
	news   chan struct{} // capacity 1: a link has heard of the probe, or answered
	anew   chan struct{} // capacity 1: a link has connected

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// maxLinkTopics bounds the channels of a connection: when go-redis reconnects
// it subscribes to all of them in one command.
const maxLinkTopics = 5_000

func newEars(r *Redis, o RedisOptions) *ears {
	e := &ears{
		r: r, timing: r.timing, probeKey: r.keys.Own("probe:" + o.PodID), noConfigure: o.NoConfigure,
		topics: map[stream.Topic]*link{}, news: make(chan struct{}, 1), anew: make(chan struct{}, 1),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

func (e *ears) start() {
	e.r.blind.Store(true) // until the probe shows otherwise
	e.mu.Lock()
	e.open()
	e.mu.Unlock()
	e.done.Go(e.probe)
}

// open adds a link. e.mu is held.
func (e *ears) open() *link {
	l := newLink(e, e.r.rdb, e.r.keys.Keyspace(e.probeKey))
	if len(e.links) == 0 {
		l.change(true, e.podChannel()) // counts pods, not links
	}
	e.links = append(e.links, l)
	return l
}

// follow subscribes to what announces a topic. Each confirmation wakes it.
func (e *ears) follow(t stream.Topic) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.topics[t]
	if l == nil {
		l = e.room()
		l.topics++
		e.topics[t] = l
	}
	l.change(true, e.channels(t)...)
}

// room returns a link that can take another topic. e.mu is held.
func (e *ears) room() *link {
	for _, l := range e.links {
		if l.topics < maxLinkTopics {
			return l
		}
	}
	return e.open()
}

func (e *ears) unfollow(t stream.Topic) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.topics[t]; l != nil {
		l.topics--
		delete(e.topics, t)
		l.change(false, e.channels(t)...)
	}
}

// channels are those that announce a topic. e.mu is held.
func (e *ears) channels(t stream.Topic) []string {
	key := e.r.keys.Stream(t)
	if e.loud {
		return []string{e.r.keys.Keyspace(key), e.r.keys.Wake(key)}
	}
	return []string{e.r.keys.Keyspace(key)}
}

// listenToPods subscribes to the wake channels of all topics, from now on.
func (e *ears) listenToPods() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.loud {
		return
	}
	e.loud = true
	for t, l := range e.topics {
		l.change(true, e.r.keys.Wake(e.r.keys.Stream(t)))
	}
}

// podChannel is subscribed by every pod, so that they can be counted.
func (e *ears) podChannel() string { return e.r.keys.Wake("~pods") }

func (e *ears) close() {
	e.stop()
	for _, l := range e.all() {
		l.close()
	}
	e.done.Wait()
}

func (e *ears) all() []*link {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*link(nil), e.links...)
}

// onChannel takes a message, or the confirmation of a subscription.
func (e *ears) onChannel(channel string) {
	key, ok := e.r.keys.KeyspaceKey(channel)
	if !ok {
		key, ok = e.r.keys.WakeKey(channel)
	}
	if ok {
		e.onKey(key)
	}
}

// onKey takes the news that a key has changed, or may have.
func (e *ears) onKey(key string) {
	if name, ok := strings.CutPrefix(key, e.r.keys.Prefix); ok {
		e.r.hear(e.ctx, stream.Topic(name)) // what is not followed is not a topic either
	}
}

// onAny takes the news that any key may have changed.
func (e *ears) onAny() {
	for _, t := range e.r.hub.all() {
		e.r.dirty(t)
	}
}

// stir lets a probe that is waiting look again.
func (e *ears) stir() { signal(e.news) }

// confirmed takes the news that a link listens. It may not have for a while,
// so what was true of Redis may no longer be.
func (e *ears) confirmed() {
	e.stir()
	signal(e.anew)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// trackingLink opens a link that hears of every change below the prefix
// through CLIENT TRACKING. It speaks RESP2, in which invalidation messages
// reach a subscriber of this channel, and redirects them to itself.
func (e *ears) trackingLink() *link {
	c, ok := e.r.rdb.(*redis.Client)
	if !ok {
		return nil
	}
	o := *c.Options()
	o.Protocol = 2
	o.MinIdleConns = 0
	before := o.OnConnect
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, cn); err != nil {
				return err
			}
		}
		id, err := cn.ClientID(ctx).Result()
		if err != nil {
			return err
		}
		return cn.Do(ctx, "client", "tracking", "on", "redirect", id, "bcast", "prefix", e.r.keys.Prefix).Err()
	}
	own := redis.NewClient(&o)
	l := newLink(e, own, invalidateChannel)
	l.own = own
	return l
}

const invalidateChannel = "__redis__:invalidate"

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

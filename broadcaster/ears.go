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
	probeKey    string
	noConfigure bool

	mu     sync.Mutex
	links  []*link
	topics map[stream.Topic]*link
	loud   bool          // wake channels are subscribed too
	news   chan struct{} // capacity 1: a link has heard of the probe, or answered

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// maxLinkTopics bounds the channels of a connection: when go-redis reconnects
// it subscribes to all of them in one command.
const maxLinkTopics = 5_000

func newEars(r *Redis, o RedisOptions) *ears {
	e := &ears{
		r: r, probeKey: r.keys.Own("probe:" + o.PodID), noConfigure: o.NoConfigure,
		topics: map[stream.Topic]*link{}, news: make(chan struct{}, 1),
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
	l := newLink(e, e.r.rdb)
	l.change(true, e.r.keys.Keyspace(e.probeKey), e.podChannel())
	e.links = append(e.links, l)
	return l
}

// follow subscribes to what announces a topic. Each confirmation wakes it.
func (e *ears) follow(t stream.Topic) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var l *link
	for _, have := range e.links {
		if have.topics < maxLinkTopics {
			l = have
			break
		}
	}
	if l == nil {
		l = e.open()
	}
	l.topics++
	e.topics[t] = l
	l.change(true, e.channels(t)...)
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
	e.mu.Lock()
	links := e.links
	e.mu.Unlock()
	for _, l := range links {
		l.close()
	}
	e.done.Wait()
}

// onChannel takes what a link received: a message, or the confirmation of a
// subscription.
func (e *ears) onChannel(l *link, channel string, message bool) {
	key, ok := e.r.keys.KeyspaceKey(channel)
	if !ok {
		if key, ok = e.r.keys.WakeKey(channel); !ok {
			return
		}
	}
	e.onKey(l, key, message)
}

func (e *ears) onKey(l *link, key string, message bool) {
	name, ok := strings.CutPrefix(key, e.r.keys.Prefix)
	switch {
	case key == e.probeKey && message:
		l.hearing.Store(time.Now().UnixNano())
		e.stir()
	case key == e.probeKey:
		l.confirmed.Store(true)
		e.stir()
	case ok:
		e.r.wake(stream.Topic(name)) // what is not followed is not a topic either
	}
}

// stir lets the probe look again.
func (e *ears) stir() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// onFlush takes the news that all keys are gone, or may be.
func (e *ears) onFlush() {
	for _, t := range e.r.all() {
		e.r.dirty(t)
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
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		id, err := cn.ClientID(ctx).Result()
		if err != nil {
			return err
		}
		return cn.Do(ctx, "client", "tracking", "on", "redirect", id, "bcast", "prefix", e.r.keys.Prefix).Err()
	}
	own := redis.NewClient(&o)
	l := newLink(e, own)
	l.own = own
	l.change(true, invalidateChannel)
	return l
}

const invalidateChannel = "__redis__:invalidate"

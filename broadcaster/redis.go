package broadcaster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redisstream"
	"github.com/ssegateway/sse-gateway/stream"
)

// Redis is a Broadcaster over Redis Streams: any number of pods with the same
// Redis and the same keys reach each other's connections, and whoever adds an
// entry with XADD reaches all.
//
//	XADD ──► stream ──► keyspace notification ──► link ──┐
//	            │       (or tracking, or PUBLISH)        ├─► hub ──► flusher
//	            │                  sweep ────────────────┘             │
//	            └───────────────── XREAD of all dirty tails ◄──────────┘
type Redis struct {
	*hub
	rdb    redis.UniversalClient
	keys   stream.Keys
	maxLen int64
	ears   *ears
	way    atomic.Pointer[Status]
}

var _ Broadcaster = (*Redis)(nil)

// RedisOptions configure a Redis. The zero RedisOptions work.
type RedisOptions struct {
	Options
	Keys  stream.Keys // default: stream.DefaultPrefix, database 0
	PodID string      // names this pod's keys in Redis; default: random

	// NoConfigure forbids CONFIG SET notify-keyspace-events where the probe
	// shows that Redis does not send them.
	NoConfigure bool

	// MaxLen bounds a stream on every BroadcastTo, approximately; 0 is no
	// bound.
	MaxLen int64
}

// Way is how a pod hears of entries that others add.
type Way string

// The ways, best first.
const (
	// WayKeyspace: Redis sends keyspace notifications.
	WayKeyspace Way = "keyspace"
	// WayTracking: Redis sends invalidation messages (CLIENT TRACKING).
	WayTracking Way = "tracking"
	// WayPublish: pods announce what is published through them; everything
	// else is found by the sweep.
	WayPublish Way = "publish"
	// WayUnknown: not decided yet.
	WayUnknown Way = "unknown"
)

// Status is what a pod knows of its way to Redis.
type Status struct {
	Ready  bool   // Redis has answered, and the way is decided. Stays true
	Way    Way    // in use
	Reason string // why it is not ready, or what is not as good as it could be; "" if all is well
}

// NewRedis returns a Broadcaster over rdb, which stays the caller's. It does
// not wait for Redis: see Status. rdb should not retry commands (MaxRetries
// -1), since a retried XADD may store twice, and should keep to the deadlines
// of contexts (ContextTimeoutEnabled).
func NewRedis(rdb redis.UniversalClient, o RedisOptions) (*Redis, error) {
	return newRedis(rdb, o, defaultTiming())
}

func newRedis(rdb redis.UniversalClient, o RedisOptions, timing timing) (*Redis, error) {
	if o.Keys.Prefix == "" {
		o.Keys.Prefix = stream.DefaultPrefix
	}
	if o.PodID == "" {
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails
		o.PodID = hex.EncodeToString(b[:])
	}
	r := &Redis{hub: &hub{timing: timing}, rdb: rdb, keys: o.Keys, maxLen: o.MaxLen}
	r.way.Store(&Status{Way: WayUnknown, Reason: "Redis has not answered yet"})
	r.ears = newEars(r, o)
	r.source, r.listen = r, r.ears
	if err := r.setUp(o.Options); err != nil {
		return nil, err
	}
	r.ears.start()
	return r, nil
}

// Status returns what the pod knows of its way to Redis now.
func (r *Redis) Status() Status { return *r.way.Load() }

// heads, pages, newer, add and load make Redis the hub's source.

func (r *Redis) heads(ctx context.Context, topics []stream.Topic) ([]stream.Info, []error) {
	keys := make([]string, len(topics))
	for i, t := range topics {
		keys[i] = r.keys.Stream(t)
	}
	return redisstream.Heads(ctx, r.rdb, keys)
}

func (r *Redis) tailReads(reads []tailRead) []redisstream.TailRead {
	list := make([]redisstream.TailRead, len(reads))
	for i, t := range reads {
		list[i] = redisstream.TailRead{Key: r.keys.Stream(t.topic), At: t.at, Limit: t.limit}
	}
	return list
}

func (r *Redis) pages(ctx context.Context, reads []tailRead) []result {
	results := make([]result, len(reads))
	for i, res := range redisstream.ReadTails(ctx, r.rdb, r.tailReads(reads)) {
		results[i] = result{page: res.Page, err: res.Err}
	}
	return results
}

func (r *Redis) newer(ctx context.Context, reads []tailRead) ([]bool, error) {
	return redisstream.Newer(ctx, r.rdb, r.tailReads(reads))
}

func (r *Redis) add(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error) {
	fields, err := m.Fields()
	if err != nil {
		return stream.ID{}, err
	}
	key := r.keys.Stream(t)
	id, err := redisstream.Append(ctx, r.rdb, key, r.maxLen, fields)
	if err == nil && r.Status().Way != WayKeyspace {
		// Only a wake-up: if it is lost, the sweep finds the entry.
		if err := r.rdb.Publish(ctx, r.keys.Wake(key), "").Err(); err != nil {
			r.log.Debug("announcing an entry failed", "topic", t, "error", err)
		}
	}
	return id, err
}

// sweepCost is what one key in a sweep costs Redis, and sweepShare the part of
// Redis that the sweeps of all pods together may take.
const (
	sweepCost  = 300 * time.Nanosecond
	sweepShare = 0.02
)

func (r *Redis) load(ctx context.Context, topics int) time.Duration {
	pods := int64(1)
	channel := r.ears.podChannel()
	if n, err := r.rdb.PubSubNumSub(ctx, channel).Result(); err == nil {
		pods = max(1, n[channel])
	}
	return time.Duration(float64(int64(topics)*pods*int64(sweepCost)) / sweepShare)
}

// status records the way and logs a change of it.
func (r *Redis) status(s Status) {
	old := r.way.Swap(&s)
	if old.Way == s.Way && old.Ready == s.Ready && old.Reason == s.Reason {
		return
	}
	if s.Reason == "" {
		r.log.Info("hearing of new entries", "way", s.Way)
		return
	}
	r.log.Warn("hearing of new entries", "way", s.Way, "ready", s.Ready, "reason", s.Reason)
}

// configure lets Redis send the notifications that the gateway listens to, in
// addition to those it sends already. It returns what it did.
func (r *Redis) configure(ctx context.Context) (string, error) {
	const name, needed = "notify-keyspace-events", "Kgxet"
	have, err := r.rdb.ConfigGet(ctx, name).Result()
	if err != nil {
		return "", fmt.Errorf("CONFIG GET %s: %w", name, err)
	}
	flags := mergeFlags(have[name], needed)
	if flags == have[name] {
		return "", nil
	}
	if err := r.rdb.ConfigSet(ctx, name, flags).Err(); err != nil {
		return "", fmt.Errorf("CONFIG SET %s %s: %w", name, flags, err)
	}
	return fmt.Sprintf("CONFIG SET %s %s (it was %q)", name, flags, have[name]), nil
}

// mergeFlags adds the flags that are missing. "A" stands for all classes of
// events but not for K or E.
func mergeFlags(have, needed string) string {
	has := map[rune]bool{}
	for _, f := range have {
		has[f] = true
	}
	for _, f := range needed {
		if !has[f] && (f == 'K' || !has['A']) {
			have += string(f)
		}
	}
	return have
}

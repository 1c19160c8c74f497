package replayer

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redisstream"
	"github.com/ssegateway/sse-gateway/stream"
)

// RedisOptions bound a Redis. The zero value has the defaults.
type RedisOptions struct {
	// MaxLen is about how many entries of a topic Store leaves ("MAXLEN ~");
	// DefaultMaxEvents if 0, no limit if negative.
	MaxLen int64
	// MaxEntry is the greatest size of an entry in bytes of names and values;
	// stream.DefaultMaxEntry if 0.
	MaxEntry int
}

// Redis is a Replayer over Redis Streams: a topic is the stream that
// stream.Keys names. Entries that others add with XADD are part of it.
type Redis struct {
	rdb  redis.UniversalClient
	keys stream.Keys
	opts RedisOptions
}

// NewRedis returns a Replayer that uses rdb and does not close it. For Store
// to never add an entry twice, rdb must not retry: MaxRetries -1.
func NewRedis(rdb redis.UniversalClient, keys stream.Keys, opts RedisOptions) *Redis {
	if opts.MaxLen == 0 {
		opts.MaxLen = DefaultMaxEvents
	}
	if opts.MaxEntry <= 0 {
		opts.MaxEntry = stream.DefaultMaxEntry
	}
	return &Redis{rdb: rdb, keys: keys, opts: opts}
}

// Store implements Replayer.
func (r *Redis) Store(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error) {
	fields, err := fieldsOf(m, r.opts.MaxEntry)
	if err != nil {
		return stream.ID{}, err
	}
	return redisstream.Append(ctx, r.rdb, r.keys.Stream(t), r.opts.MaxLen, fields)
}

// Read implements Replayer.
func (r *Redis) Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error) {
	return redisstream.Read(ctx, r.rdb, r.keys.Stream(t), at, upTo, limit)
}

// Seek implements Replayer. It counts Last entries by reading them, since
// Redis does not tell ids alone.
func (r *Redis) Seek(ctx context.Context, t stream.Topic, s Since) (stream.ID, error) {
	key := r.keys.Stream(t)
	switch {
	case s.Earliest:
	case s.Last > 0:
		// Ask first: one who wants more than there is gets all of it unread.
		info, err := redisstream.Info(ctx, r.rdb, key)
		if err != nil {
			return stream.ID{}, err
		}
		if uint64(s.Last) >= info.Length {
			return earliest(info), nil
		}
		id, found, err := redisstream.Back(ctx, r.rdb, key, stream.MaxID, s.Last+1)
		if err != nil || found > s.Last {
			return id, err
		}
	case s.Ago > 0 || !s.Time.IsZero():
		if id, found, err := r.before(ctx, key, s); err != nil || found {
			return id, err
		}
	default:
		infos, errs := redisstream.Heads(ctx, r.rdb, []string{key})
		return endOf(infos[0]), errs[0]
	}
	info, err := redisstream.Info(ctx, r.rdb, key)
	return earliest(info), err
}

// before returns the newest entry before the moment that s names.
func (r *Redis) before(ctx context.Context, key string, s Since) (id stream.ID, found bool, err error) {
	moment := s.Time
	if s.Ago > 0 {
		now, err := redisstream.Time(ctx, r.rdb)
		if err != nil {
			return stream.ID{}, false, err
		}
		moment = s.moment(now)
	}
	from := firstAt(moment)
	if from.IsZero() {
		return stream.ID{}, false, nil
	}
	id, n, err := redisstream.Back(ctx, r.rdb, key, from.Prev(), 1)
	return id, n > 0, err
}

// Bounds implements Replayer.
func (r *Redis) Bounds(ctx context.Context, t stream.Topic) (stream.Info, error) {
	return redisstream.Info(ctx, r.rdb, r.keys.Stream(t))
}

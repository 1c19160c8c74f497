package broadcaster

import "github.com/redis/go-redis/v9"

// Timing lets the tests of other packages not wait.
type Timing = timing

// DefaultTiming returns the timing that users get.
func DefaultTiming() Timing { return defaultTiming() }

// NewTimed is New with a timing.
func NewTimed(s Store, o Options, t Timing) (Local, error) { return newLocal(s, o, t) }

// NewRedisTimed is NewRedis with a timing.
func NewRedisTimed(rdb redis.UniversalClient, o RedisOptions, t Timing) (*Redis, error) {
	return newRedis(rdb, o, t)
}

// MaxLinkTopics is how many topics share a pub/sub connection.
const MaxLinkTopics = maxLinkTopics

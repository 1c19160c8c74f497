package replayer_test

import (
	"context"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/internal/embedded"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/replayer/replayertest"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	replayertest.Run(t, func(testing.TB) replayertest.Harness {
		m := replayer.NewMemory(replayer.MemoryOptions{})
		return replayertest.Harness{
			Replayer: m,
			Features: replayertest.Features{Counters: true, Delete: true, Trim: true, Drop: true},
			Delete:   func(t stream.Topic, id stream.ID) { m.Delete(t, id) },
			Trim:     m.Trim,
			Drop:     m.Drop,
		}
	})
}

func TestRedis(t *testing.T) {
	s := redistest.Start(t)
	replayertest.Run(t, redisHarness(s.Client(), true))
}

func TestRedisWithRESP2(t *testing.T) {
	s := redistest.Start(t)
	replayertest.Run(t, redisHarness(s.Client(func(o *redis.Options) { o.Protocol = 2 }), true))
}

func TestRedisCluster(t *testing.T) {
	rdb := redistest.ClusterClient(t, redistest.StartCluster(t, 2))
	replayertest.Run(t, redisHarness(rdb, true))
}

func TestEmbeddedRedis(t *testing.T) {
	s, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	t.Cleanup(func() {
		_ = rdb.Close()
		_ = s.Close()
	})
	replayertest.Run(t, redisHarness(rdb, true))
}

// A server without the counters of Redis 7 answers in doubt.
func TestRedisWithoutCounters(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	replayertest.Run(t, redisHarness(rdb, false))
}

func redisHarness(rdb redis.UniversalClient, counters bool) func(testing.TB) replayertest.Harness {
	keys := stream.Keys{Prefix: stream.DefaultPrefix}
	return func(t testing.TB) replayertest.Harness {
		ctx := context.Background()
		do := func(args ...any) {
			t.Helper()
			if err := rdb.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, rdb)
		return replayertest.Harness{
			Replayer: replayer.NewRedis(rdb, keys, replayer.RedisOptions{}),
			Features: replayertest.Features{Counters: counters, ExplicitIDs: true, Delete: true, Trim: true, Drop: true, WrongType: true},
			Append: func(t stream.Topic, id stream.ID, fields ...string) {
				args := []any{"XADD", keys.Stream(t), id.String()}
				for _, f := range fields {
					args = append(args, f)
				}
				do(args...)
			},
			Delete: func(t stream.Topic, id stream.ID) { do("XDEL", keys.Stream(t), id.String()) },
			Trim:   func(t stream.Topic, keep int) { do("XTRIM", keys.Stream(t), "MAXLEN", "=", keep) },
			Drop:   func(t stream.Topic) { do("DEL", keys.Stream(t)) },
			Spoil:  func(t stream.Topic) { do("SET", keys.Stream(t), "x") },
		}
	}
}

func flush(t testing.TB, rdb redis.UniversalClient) {
	t.Helper()
	one := func(ctx context.Context, c *redis.Client) error { return c.FlushAll(ctx).Err() }
	var err error
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(context.Background(), one)
	case *redis.Client:
		err = one(context.Background(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

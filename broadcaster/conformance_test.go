package broadcaster_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/internal/embedded"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // it tells of every connection that the tests break
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var quiet = slog.New(slog.DiscardHandler)

func TestLocal(t *testing.T) {
	broadcastertest.Run(t, func(t testing.TB) broadcastertest.Harness {
		m := replayer.NewMemory(replayer.MemoryOptions{})
		return broadcastertest.Harness{
			Pod: func(o broadcaster.Options) broadcaster.Broadcaster {
				o.Logger = quiet
				b, err := broadcaster.New(m, o)
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
			Add: func(topic stream.Topic, fields ...string) stream.ID {
				id, err := m.Store(context.Background(), topic, message(fields))
				if err != nil {
					t.Error(err)
				}
				return id
			},
			Read: m.Read,
		}
	})
}

// message returns the message whose entry has these fields.
func message(fields []string) (m stream.Message) {
	for i := 0; i < len(fields); i += 2 {
		switch fields[i] {
		case stream.FieldData:
			m.Data = fields[i+1]
		case stream.FieldEvent:
			m.Event = fields[i+1]
		case stream.FieldClose:
			m.Close = fields[i+1] == "1"
		}
	}
	return m
}

func TestRedis(t *testing.T) {
	s := redistest.Start(t)
	broadcastertest.Run(t, redisHarness(s.Addr))
}

func TestRedisWithRESP2(t *testing.T) {
	s := redistest.Start(t)
	broadcastertest.Run(t, redisHarness(s.Addr, func(o *redis.Options) { o.Protocol = 2 }))
}

func TestEmbeddedRedis(t *testing.T) {
	s, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	broadcastertest.Run(t, redisHarness(s.Addr()))
}

// harnesses numbers the harnesses, each of which has a prefix of its own.
var harnesses atomic.Int64

func redisHarness(addr string, change ...func(*redis.Options)) func(testing.TB) broadcastertest.Harness {
	ctx := context.Background()
	return func(t testing.TB) broadcastertest.Harness {
		keys := stream.Keys{Prefix: fmt.Sprintf("test%d:", harnesses.Add(1))}
		between := startProxy(t, addr)
		client := func(addr string) *redis.Client {
			o := &redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true}
			for _, c := range change {
				c(o)
			}
			rdb := redis.NewClient(o)
			t.Cleanup(func() { _ = rdb.Close() })
			return rdb
		}
		admin := client(addr)
		do := func(args ...any) any {
			v, err := admin.Do(ctx, args...).Result()
			if err != nil {
				t.Errorf("%v: %v", args, err)
			}
			return v
		}
		return broadcastertest.Harness{
			Features: broadcastertest.Features{Pods: true, Fields: true, WrongType: true, Interrupt: true},
			Pod: func(o broadcaster.Options) broadcaster.Broadcaster {
				o.Logger = quiet
				b, err := broadcaster.NewRedis(client(between.Addr), broadcaster.RedisOptions{Options: o, Keys: keys})
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
			Add: func(topic stream.Topic, fields ...string) stream.ID {
				args := []any{"XADD", keys.Stream(topic), "*"}
				for _, f := range fields {
					args = append(args, f)
				}
				id, _ := stream.ParseID(fmt.Sprint(do(args...)))
				return id
			},
			Read:      replayer.NewRedis(admin, keys, replayer.RedisOptions{}).Read,
			Interrupt: between.cut,
			Drop:      func(topic stream.Topic) { do("DEL", keys.Stream(topic)) },
			Spoil:     func(topic stream.Topic) { do("SET", keys.Stream(topic), "x") },
		}
	}
}

package broadcaster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestRedisCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	rdb := redistest.ClusterClient(t, nodes)
	broadcastertest.Run(t, func(t testing.TB) broadcastertest.Harness {
		keys := stream.Keys{Prefix: fmt.Sprintf("test%d:", harnesses.Add(1))}
		return broadcastertest.Harness{
			Features: broadcastertest.Features{Pods: true, Fields: true, WrongType: true},
			Pod: func(o broadcaster.Options) broadcaster.Broadcaster {
				o.Logger = quiet
				timing := broadcaster.DefaultTiming()
				timing.MinSweep = timing.MinSweep / 20
				timing.Verify = timing.MinSweep
				b, err := broadcaster.NewRedisTimed(rdb, broadcaster.RedisOptions{Options: o, Keys: keys}, timing)
				if err != nil {
					t.Fatal(err)
				}
				return b
			},
			Add: func(topic stream.Topic, fields ...string) stream.ID {
				id, err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: keys.Stream(topic), Values: fields}).Result()
				if err != nil {
					t.Error(err)
				}
				parsed, _ := stream.ParseID(id)
				return parsed
			},
			Read:  replayer.NewRedis(rdb, keys, replayer.RedisOptions{}).Read,
			Drop:  func(topic stream.Topic) { do(t, rdb, "DEL", keys.Stream(topic)) },
			Spoil: func(topic stream.Topic) { do(t, rdb, "SET", keys.Stream(topic), "x") },
		}
	})
}

// Topics lie on all nodes, and a wake-up comes from whichever.
func TestInClusterPodsTellEachOther(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	for _, n := range nodes {
		// What is published at one node reaches only those it is connected to.
		for ctx := within(t); strings.Count(n.Do("CLUSTER", "NODES").(string), " connected") < len(nodes); {
			if ctx.Err() != nil {
				t.Fatal("the nodes do not connect")
			}
		}
	}
	rdb := redistest.ClusterClient(t, nodes)
	one, two := startPod(t, rdb), startPod(t, redistest.ClusterClient(t, nodes))
	for _, p := range []*pod{one, two} {
		p.awaitWay(broadcaster.WayPublish)
	}
	for n := range 30 {
		topic := stream.Topic(fmt.Sprint("t", n))
		here, there := one.follow(topic), two.follow(topic)
		for range 3 {
			id := one.publish(topic, "x")
			want(t, here, id)
			want(t, there, id)
		}
	}
	for _, n := range nodes {
		if n.Do("DBSIZE") == int64(0) {
			t.Errorf("no topic lies on %s", n.Addr)
		}
	}
}

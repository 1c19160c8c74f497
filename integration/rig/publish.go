package rig

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Add adds an entry to a topic as any program may: XADD. values are names and
// values. It returns the entry's id.
func (r *Redis) Add(t testing.TB, topic string, values ...string) string {
	t.Helper()
	id, err := r.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "sse:" + topic, Values: values}).Result()
	if err != nil {
		t.Fatalf("XADD sse:%s: %v", topic, err)
	}
	return id
}

// Data adds one event for each data.
func (r *Redis) Data(t testing.TB, topic string, data ...string) {
	t.Helper()
	for _, d := range data {
		r.Add(t, topic, "data", d)
	}
}

// Do sends any command.
func (r *Redis) Do(t testing.TB, args ...any) {
	t.Helper()
	if err := r.Client().Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

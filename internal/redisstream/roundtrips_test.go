package redisstream_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redisstream"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

// commandLog notes the names of the commands of each round trip.
type commandLog struct{ trips [][]string }

func (l *commandLog) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *commandLog) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		l.note(cmd)
		return next(ctx, cmd)
	}
}

func (l *commandLog) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		l.note(cmds...)
		return next(ctx, cmds)
	}
}

func (l *commandLog) note(cmds ...redis.Cmder) {
	var names []string
	for _, c := range cmds {
		if c.Name() != "hello" && c.Name() != "client" { // of the connection
			names = append(names, c.Name())
		}
	}
	if names != nil {
		l.trips = append(l.trips, names)
	}
}

// The live read of many topics is one command in one round trip, and a doubt
// about some of them a second.
func TestRoundTrips(t *testing.T) {
	rdb := redistest.Start(t).Client()
	ctx := context.Background()
	var reads []redisstream.TailRead
	for i := range 300 {
		key := fmt.Sprint("k", i)
		add(t, rdb, key, "1-0", "2-0")
		reads = append(reads, redisstream.TailRead{Key: key, At: id("1-0"), Limit: 10})
	}
	log := &commandLog{}
	rdb.AddHook(log)
	want := func(what, trips string) {
		t.Helper()
		if got := fmt.Sprint(log.trips); got != trips {
			t.Errorf("%s took %s, want %s", what, got, trips)
		}
		log.trips = nil
	}
	redisstream.ReadTails(ctx, rdb, reads[:256])
	want("256 tails", "[[xread]]")
	redisstream.ReadTails(ctx, rdb, reads)
	want("300 tails", "[[xread xread]]")
	reads[7].Limit = 20
	redisstream.ReadTails(ctx, rdb, reads[:10])
	want("two limits", "[[xread xread]]")
	reads[3].At, reads[4].At = id("0-1"), id("9-0")
	redisstream.ReadTails(ctx, rdb, reads[:5])
	want("two doubts", "[[xread] [multi xrange xinfo xrange xinfo exec]]")
	_, _ = redisstream.Read(ctx, rdb, "k0", id("1-0"), stream.MaxID, 10)
	want("a position that is there", "[[xrange]]")
	_, _ = redisstream.Read(ctx, rdb, "k0", id("0-0"), stream.MaxID, 10)
	want("the start", "[[multi xrange xinfo exec]]")
	_, _ = redisstream.Read(ctx, rdb, "k0", id("1-1"), stream.MaxID, 10)
	want("a position that is not there", "[[xrange] [multi xrange xinfo exec]]")
	redisstream.Heads(ctx, rdb, []string{"k0", "none", "k1"})
	want("heads", "[[xrevrange xrevrange xrevrange] [xinfo]]")
}

func testNewerTellsWhereThereIsMore(t *testing.T, rdb redis.UniversalClient) {
	ctx := context.Background()
	var reads []redisstream.TailRead
	for i := range 300 {
		key := fmt.Sprint("k", i)
		if i%3 != 2 {
			add(t, rdb, key, "1-0", "2-0")
		}
		reads = append(reads, redisstream.TailRead{Key: key, At: stream.ID{Ms: uint64(1 + i%3)}})
	}
	got, err := redisstream.Newer(ctx, rdb, reads)
	if err != nil {
		t.Fatal(err)
	}
	for i, newer := range got {
		if newer != (i%3 == 0) {
			t.Errorf("key %d after %v: %v", i, reads[i].At, newer)
		}
	}
}

package replayer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

func TestRedisLimitsTheLengthOfTopics(t *testing.T) {
	s := redistest.Start(t, "--stream-node-max-entries", "10")
	rdb := s.Client()
	ctx := context.Background()
	for _, c := range []struct {
		maxLen   int64
		min, max int64
	}{{50, 50, 60}, {0, 1000, 1010}, {-1, 1200, 1200}} {
		s.Do("FLUSHALL")
		r := replayer.NewRedis(rdb, stream.Keys{Prefix: "p:"}, replayer.RedisOptions{MaxLen: c.maxLen})
		for range 1200 {
			store(t, r, "x")
		}
		if n := rdb.XLen(ctx, "p:t").Val(); n < c.min || n > c.max {
			t.Errorf("MaxLen %d left %d entries", c.maxLen, n)
		}
	}
}

func TestRedisRefusesLargeMessagesBeforeItSendsThem(t *testing.T) {
	s := redistest.Start(t)
	r := replayer.NewRedis(s.Client(), stream.Keys{}, replayer.RedisOptions{MaxEntry: 10})
	s.Kill()
	if _, err := r.Store(context.Background(), "t", stream.Message{Data: "1234567"}); !errors.Is(err, stream.FaultTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestRedisThatIsGoneIsAnErrorOfEveryCall(t *testing.T) {
	s := redistest.Start(t)
	r := replayer.NewRedis(s.Client(), stream.Keys{}, replayer.RedisOptions{})
	id := store(t, r, "x")
	s.Kill()
	ctx := context.Background()
	check := func(call string, err error) {
		t.Helper()
		var wrong *stream.WrongTypeError
		if err == nil || errors.As(err, &wrong) {
			t.Errorf("%s: got %v", call, err)
		}
	}
	_, err := r.Store(ctx, "t", stream.Message{})
	check("Store", err)
	_, err = r.Read(ctx, "t", id, stream.MaxID, 1)
	check("Read", err)
	_, err = r.Read(ctx, "t", stream.ID{}, stream.MaxID, 1)
	check("Read from the start", err)
	for _, s := range []replayer.Since{{}, {Earliest: true}, {Last: 1}, {Ago: 1}, {Time: time.Now()}} {
		_, err = r.Seek(ctx, "t", s)
		check("Seek", err)
	}
	_, err = r.Bounds(ctx, "t")
	check("Bounds", err)
}

func TestEntriesOfOtherPublishersAreReadAsTheyAre(t *testing.T) {
	s := redistest.Start(t)
	r := replayer.NewRedis(s.Client(), stream.Keys{Prefix: stream.DefaultPrefix}, replayer.RedisOptions{})
	s.Do("XADD", "sse:t", "1-1", "z", "1", "a", "\xff", "z", "2")
	p := read(t, r, stream.ID{})
	if len(p.Entries) != 1 || len(p.Entries[0].Fields) != 6 || p.Entries[0].Fields[3] != "\xff" || p.Entries[0].Fields[5] != "2" {
		t.Errorf("got %q", p.Entries)
	}
}

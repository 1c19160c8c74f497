package broadcaster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

// atomically sends commands that nobody can read between.
func atomically(t *testing.T, rdb *redis.Client, lines ...string) {
	t.Helper()
	_, err := rdb.TxPipelined(within(t), func(tx redis.Pipeliner) error {
		for _, line := range lines {
			var args []any
			for _, f := range strings.Fields(line) {
				args = append(args, f)
			}
			tx.Do(within(t), args...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// following5 starts a pod and a connection that was sent the entries 1-0 to
// 5-0 of the topic.
func following5(t *testing.T, rdb *redis.Client, settings ...setting) (*pod, *broadcastertest.Follower) {
	t.Helper()
	p := startPod(t, rdb, settings...)
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	for n := range uint64(5) {
		id := stream.ID{Ms: n + 1}
		xaddAs(t, rdb, topic, id.String(), "old")
		want(t, f, id)
	}
	return p, f
}

func TestEntriesTrimmedBeforeThePodReadThemAreAGap(t *testing.T) {
	rdb := redistest.Start(t).Client()
	_, f := following5(t, rdb)
	atomically(t, rdb,
		"XADD sse:orders MAXLEN 1 6-0 data lost",
		"XADD sse:orders MAXLEN 1 7-0 data lost",
		"XADD sse:orders MAXLEN 1 8-0 data kept")
	if e := wantControl(t, f, broadcastertest.Gap); e.ID != (stream.ID{Ms: 8}).Prev() {
		t.Errorf("the gap ends at %v", e.ID)
	}
	want(t, f, stream.ID{Ms: 8})
	atomically(t, rdb, "XADD sse:orders 9-0 data lost", "XTRIM sse:orders MAXLEN 0")
	if e := wantControl(t, f, broadcastertest.Gap); e.ID != (stream.ID{Ms: 9}) {
		t.Errorf("the gap ends at %v", e.ID)
	}
	// An entry after nothing might have been one of many: in doubt a gap.
	xaddAs(t, rdb, topic, "10-0", "x")
	wantControl(t, f, broadcastertest.Gap)
	want(t, f, stream.ID{Ms: 10})
}

func TestEntriesTrimmedOrDeletedAfterThePodReadThemAreNone(t *testing.T) {
	rdb := redistest.Start(t).Client()
	_, f := following5(t, rdb)
	do(t, rdb, "XTRIM", "sse:orders", "MAXLEN", 1)
	want(t, f, xaddAs(t, rdb, topic, "6-0", "x"))
	do(t, rdb, "XDEL", "sse:orders", "6-0")
	want(t, f, xaddAs(t, rdb, topic, "7-0", "x"))
	// Deleted before it was read: nobody is owed it.
	atomically(t, rdb, "XADD sse:orders 8-0 data x", "XDEL sse:orders 8-0", "XADD sse:orders 9-0 data x")
	want(t, f, stream.ID{Ms: 9})
}

func TestADeletedKeyIsAResetAndAnotherHistoryFollows(t *testing.T) {
	rdb := redistest.Start(t).Client()
	p, f := following5(t, rdb)
	epoch := f.Log.State().Head.Epoch
	do(t, rdb, "DEL", "sse:orders")
	if e := wantControl(t, f, broadcastertest.Reset); !e.ID.IsZero() {
		t.Errorf("goes on after %v", e.ID)
	}
	if now := f.Log.State().Head.Epoch; now == epoch {
		t.Error("the epoch is the same")
	}
	// Ids below those of the old history.
	want(t, f, xaddAs(t, rdb, topic, "2-0", "new"), xaddAs(t, rdb, topic, "3-0", "new"))
	// Who comes from the old history is told, from wherever he comes.
	for _, from := range []uint64{1, 5} {
		late := p.follow(topic)
		late.Resume(stream.ID{Ms: from, Seq: 7})
		if e := next(t, late); e.Kind != broadcastertest.Gap && e.Kind != broadcastertest.Reset {
			t.Errorf("resumed at %d-7 of another history and got %v", from, e)
		}
	}
}

func TestAFlushedRedisIsAResetOrAGap(t *testing.T) {
	rdb := redistest.Start(t).Client()
	_, f := following5(t, rdb)
	do(t, rdb, "FLUSHALL") // of which nobody tells
	xaddAs(t, rdb, topic, "3-0", "new")
	wantControl(t, f, broadcastertest.Reset)
	for f.Position().Less(stream.ID{Ms: 3}) {
		next(t, f)
	}
	// Ids beyond those of the old history look as if the ones between had
	// been trimmed, unless the pod happens to read in between.
	atomically(t, rdb, "FLUSHALL", "XADD sse:orders 9-0 data new")
	wantControl(t, f, broadcastertest.Gap)
	want(t, f, stream.ID{Ms: 9})
}

// A copy that lagged: the histories have 1-0 to 3-0 in common.
func TestAForkTellsWhereHistoriesPart(t *testing.T) {
	for name, fork := range map[string][]string{
		"shorter": nil,
		"lower":   {"XADD sse:orders 3-5 data new"},
		"between": {"XADD sse:orders 4-5 data new"},
		"higher":  {"XADD sse:orders 9-0 data new"},
		"both":    {"XADD sse:orders 3-5 data new", "XADD sse:orders 9-0 data new"},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := redistest.Start(t).Client()
			p, f := following5(t, rdb)
			log, at := f.Log, f.Log.State().Head
			third, err := log.Seek(stream.ID{Ms: 3})
			if err != nil {
				t.Fatal(err)
			}
			atomically(t, rdb, append([]string{
				"DEL sse:orders",
				"XADD sse:orders 1-0 data old",
				"XADD sse:orders 2-0 data old",
				"XADD sse:orders 3-0 data old"}, fork...)...)
			if e := wantControl(t, f, broadcastertest.Reset); e.ID != (stream.ID{Ms: 3}) {
				t.Errorf("goes on after %v, want 3-0", e.ID)
			}
			for _, line := range fork {
				id, _ := stream.ParseID(strings.Fields(line)[2])
				want(t, f, id)
			}
			want(t, f, xaddAs(t, rdb, topic, "10-0", "on"))

			// What Fork says to readers at the end and before the parting.
			if got := log.Fork(at.Epoch); got.Common != (stream.ID{Ms: 3}) || got.Restart != (stream.ID{Ms: 3}) {
				t.Errorf("Fork(%d) is %+v, want 3-0", at.Epoch, got)
			}
			if _, err := log.Read(third); !errors.Is(err, stream.ErrForked) {
				t.Errorf("Read of the old history: got error %v, want ErrForked", err)
			}
			if now := log.Fork(log.State().Head.Epoch); now.Common != stream.MaxID {
				t.Errorf("Fork of the present epoch is %+v", now)
			}
			// Who had been sent 3-0 and no more has lost nothing.
			early := p.follow(topic)
			early.Resume(stream.ID{Ms: 3})
			for early.Position().Less(stream.ID{Ms: 10}) {
				if e := next(t, early); e.Kind != broadcastertest.Sent {
					t.Errorf("got %v", e)
				}
			}
		})
	}
}

func TestAForkSaysWhetherTheOtherHistoryIsClosed(t *testing.T) {
	rdb := redistest.Start(t).Client()
	_, f := following5(t, rdb)
	do(t, rdb, "XADD", "sse:orders", "6-0", "data", "bye", "close", "1")
	want(t, f, stream.ID{Ms: 6})
	if !f.Log.State().Closed {
		t.Fatal("not closed")
	}
	atomically(t, rdb, "DEL sse:orders", "XADD sse:orders 4-0 data old", "XADD sse:orders 5-0 data old")
	wantControl(t, f, broadcastertest.Reset)
	want(t, f, xaddAs(t, rdb, topic, "7-0", "on"))
	if f.Log.State().Closed {
		t.Error("closed by an entry of a history that is no more")
	}
	atomically(t, rdb, "DEL sse:orders", "XADD sse:orders 5-0 data bye close 1")
	wantControl(t, f, broadcastertest.Reset)
	for ctx := within(t); !f.Log.State().Closed; {
		select {
		case <-f.Conn.Woken():
		case <-ctx.Done():
			t.Fatal("not closed, or not told")
		}
	}
}

func TestPodsWithOtherPrefixesAndDatabasesDoNotMeet(t *testing.T) {
	s := redistest.Start(t)
	type place struct {
		keys stream.Keys
		rdb  *redis.Client
		pod  *pod
		f    *broadcastertest.Follower
	}
	var places []*place
	for _, keys := range []stream.Keys{
		{Prefix: "sse:"}, {Prefix: "sse:", DB: 3}, {Prefix: "app_sse:"}, {Prefix: "app_sse:", DB: 3}, {Prefix: "s", DB: 11},
	} {
		rdb := s.Client(func(o *redis.Options) { o.DB = keys.DB })
		pl := &place{keys: keys, rdb: rdb}
		pl.pod = startPod(t, rdb, func(o *broadcaster.RedisOptions, _ *broadcaster.Timing) { o.Keys = keys })
		places = append(places, pl)
	}
	for _, pl := range places {
		pl.pod.awaitWay(broadcaster.WayKeyspace)
		pl.f = pl.pod.follow(topic)
	}
	for round := range 3 {
		for _, pl := range places {
			data := fmt.Sprint(pl.keys, round)
			id, err := pl.rdb.XAdd(within(t), &redis.XAddArgs{Stream: pl.keys.Prefix + string(topic), Values: []any{"data", data}}).Result()
			if err != nil {
				t.Fatal(err)
			}
			if e := next(t, pl.f); e.ID.String() != id || e.Data != data {
				t.Errorf("%+v: got %v, want %s", pl.keys, e, data)
			}
			want(t, pl.f, pl.pod.publish(topic, data))
		}
	}
}

// Whatever the pods tell each other bears the number of the database too.
func TestWakeChannelsBearTheDatabase(t *testing.T) {
	s := redistest.Start(t, "--rename-command", "CONFIG", "", "--rename-command", "CLIENT", "")
	rdb := s.Client(func(o *redis.Options) { o.DB = 3 })
	in3 := func(o *broadcaster.RedisOptions, _ *broadcaster.Timing) { o.Keys = stream.Keys{Prefix: "sse:", DB: 3} }
	one, two := startPod(t, rdb, in3), startPod(t, rdb, in3)
	one.awaitWay(broadcaster.WayPublish)
	two.awaitWay(broadcaster.WayPublish)
	f := two.follow(topic)
	want(t, f, one.publish(topic, "x"))
	for _, channel := range do(t, rdb, "PUBSUB", "CHANNELS", "*").([]any) {
		if name := channel.(string); !strings.Contains(name, "@3") {
			t.Errorf("channel %s does not bear the database", name)
		}
	}
}

func TestAnEntryOfSeveralMegabytesArrives(t *testing.T) {
	rdb := redistest.Start(t).Client()
	for name, bytes := range map[string]int{"in the window": 16 << 20, "by way of the history": 0} {
		t.Run(name, func(t *testing.T) {
			p := startPod(t, rdb, func(o *broadcaster.RedisOptions, _ *broadcaster.Timing) { o.Limits.TopicBytes = bytes })
			p.awaitWay(broadcaster.WayKeyspace)
			f := p.follow(topic)
			big := strings.Repeat("x", 3<<20)
			var ids []stream.ID
			for n := range 4 {
				ids = append(ids, p.publish(topic, fmt.Sprint(n)))
				ids = append(ids, xadd(t, rdb, topic, fmt.Sprint(n)+big))
			}
			for n, id := range ids {
				e := next(t, f)
				if e.ID != id || !strings.HasPrefix(e.Data, fmt.Sprint(n/2)) || n%2 == 1 && len(e.Data) != len(big)+1 {
					t.Fatalf("got %v of %d bytes, want %v", e, len(e.Data), id)
				}
			}
		})
	}
}

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

// followMany follows n topics and waits until all have a position.
func followMany(p *pod, n int) []*broadcastertest.Follower {
	p.t.Helper()
	followers := make([]*broadcastertest.Follower, n)
	for i := range followers {
		followers[i] = p.following(stream.Topic(fmt.Sprintf("many/%d", i)))
	}
	ctx := within(p.t)
	for _, f := range followers {
		if _, err := f.Joined(ctx); err != nil {
			p.t.Fatal(err)
		}
	}
	return followers
}

// addToAll adds an entry to every topic, as many as there are as fast as Redis
// takes them, and waits until all have arrived.
func addToAll(t *testing.T, rdb *redis.Client, followers []*broadcastertest.Follower) {
	t.Helper()
	cmds, err := rdb.Pipelined(within(t), func(pipe redis.Pipeliner) error {
		for _, f := range followers {
			pipe.XAdd(within(t), &redis.XAddArgs{Stream: stream.DefaultPrefix + string(f.Topic), Values: []any{"data", string(f.Topic)}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t)
	for i, f := range followers {
		e, err := f.Next(ctx)
		if err != nil || e.ID.String() != cmds[i].(*redis.StringCmd).Val() || e.Data != string(f.Topic) {
			t.Fatalf("%s: got %v, %v", f.Topic, e, err)
		}
	}
}

func pubsubConns(t *testing.T, rdb *redis.Client) int {
	t.Helper()
	return strings.Count(do(t, rdb, "CLIENT", "LIST", "TYPE", "pubsub").(string), "\n")
}

func TestManyTopicsShareLinks(t *testing.T) {
	const n = broadcaster.MaxLinkTopics*5/4 + 1
	rdb := redistest.Start(t).Client()
	p := startPod(t, rdb)
	p.awaitWay(broadcaster.WayKeyspace)
	followers := followMany(p, n)
	if links := pubsubConns(t, rdb); links != 2 {
		t.Errorf("%d topics have %d links", n, links)
	}
	addToAll(t, rdb, followers)

	// All links, and all topics of each, come back.
	do(t, rdb, "CLIENT", "KILL", "TYPE", "pubsub")
	addToAll(t, rdb, followers)
	if topics, _ := p.TopicCount(within(t)); topics.Local != n {
		t.Errorf("%d topics, want %d", topics.Local, n)
	}
	// Those on both links are followed no more when nobody wants them.
	for _, f := range followers {
		f.Leave()
	}
}

func TestTopicsThatAreLeftAreUnsubscribed(t *testing.T) {
	rdb := redistest.Start(t, "--rename-command", "CONFIG", "", "--rename-command", "CLIENT", "").Client()
	p := startPod(t, rdb, func(o *broadcaster.RedisOptions, _ *broadcaster.Timing) { o.Limits.Linger = 1 })
	p.awaitWay(broadcaster.WayPublish)
	channels := func() int { return len(do(t, rdb, "PUBSUB", "CHANNELS", "*many*").([]any)) }
	followers := followMany(p, 10)
	if n := channels(); n != 20 {
		t.Errorf("%d channels of 10 topics, want those of Redis and those of the pods", n)
	}
	for _, f := range followers {
		f.Leave()
	}
	for ctx := within(t); channels() > 0; {
		if ctx.Err() != nil {
			t.Fatalf("%d channels are still subscribed", channels())
		}
	}
}

func TestAKeyOfAnotherTypeAmongManyIsItsOwnTopicsFault(t *testing.T) {
	const n, bad = 300, 123
	rdb := redistest.Start(t).Client()
	p := startPod(t, rdb)
	p.awaitWay(broadcaster.WayKeyspace)
	followers := followMany(p, n)
	addToAll(t, rdb, followers)
	spoilt := followers[bad]
	key := stream.DefaultPrefix + string(spoilt.Topic)
	others := append(append([]*broadcastertest.Follower(nil), followers[:bad]...), followers[bad+1:]...)

	do(t, rdb, "DEL", key)
	wantControl(t, spoilt, broadcastertest.Reset)
	for range 3 {
		do(t, rdb, "RPUSH", "list", "x")
		do(t, rdb, "RENAME", "list", key) // of which Redis tells, unlike of RPUSH
		for ctx := within(t); spoilt.Log.State().Fault == ""; {
			select {
			case <-spoilt.Conn.Woken():
			case <-ctx.Done():
				t.Fatal("the topic has no fault")
			}
		}
		if fault := spoilt.Log.State().Fault; !strings.Contains(fault, key) {
			t.Errorf("the fault does not name the key: %s", fault)
		}
		addToAll(t, rdb, others)
		do(t, rdb, "DEL", key)
		id := xadd(t, rdb, spoilt.Topic, "again")
		want(t, spoilt, id)
		if st := spoilt.Log.State(); st.Fault != "" {
			t.Errorf("readable again, but: %s", st.Fault)
		}
		do(t, rdb, "DEL", key)
		wantControl(t, spoilt, broadcastertest.Reset)
	}
	addToAll(t, rdb, followers)
}

// A sweep reads all topics at once, and finds what nobody tells of.
func TestASweepFindsKeysOfAnotherTypeAndThatTheyAreGone(t *testing.T) {
	rdb := redistest.Start(t).Client()
	p := startPod(t, rdb, sweeping)
	p.awaitWay(broadcaster.WayKeyspace)
	followers := followMany(p, 20)
	spoilt := followers[7]
	key := stream.DefaultPrefix + string(spoilt.Topic)
	do(t, rdb, "SET", key, "x")
	for ctx := within(t); spoilt.Log.State().Fault == ""; {
		select {
		case <-spoilt.Conn.Woken():
		case <-ctx.Done():
			t.Fatal("the topic has no fault")
		}
	}
	do(t, rdb, "CONFIG", "SET", "notify-keyspace-events", "")
	do(t, rdb, "DEL", key)
	for ctx := within(t); spoilt.Log.State().Fault != ""; {
		select {
		case <-spoilt.Conn.Woken(): // once it is readable again, too
		case <-ctx.Done():
			t.Fatal("the topic still has a fault")
		}
	}
}

func TestTheBytesOfAllWindowsAreBounded(t *testing.T) {
	const (
		total  = 100_000
		topics = 40
		events = 50
	)
	m := replayer.NewMemory(replayer.MemoryOptions{})
	b, err := broadcaster.New(m, broadcaster.Options{
		Logger: quiet,
		Limits: broadcaster.Limits{TotalBytes: total, TopicBytes: total / 10},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(within(t)) }()
	followers := make([]*broadcastertest.Follower, topics)
	for i := range followers {
		if followers[i], err = broadcastertest.Follow(b, stream.Topic(fmt.Sprint(i)), m.Read); err != nil {
			t.Fatal(err)
		}
		if _, err := followers[i].Joined(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	held := func() (sum int) {
		for _, f := range followers {
			st := f.Log.State()
			p, err := f.Log.Seek(st.Start)
			if err != nil {
				t.Fatal(err)
			}
			frames, err := f.Log.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, fr := range frames {
				sum += fr.Size()
			}
		}
		return sum
	}
	for range events {
		for i, f := range followers {
			ids, err := b.BroadcastTo(within(t), stream.Message{Data: strings.Repeat("x", 100+i)}, f.Topic)
			if err != nil {
				t.Fatal(err)
			}
			want(t, f, ids...) // from the window or, if that was emptied, from history
		}
		if sum := held(); sum > total {
			t.Fatalf("all windows hold %d bytes", sum)
		}
	}
	if sum := held(); sum < total/2 {
		t.Errorf("all windows hold %d bytes, which is little of %d", sum, total)
	}
}

func TestTheTopicWithoutEventsForLongestIsEvictedFirst(t *testing.T) {
	const window = 10_000
	m := replayer.NewMemory(replayer.MemoryOptions{})
	b, err := broadcaster.New(m, broadcaster.Options{
		Logger: quiet,
		Limits: broadcaster.Limits{TotalBytes: 5 * window / 2, TopicBytes: window},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(within(t)) }()
	follow := func(topic stream.Topic) *broadcastertest.Follower {
		f, err := broadcastertest.Follow(b, topic, m.Read)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Joined(within(t)); err != nil {
			t.Fatal(err)
		}
		return f
	}
	// Entries of one size: a full window stays as large as it is.
	fill := func(f *broadcastertest.Follower) {
		for range 2 * window / 200 {
			ids, err := b.BroadcastTo(within(t), stream.Message{Data: strings.Repeat("x", 100)}, f.Topic)
			if err != nil {
				t.Fatal(err)
			}
			want(t, f, ids...)
		}
	}
	empty := func(f *broadcastertest.Follower) bool {
		st := f.Log.State()
		return st.Start == st.Head.ID
	}
	busy, idle, third := follow("busy"), follow("idle"), follow("third")
	fill(busy)
	fill(idle)
	fill(busy) // full already
	fill(third)
	if empty(busy) || !empty(idle) || empty(third) {
		t.Errorf("evicted: busy %v, idle %v, the newest %v; want the idle one", empty(busy), empty(idle), empty(third))
	}
}

package broadcaster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

// publisher adds entries to topics in turn until it is stopped, whatever
// happens to Redis. An entry that got no answer may be stored or not.
type publisher struct {
	rdb    *redis.Client
	topics []stream.Topic
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func startPublisher(t *testing.T, rdb *redis.Client, topics ...stream.Topic) *publisher {
	ctx, stop := context.WithCancel(context.Background())
	p := &publisher{rdb: rdb, topics: topics, stop: stop}
	p.done.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			_ = rdb.XAdd(ctx, &redis.XAddArgs{Stream: stream.DefaultPrefix + string(topics[n%len(topics)]), Values: []any{"data", n}}).Err()
			time.Sleep(500 * time.Microsecond) // a rate that the slowest machine can follow
		}
	})
	t.Cleanup(p.end)
	return p
}

func (p *publisher) end() {
	p.stop()
	p.done.Wait()
}

// stored returns what a topic's stream holds.
func stored(t *testing.T, rdb *redis.Client, topic stream.Topic) (ids []stream.ID) {
	t.Helper()
	list, err := rdb.XRange(within(t), stream.DefaultPrefix+string(topic), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		id, _ := stream.ParseID(m.ID)
		ids = append(ids, id)
	}
	return ids
}

// survive publishes while harm is done a few times, each time after every
// connection has got some events since the last, and compares in the end what
// connections on two pods got with what is stored.
func survive(t *testing.T, s *redistest.Server, harm func(n int), settings ...setting) {
	t.Helper()
	topics := []stream.Topic{"a", "b", "c"}
	var followers []*broadcastertest.Follower
	for range 2 {
		p := startPod(t, s.Client(), settings...)
		p.awaitWay(broadcaster.WayKeyspace)
		for _, topic := range topics {
			followers = append(followers, p.follow(topic))
		}
	}
	got := make([][]stream.ID, len(followers))
	take := func(i int) {
		t.Helper()
		e := next(t, followers[i])
		if e.Kind != broadcastertest.Sent {
			t.Fatalf("%s: got %v", followers[i].Topic, e)
		}
		got[i] = append(got[i], e.ID)
	}
	pub := startPublisher(t, s.Client(), topics...)
	for n := range 4 {
		for i := range followers {
			for range 10 {
				take(i)
			}
		}
		harm(n)
	}
	for i := range followers { // and after the last harm
		take(i)
	}
	pub.end()
	for i, f := range followers {
		all := stored(t, s.Client(), f.Topic)
		for f.Position().Less(all[len(all)-1]) {
			take(i)
		}
		if !slices.Equal(got[i], all) {
			t.Errorf("%s: got %d events, stored are %d\n%v\n%v", f.Topic, len(got[i]), len(all), got[i], all)
		}
	}
}

func TestKilledConnectionsLoseNothing(t *testing.T) {
	s := redistest.Start(t)
	admin := s.Client()
	survive(t, s, func(n int) {
		do(t, admin, "CLIENT", "KILL", "TYPE", "pubsub")
		if n%2 == 1 {
			do(t, admin, "CLIENT", "KILL", "TYPE", "normal")
		}
	})
}

func TestAPausedRedisLosesNothing(t *testing.T) {
	s := redistest.Start(t)
	survive(t, s, func(n int) {
		s.Pause()
		time.Sleep(time.Duration(50*(n+1)) * time.Millisecond) // the fault itself
		s.Continue()
	})
}

// Commands time out here, and the pub/sub connection is taken for dead.
func TestARedisThatIsPausedForLongLosesNothing(t *testing.T) {
	s := redistest.Start(t)
	impatient := func(o *broadcaster.RedisOptions, timing *broadcaster.Timing) {
		timing.Ping, timing.Silence = 20*time.Millisecond, 100*time.Millisecond
	}
	survive(t, s, func(int) {
		s.Pause()
		time.Sleep(250 * time.Millisecond) // the fault itself
		s.Continue()
	}, impatient)
}

// The configuration is lost with the process, so notifications have to be
// switched on again: a pod looks when it is connected again.
func TestARestartedRedisLosesNothing(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	survive(t, s, func(int) { s.Restart() })
	for ctx := within(t); !hasFlags(t, s.Client(), "Kgxet"); {
		if ctx.Err() != nil {
			t.Fatal("notifications are off")
		}
	}
}

func TestAPodWaitsForRedis(t *testing.T) {
	s := redistest.Start(t)
	s.Kill()
	p := startPod(t, s.Client(), probing)
	if st := p.Status(); st.Ready {
		t.Errorf("ready before Redis was there: %+v", st)
	}
	p.await("a reason", func(s broadcaster.Status) bool { return !s.Ready && strings.Contains(s.Reason, "connection refused") })
	f := p.following(topic)
	if _, err := p.BroadcastTo(within(t), stream.Message{Data: "x"}, topic); err == nil {
		t.Error("publishing succeeded without Redis")
	}
	s.Restart()
	p.awaitWay(broadcaster.WayKeyspace)
	if at, err := f.Joined(within(t)); err != nil || !at.IsZero() {
		t.Fatalf("joined at %v, %v", at, err)
	}
	want(t, f, xadd(t, s.Client(), topic, "x"), p.publish(topic, "y"))

	// A pod that was ready stays so.
	s.Kill()
	p.await("why it does not answer", func(s broadcaster.Status) bool { return s.Ready && s.Reason != "" })
}

func TestAHalfOpenConnectionIsReplaced(t *testing.T) {
	s := redistest.Start(t)
	between := startProxy(t, s.Addr)
	rdb := s.Client(func(o *redis.Options) { o.Addr = between.Addr })
	p := startPod(t, rdb, func(_ *broadcaster.RedisOptions, t *broadcaster.Timing) {
		t.Ping, t.Silence = 10*time.Millisecond, 200*time.Millisecond
	})
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "x"))
	for range 3 {
		if between.swallow() == 0 {
			t.Fatal("no pub/sub connection goes through the proxy")
		}
		want(t, f, xadd(t, s.Client(), topic, "y"))
	}
}

func TestCloseDoesNotWaitForASilentRedis(t *testing.T) {
	s := redistest.Start(t)
	rdb := s.Client(func(o *redis.Options) { o.ContextTimeoutEnabled = true })
	p, err := broadcaster.NewRedis(rdb, broadcaster.RedisOptions{Options: broadcaster.Options{Logger: quiet}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := broadcastertest.Follow(p, topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Pause()
	if _, err := p.BroadcastTo(timeout(t, 20*time.Millisecond), stream.Message{Data: "x"}, topic); err == nil {
		t.Error("publishing succeeded")
	}
	began := time.Now()
	if err := p.Close(timeout(t, 50*time.Millisecond)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close with 50 ms took %v", took)
	}
	if err := <-f.Conn.Ended(); !errors.Is(err, broadcaster.ErrClosed) {
		t.Error(err)
	}
	s.Continue() // what is left ends by itself, or goleak finds it
}

func timeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// After a fail-over a pub/sub connection may stay with a server that is not
// the master any more, and healthy.
func TestLinksThatListenToAnotherRedisMoveToTheRightOne(t *testing.T) {
	old, now := redistest.Start(t), redistest.Start(t)
	between := startProxy(t, old.Addr)
	rdb := old.Client(func(o *redis.Options) { o.Addr = between.Addr })
	p := startPod(t, rdb, probing)
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	want(t, f, xadd(t, old.Client(), topic, "x"))
	xaddAs(t, now.Client(), topic, f.Position().String(), "x") // as a replica has it
	between.lead(now.Addr)
	between.cutCommands()
	want(t, f, xadd(t, now.Client(), topic, "y"))
	p.awaitWay(broadcaster.WayKeyspace)
	want(t, f, xadd(t, now.Client(), topic, "z"))
}

// PubSub connects again when a SUBSCRIBE cannot be written, but notes the
// channels only after that.
func TestASubscriptionThatCouldNotBeWrittenIsWrittenAgain(t *testing.T) {
	s := redistest.Start(t)
	dial := &breakingDialer{text: "sse:" + string(topic)}
	p := startPod(t, s.Client(func(o *redis.Options) { o.Dialer = dial.dial }))
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	want(t, f, xadd(t, s.Client(), topic, "x"))
	if !dial.broke.Load() {
		t.Error("no subscription was broken")
	}
}

func TestATopicThatTheSweepFoundIsSubscribedAgain(t *testing.T) {
	s := redistest.Start(t)
	dial := &breakingDialer{text: "sse:" + string(topic), loses: true}
	p := startPod(t, s.Client(func(o *redis.Options) { o.Dialer = dial.dial }), sweeping)
	p.awaitWay(broadcaster.WayKeyspace)
	f := p.follow(topic)
	channel := p.keys.Keyspace(p.keys.Stream(topic))
	subscribed := func() int64 {
		n, err := s.Client().PubSubNumSub(within(t), channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n[channel]
	}
	if n := subscribed(); n != 0 || !dial.broke.Load() {
		t.Fatalf("the subscription was not lost: %d", n)
	}
	want(t, f, xadd(t, s.Client(), topic, "x"))
	for ctx := within(t); subscribed() == 0; {
		if ctx.Err() != nil {
			t.Fatal("nobody has subscribed again")
		}
	}
}

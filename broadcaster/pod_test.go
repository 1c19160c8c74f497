package broadcaster_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/broadcaster/broadcastertest"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

const topic stream.Topic = "orders"

// never is a period after which no test is still waiting.
const never = time.Hour

// setting changes how a pod is started.
type setting func(*broadcaster.RedisOptions, *broadcaster.Timing)

// probing lets a pod probe often. Without it it probes at the start and when
// a link has connected.
func probing(_ *broadcaster.RedisOptions, t *broadcaster.Timing) { t.Probe = 20 * time.Millisecond }

// sweeping lets a pod sweep often. Without it it never does, so that whatever
// arrives was heard of.
func sweeping(_ *broadcaster.RedisOptions, t *broadcaster.Timing) { t.MinSweep = 20 * time.Millisecond }

func notConfiguring(o *broadcaster.RedisOptions, _ *broadcaster.Timing) { o.NoConfigure = true }

// pod is a Redis under test.
type pod struct {
	*broadcaster.Redis
	t       testing.TB
	keys    stream.Keys
	rdb     redis.UniversalClient
	changed chan struct{} // the pod has logged something
}

func startPod(t testing.TB, rdb redis.UniversalClient, settings ...setting) *pod {
	t.Helper()
	p := &pod{t: t, rdb: rdb, changed: make(chan struct{}, 1)}
	timing := broadcaster.DefaultTiming()
	timing.Probe, timing.ProbeRetry = never, 20*time.Millisecond
	timing.MinSweep, timing.Verify = never, never
	o := broadcaster.RedisOptions{Keys: stream.Keys{Prefix: stream.DefaultPrefix}}
	o.Logger = slog.New(p)
	for _, set := range settings {
		set(&o, &timing)
	}
	p.keys = o.Keys
	var err error
	if p.Redis, err = broadcaster.NewRedisTimed(rdb, o, timing); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(within(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

// Enabled, Handle, WithAttrs and WithGroup make a pod a slog.Handler: what it
// logs says that its Status may have changed.
func (p *pod) Enabled(context.Context, slog.Level) bool { return true }

func (p *pod) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

func (p *pod) WithAttrs([]slog.Attr) slog.Handler { return p }

func (p *pod) WithGroup(string) slog.Handler { return p }

// within returns a context in which everything that must come has come.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), broadcastertest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// await waits for a Status.
func (p *pod) await(what string, ok func(broadcaster.Status) bool) broadcaster.Status {
	p.t.Helper()
	ctx := within(p.t)
	for {
		s := p.Status()
		if ok(s) {
			return s
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			p.t.Fatalf("waited for %s in vain: status %+v", what, s)
		}
	}
}

// awaitWay waits until the pod uses a way, and returns its reason for it.
func (p *pod) awaitWay(w broadcaster.Way) string {
	p.t.Helper()
	return p.await(string(w), func(s broadcaster.Status) bool { return s.Ready && s.Way == w }).Reason
}

// follow registers a connection that follows a topic, and waits until it has a
// position.
func (p *pod) follow(topic stream.Topic) *broadcastertest.Follower {
	p.t.Helper()
	f := p.following(topic)
	if _, err := f.Joined(within(p.t)); err != nil {
		p.t.Fatalf("%s has no position: %v", topic, err)
	}
	return f
}

// following registers a connection that follows a topic.
func (p *pod) following(topic stream.Topic) *broadcastertest.Follower {
	p.t.Helper()
	f, err := broadcastertest.Follow(p, topic, replayer.NewRedis(p.rdb, p.keys, replayer.RedisOptions{}).Read)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

// publish publishes through the pod.
func (p *pod) publish(topic stream.Topic, data string) stream.ID {
	p.t.Helper()
	ids, err := p.BroadcastTo(within(p.t), stream.Message{Data: data}, topic)
	if err != nil {
		p.t.Fatal(err)
	}
	return ids[0]
}

// next returns what a connection is given next.
func next(t testing.TB, f *broadcastertest.Follower) broadcastertest.Event {
	t.Helper()
	e, err := f.Next(within(t))
	if err != nil {
		t.Fatalf("%s: %v", f.Topic, err)
	}
	return e
}

// want fails the test unless a connection is given these events next.
func want(t testing.TB, f *broadcastertest.Follower, ids ...stream.ID) {
	t.Helper()
	for _, id := range ids {
		if e := next(t, f); e.Kind != broadcastertest.Sent || e.ID != id {
			t.Fatalf("%s: got %v, want event %v", f.Topic, e, id)
		}
	}
}

// wantControl fails the test unless a connection is told next that history is
// gone.
func wantControl(t testing.TB, f *broadcastertest.Follower, kind broadcastertest.Kind) broadcastertest.Event {
	t.Helper()
	e := next(t, f)
	if e.Kind != kind {
		t.Fatalf("%s: got %v, want a %s", f.Topic, e, kind)
	}
	return e
}

// do sends a command.
func do(t testing.TB, rdb redis.UniversalClient, args ...any) any {
	t.Helper()
	v, err := rdb.Do(within(t), args...).Result()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v
}

// xadd adds an entry to a stream of the default prefix, as a publisher in any
// language does.
func xadd(t testing.TB, rdb redis.UniversalClient, topic stream.Topic, data string) stream.ID {
	t.Helper()
	return xaddAs(t, rdb, topic, "*", data)
}

// xaddAs adds an entry with an id of the caller's choice.
func xaddAs(t testing.TB, rdb redis.UniversalClient, topic stream.Topic, id, data string) stream.ID {
	t.Helper()
	got, err := stream.ParseID(fmt.Sprint(do(t, rdb, "XADD", stream.DefaultPrefix+string(topic), id, "data", data)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// config returns a value of Redis' configuration.
func config(t testing.TB, rdb *redis.Client, name string) string {
	t.Helper()
	v, err := rdb.ConfigGet(within(t), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	return v[name]
}

// hasFlags reports whether Redis sends all these notifications.
func hasFlags(t testing.TB, rdb *redis.Client, flags string) bool {
	t.Helper()
	have := config(t, rdb, "notify-keyspace-events")
	for _, f := range flags {
		if !strings.ContainsRune(have, f) {
			return false
		}
	}
	return true
}

package broadcaster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/stream"
)

// nobody is a connection that does not care.
type nobody struct{ _ int } // not empty: two must differ

func (*nobody) Wake()     {}
func (*nobody) End(error) {}

var errNoNetwork = errors.New("no network in this test")

// offline returns a Redis whose dialler is the test's.
func offline(t *testing.T, dial func(ctx context.Context) error) *Redis {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		MaxRetries: -1, DialerRetries: 1,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, dial(ctx) },
	})
	timing := defaultTiming()
	timing.Probe, timing.ProbeRetry = time.Hour, time.Hour
	r, err := newRedis(rdb, RedisOptions{Options: Options{Logger: slog.New(slog.DiscardHandler)}}, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		_ = rdb.Close()
	})
	return r
}

// PubSub holds its lock while it connects, which takes as long as Redis likes.
// None of that may reach Subscribe, which holds the hub's.
func TestSubscribeDoesNotWaitForALinkThatConnects(t *testing.T) {
	dialling, release := make(chan struct{}, 100), make(chan struct{})
	r := offline(t, func(ctx context.Context) error {
		dialling <- struct{}{}
		select {
		case <-ctx.Done():
		case <-release: // a client's own dial outlasts it
		}
		return errNoNetwork
	})
	t.Cleanup(func() { close(release) })
	<-dialling // the probe's command and the link, in either order
	<-dialling
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := &nobody{}
		for n := range 10 {
			for _, l := range r.ears.all() {
				l.connect()
			}
			if err := r.Register(c); err != nil {
				t.Error(err)
			}
			if _, err := r.Subscribe(c, stream.Topic(fmt.Sprint(n))); err != nil {
				t.Error(err)
			}
		}
		r.Unregister(c, false)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("Subscribe waits for a connection that is being made")
	}
}

func TestALinkOpenedWhileThePodClosesConnectsToNothing(t *testing.T) {
	r := offline(t, func(context.Context) error { return errNoNetwork })
	r.ears.stop()
	l := r.ears.trackingLink()
	l.ping(1)
	l.close()
}

func TestChangesOfSubscriptionsAreWrittenInOrderAndInChunks(t *testing.T) {
	r := offline(t, func(context.Context) error { return errNoNetwork })
	l := &link{ears: r.ears, wanted: map[string]struct{}{}, kick: make(chan struct{}, 1)}
	var names []string
	for n := range 2500 {
		names = append(names, fmt.Sprint(n))
	}
	l.change(true, names...)
	l.change(false, "0", "1")
	l.change(true, "0")
	var got []change
	var sizes []int
	for {
		p, batch := l.take()
		if len(batch) == 0 {
			break
		}
		if len(sizes) == 1 { // the second one fails
			l.putBack(p, batch)
			_, again := l.take()
			if !slices.Equal(again, batch) {
				t.Error("what was put back does not come next")
			}
		}
		for _, c := range batch {
			if c.subscribe != batch[0].subscribe {
				t.Error("one command for two kinds of change")
			}
		}
		got, sizes = append(got, batch...), append(sizes, len(batch))
	}
	want := []change{{"0", false}, {"1", false}, {"0", true}}
	for n := range names {
		want = slices.Insert(want, n, change{names[n], true})
	}
	if !slices.Equal(got, want) || !slices.Equal(sizes, []int{1000, 1000, 500, 2, 1}) {
		t.Errorf("%d changes in chunks of %v", len(got), sizes)
	}
	if len(l.wanted) != 2499 {
		t.Errorf("%d channels are wanted", len(l.wanted))
	}
}

func TestChangesThatWaitLongAreNotMoreThanWhatIsWanted(t *testing.T) {
	r := offline(t, func(context.Context) error { return errNoNetwork })
	l := &link{ears: r.ears, wanted: map[string]struct{}{}, kick: make(chan struct{}, 1)}
	l.change(true, "kept", "left")
	for n := range 20_000 {
		l.change(true, fmt.Sprint(n%1000))
		l.change(false, fmt.Sprint(n%1000))
	}
	l.change(false, "left")
	if n := len(l.pending); n > 4*(chunk+2) {
		t.Errorf("%d changes are pending", n)
	}
	last := map[string]bool{}
	for _, c := range l.pending {
		last[c.channel] = c.subscribe
	}
	for channel, subscribed := range last {
		if subscribed != (channel == "kept") {
			t.Errorf("%s would be subscribed: %v", channel, subscribed)
		}
	}
	if len(last) != 1002 {
		t.Errorf("%d channels are left, want all 1002", len(last))
	}
}

// Whoever publishes with MAXLEN would be read twice for each entry.
func TestATrimmedStreamIsNotReadAgain(t *testing.T) {
	r := offline(t, func(context.Context) error { return errNoNetwork })
	c := &nobody{}
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := r.Subscribe(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	dirty := func(event string) bool {
		r.ears.all()[0].message(&redis.Message{Channel: r.keys.Keyspace(r.keys.Stream("a")), Payload: event})
		tl := log.(*tail)
		tl.mu.Lock()
		defer tl.mu.Unlock()
		return tl.dirty
	}
	for _, event := range []string{"xtrim", "xdel", "expire", "persist"} {
		if dirty(event) {
			t.Errorf("%s makes the topic be read", event)
		}
	}
	if !dirty("xadd") {
		t.Error("xadd does not make the topic be read")
	}
}

package broadcaster

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// wakened is a connection that tells when it is woken.
type wakened chan struct{}

func (w wakened) Wake() { signal(w) }

func (w wakened) End(error) {}

// await waits until something is true, looking whenever the connection is
// woken and often otherwise: not all that happens wakes connections.
func await(t *testing.T, w wakened, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-w:
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func startLocal(t *testing.T, o Options, timing timing) Local {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	b, err := newLocal(replayer.NewMemory(replayer.MemoryOptions{}), o, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestTheBytesOfATopicThatIsForgottenAreFree(t *testing.T) {
	b := startLocal(t, Options{Limits: Limits{Linger: time.Millisecond}}, defaultTiming())
	c := make(wakened, 1)
	if err := b.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := b.Subscribe(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "a position", func() bool { return log.State().Synced })
	if _, err := b.BroadcastTo(t.Context(), stream.Message{Data: "x"}, "a"); err != nil {
		t.Fatal(err)
	}
	await(t, c, "bytes", func() bool { return b.budget.bytes() > 0 })
	b.Unregister(c, false)
	await(t, c, "the bytes to be free", func() bool { return b.budget.bytes() == 0 })
	if n := len(b.all()); n != 0 {
		t.Errorf("%d tails are left", n)
	}
}

// The sweep of a Redis that announces what happens slows down. Here nobody
// announces what others add, so it may not.
func TestALocalBroadcasterGoesOnSweeping(t *testing.T) {
	timing := defaultTiming()
	timing.MinSweep, timing.MaxSweep = time.Millisecond, time.Hour
	m := replayer.NewMemory(replayer.MemoryOptions{})
	store := &countingStore{Memory: m, asked: make(chan struct{}, 1)}
	b, err := newLocal(store, Options{Logger: slog.New(slog.DiscardHandler)}, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	c := make(wakened, 1)
	if err := b.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := b.Subscribe(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 30 { // doubled so often, the period would be twelve days
		select {
		case <-store.asked:
		case <-time.After(20 * time.Second):
			t.Fatal("the sweep has stopped")
		}
	}
	id, err := m.Store(t.Context(), "a", stream.Message{Data: "behind its back"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "the entry", func() bool { return log.State().Head.ID == id })
}

// countingStore tells when it is asked where a topic ends.
type countingStore struct {
	*replayer.Memory
	asked chan struct{}
}

func (s *countingStore) Bounds(ctx context.Context, t stream.Topic) (stream.Info, error) {
	signal(s.asked)
	return s.Memory.Bounds(ctx, t)
}

func TestMetricsEndWithTheBroadcaster(t *testing.T) {
	reader := metric.NewManualReader()
	p := metric.NewMeterProvider(metric.WithReader(reader))
	b := startLocal(t, Options{MeterProvider: p}, defaultTiming())
	c := make(wakened, 1)
	if err := b.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := b.Subscribe(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "a position", func() bool { return log.State().Synced })
	if _, err := b.BroadcastTo(t.Context(), stream.Message{Data: "x"}, "a"); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the event", func() bool { return log.State().Head.Index == 1 })
	got := collect(t, reader)
	for _, name := range []string{"sse.events", "sse.topics", "sse.window.bytes", "sse.lag"} {
		if _, ok := got[name]; !ok {
			t.Errorf("there is no metric %s", name)
		}
	}
	if n := got["sse.topics"].Data.(metricdata.Gauge[int64]).DataPoints[0].Value; n != 1 {
		t.Errorf("sse.topics is %d", n)
	}
	if n := got["sse.events"].Data.(metricdata.Sum[int64]).DataPoints[0].Value; n != 1 {
		t.Errorf("sse.events is %d", n)
	}

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = b.Close(ended) // whatever it had time for
	if _, ok := collect(t, reader)["sse.topics"]; ok {
		t.Error("a closed Broadcaster is still observed")
	}
}

func collect(t *testing.T, r *metric.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// withBadTopic starts a Broadcaster whose store cannot read the topic "bad",
// which a connection follows. It returns when that has failed.
func withBadTopic(t *testing.T, backoff time.Duration) (Local, *failingStore, wakened, stream.Log) {
	t.Helper()
	timing := defaultTiming()
	timing.MinBackoff, timing.MaxBackoff, timing.MinSweep = backoff, backoff, time.Hour
	store := &failingStore{Memory: replayer.NewMemory(replayer.MemoryOptions{})}
	b, err := newLocal(store, Options{Logger: slog.New(slog.DiscardHandler)}, timing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	c := make(wakened, 1)
	if err := b.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := b.Subscribe(c, "bad")
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "a failure", func() bool { return store.failed.Load() > 0 })
	return b, store, c, log
}

// What does not answer may be one key that the user may not read, or one node
// of a Cluster.
func TestATopicThatGetsNoAnswerDoesNotDelayTheOthers(t *testing.T) {
	b, store, c, _ := withBadTopic(t, time.Hour)
	log, err := b.Subscribe(c, "good")
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "a position", func() bool { return log.State().Synced })
	for n := range uint64(3) {
		if _, err := b.BroadcastTo(t.Context(), stream.Message{Data: "x"}, "bad", "good"); err != nil {
			t.Fatal(err)
		}
		await(t, c, "the event", func() bool { return log.State().Head.Index == n+1 })
	}
	if n := store.failed.Load(); n != 1 {
		t.Errorf("the topic was tried %d times, and not paused", n)
	}
}

func TestATopicThatGotNoAnswerIsReadAgain(t *testing.T) {
	b, store, c, log := withBadTopic(t, time.Millisecond)
	await(t, c, "more failures", func() bool { return store.failed.Load() > 5 })
	store.healed.Store(true)
	await(t, c, "a position", func() bool { return log.State().Synced })
	if _, err := b.BroadcastTo(t.Context(), stream.Message{Data: "x"}, "bad"); err != nil {
		t.Fatal(err)
	}
	await(t, c, "the event", func() bool { return log.State().Head.Index == 1 })
}

// failingStore cannot read one topic.
type failingStore struct {
	*replayer.Memory
	failed atomic.Int64
	healed atomic.Bool
}

func (s *failingStore) Bounds(ctx context.Context, t stream.Topic) (stream.Info, error) {
	if t == "bad" && !s.healed.Load() {
		s.failed.Add(1)
		return stream.Info{}, errSim
	}
	return s.Memory.Bounds(ctx, t)
}

// lazySource has nothing, and lets the sweep sleep for an hour at first.
type lazySource struct {
	memoryless
	loads atomic.Int64
	swept chan struct{}
}

func (s *lazySource) load(context.Context, int) time.Duration {
	if s.loads.Add(1) == 1 {
		return time.Hour
	}
	return 0
}

func (s *lazySource) newer(_ context.Context, reads []tailRead) ([]bool, error) {
	signal(s.swept)
	return make([]bool, len(reads)), nil
}

// A sweep that has become slow, since everything is announced, may be needed
// from one moment to the next.
func TestASlowSweepCanBeHurried(t *testing.T) {
	s := &lazySource{swept: make(chan struct{}, 1)}
	h := &hub{timing: defaultTiming(), source: s, listen: s}
	h.timing.MinSweep = time.Millisecond
	if err := h.setUp(Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close(context.Background()) })
	c := make(wakened, 1)
	if err := h.Register(c); err != nil {
		t.Fatal(err)
	}
	log, err := h.Subscribe(c, "a")
	if err != nil {
		t.Fatal(err)
	}
	h.wake("a")
	await(t, c, "a position", func() bool { return log.State().Synced })
	await(t, c, "the first sweep", func() bool { return s.loads.Load() > 0 })
	select { // what it may have asked
	case <-s.swept:
	default:
	}
	signal(h.hurry)
	for range 3 {
		select {
		case <-s.swept:
		case <-time.After(20 * time.Second):
			t.Fatal("the sweep sleeps")
		}
	}
}

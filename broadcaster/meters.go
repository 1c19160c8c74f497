package broadcaster

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/ssegateway/sse-gateway/stream"
)

// meters are the instruments of a Broadcaster.
type meters struct {
	events      metric.Int64Counter
	skipped     metric.Int64Counter
	gaps        metric.Int64Counter
	resets      metric.Int64Counter
	readErrors  metric.Int64Counter
	unannounced metric.Int64Counter
	lag         metric.Float64Histogram
	observing   metric.Registration
}

// lagBuckets are in seconds: from one round trip to Redis to a minute.
var lagBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}

func newMeters(p metric.MeterProvider) (*meters, metric.Meter, error) {
	if p == nil {
		p = noop.NewMeterProvider()
	}
	m := p.Meter("github.com/ssegateway/sse-gateway/broadcaster")
	var errs []error
	counter := func(name, what string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(what))
		errs = append(errs, err)
		return c
	}
	s := &meters{
		events:      counter("sse.events", "Entries read from streams and offered to connections."),
		skipped:     counter("sse.entries.unsendable", "Entries that could not be sent, by reason."),
		gaps:        counter("sse.tail.gaps", "Times that entries were trimmed before the pod read them."),
		resets:      counter("sse.tail.resets", "Times that a stream's history was replaced."),
		readErrors:  counter("sse.redis.read_errors", "Live reads that failed."),
		unannounced: counter("sse.sweep.found", "Topics in which a sweep found an entry that no wake-up announced."),
	}
	lag, err := m.Float64Histogram("sse.lag", metric.WithUnit("s"),
		metric.WithDescription("From the time in an entry's id to the pod having read it; clocks may differ."),
		metric.WithExplicitBucketBoundaries(lagBuckets...))
	s.lag = lag
	return s, m, errors.Join(append(errs, err)...)
}

// observe reports the state of a hub at every collection.
func (s *meters) observe(m metric.Meter, h *hub) error {
	topics, err1 := m.Int64ObservableGauge("sse.topics", metric.WithDescription("Topics followed by connections of this pod."))
	bytes, err2 := m.Int64ObservableGauge("sse.window.bytes", metric.WithUnit("By"), metric.WithDescription("Bytes of events held in memory for live readers."))
	reg, err3 := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		n, _ := h.TopicCount(ctx) // the hub's own count cannot fail
		o.ObserveInt64(topics, int64(n.Local))
		o.ObserveInt64(bytes, h.budget.bytes())
		return nil
	}, topics, bytes)
	s.observing = reg
	return errors.Join(err1, err2, err3)
}

func (s *meters) close() error {
	if s.observing == nil {
		return nil
	}
	return s.observing.Unregister()
}

func (s *meters) unsendable(f stream.Fault) {
	s.skipped.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", string(f))))
}

// recordLag notes how old an entry is, if its id is plausibly a time.
func (s *meters) recordLag(id stream.ID) {
	if id.Ms > 1<<62 {
		return
	}
	lag := time.Since(time.UnixMilli(int64(id.Ms)))
	if lag > -time.Minute && lag < time.Hour {
		s.lag.Record(context.Background(), max(0, lag.Seconds()))
	}
}

package gateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// meters counts in plain atomics, which cost a delivery nothing, and shows
// them to OpenTelemetry when it collects.
type meters struct {
	deliveries atomic.Int64
	accepted   atomic.Int64
	refused    atomic.Int64
	gaps       atomic.Int64
	resets     atomic.Int64

	mu        sync.Mutex
	ends      map[end]int64
	publishes map[string]int64

	registration metric.Registration
}

func newMeters(p metric.MeterProvider, g *Gateway) (*meters, error) {
	if p == nil {
		p = noop.NewMeterProvider()
	}
	m := &meters{ends: map[end]int64{}, publishes: map[string]int64{}}
	for _, e := range ends {
		m.ends[e] = 0
	}
	meter := p.Meter("github.com/ssegateway/sse-gateway/gateway")
	var errs []error
	counter := func(name, what string) metric.Int64ObservableCounter {
		c, err := meter.Int64ObservableCounter(name, metric.WithDescription(what))
		errs = append(errs, err)
		return c
	}
	gauge := func(name, unit, what string) metric.Int64ObservableGauge {
		c, err := meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what))
		errs = append(errs, err)
		return c
	}
	var (
		connections  = gauge("sse.connections", "{connection}", "Open streams.")
		direct       = gauge("sse.connections.direct", "{connection}", "Open streams whose sockets the gateway owns; the others are net/http's.")
		sendingBytes = gauge("sse.sending.bytes", "By", "Bytes being written to clients that have not taken them yet.")
		historyBytes = gauge("sse.history.bytes", "By", "Bytes of pages held for connections that come back.")
		accepted     = counter("sse.connections.accepted", "Streams opened.")
		refused      = counter("sse.connections.refused", "Streams turned away for want of room or while draining.")
		disconnects  = counter("sse.disconnects", "Streams ended, by reason.")
		deliveries   = counter("sse.deliveries", "Events written to clients.")
		gaps         = counter("sse.gaps", "Clients told that history was trimmed.")
		resets       = counter("sse.resets", "Clients told that history was lost or their cursor unusable.")
		publishes    = counter("sse.publishes", "Requests to publish, by outcome.")
		reads        = counter("sse.history.reads", "Reads of history.")
	)
	reg, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		bytes, n := g.history.stats()
		o.ObserveInt64(connections, int64(g.Connections()))
		if g.direct != nil {
			o.ObserveInt64(direct, g.direct.open.Load())
		}
		o.ObserveInt64(sendingBytes, g.sending.bytes.Load())
		o.ObserveInt64(historyBytes, bytes)
		o.ObserveInt64(reads, n)
		o.ObserveInt64(accepted, m.accepted.Load())
		o.ObserveInt64(refused, m.refused.Load())
		o.ObserveInt64(deliveries, m.deliveries.Load())
		o.ObserveInt64(gaps, m.gaps.Load())
		o.ObserveInt64(resets, m.resets.Load())
		m.mu.Lock()
		defer m.mu.Unlock()
		for why, n := range m.ends {
			o.ObserveInt64(disconnects, n, metric.WithAttributes(attribute.String("reason", string(why))))
		}
		for outcome, n := range m.publishes {
			o.ObserveInt64(publishes, n, metric.WithAttributes(attribute.String("outcome", outcome)))
		}
		return nil
	}, connections, direct, sendingBytes, historyBytes, accepted, refused, disconnects, deliveries, gaps, resets, publishes, reads)
	m.registration = reg
	return m, errors.Join(append(errs, err)...)
}

func (m *meters) close() error { return m.registration.Unregister() }

func (m *meters) ended(why end) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ends[why]++
}

func (m *meters) published(outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.publishes[outcome]++
}

package ops

import (
	"context"
	"net/http"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// Metrics collects what the parts of the process measure through the
// OpenTelemetry API and exposes it to Prometheus, together with the Go
// runtime's and the process's own numbers. Nothing in it is global.
type Metrics struct {
	provider *sdk.MeterProvider
	registry *prometheus.Registry
}

// gcCPU is the runtime's metric of what garbage collection costs.
var gcCPU = regexp.MustCompile(`^/cpu/classes/gc/total:cpu-seconds$`)

// NewMetrics describes the process by attributes such as service.name.
func NewMetrics(attrs ...attribute.KeyValue) (*Metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister( // a new registry holds nothing they could collide with
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.GoRuntimeMetricsRule{Matcher: gcCPU})),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	exporter, err := otelprometheus.New(
		otelprometheus.WithRegisterer(registry),
		// Names say enough; otel_scope_name on each series would only cost.
		otelprometheus.WithoutScopeInfo(),
	)
	if err != nil {
		return nil, err
	}
	return &Metrics{
		registry: registry,
		provider: sdk.NewMeterProvider(sdk.WithReader(exporter), sdk.WithResource(resource.NewSchemaless(attrs...))),
	}, nil
}

// Provider returns where the parts of the process get their meters.
func (m *Metrics) Provider() metric.MeterProvider { return m.provider }

// Handler serves the exposition.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Close ends the collection.
func (m *Metrics) Close(ctx context.Context) error { return m.provider.Shutdown(ctx) }

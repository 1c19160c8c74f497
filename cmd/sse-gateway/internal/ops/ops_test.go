package ops_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/ops"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// port serves the ops port of a process whose readiness the test decides.
func port(t *testing.T, pprof bool) (get func(path string) (int, string), ready *atomic.Pointer[ops.Readiness], m *ops.Metrics) {
	t.Helper()
	m, err := ops.NewMetrics(attribute.String("service.name", "events"))
	if err != nil {
		t.Fatal(err)
	}
	ready = new(atomic.Pointer[ops.Readiness])
	ready.Store(&ops.Readiness{})
	s := httptest.NewServer(ops.Handler(ops.Options{
		Ready:   func() ops.Readiness { return *ready.Load() },
		Metrics: m.Handler(),
		PProf:   pprof,
	}))
	t.Cleanup(func() {
		s.Close()
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return func(path string) (int, string) {
		t.Helper()
		resp, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}, ready, m
}

func TestReadyzSaysWhyNot(t *testing.T) {
	get, ready, _ := port(t, false)
	ready.Store(&ops.Readiness{Reason: "Redis is not reachable yet"})
	if status, body := get("/readyz"); status != http.StatusServiceUnavailable || body != `{"ready":false,"reason":"Redis is not reachable yet"}`+"\n" {
		t.Errorf("got %d %s", status, body)
	}
	want := ops.Readiness{Ready: true, Way: "keyspace", Detail: "switched on by CONFIG SET"}
	ready.Store(&want)
	status, body := get("/readyz")
	var got ops.Readiness
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || got != want {
		t.Errorf("got %d %s (%v)", status, body, err)
	}
}

func TestLivezAsksNobody(t *testing.T) {
	get, _, _ := port(t, false)
	if status, body := get("/livez"); status != http.StatusOK || body != `{"alive":true}`+"\n" {
		t.Errorf("got %d %s", status, body)
	}
}

func TestMetricsShowWhatIsMeasuredAndTheProcess(t *testing.T) {
	get, _, m := port(t, false)
	counter, err := m.Provider().Meter("test").Int64Counter("sse.things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	_, body := get("/metrics")
	for _, want := range []string{"\nsse_things_total 3\n", `service_name="events"`, "\ngo_goroutines ", "\ngo_cpu_classes_gc_total_cpu_seconds_total ", "\nprocess_open_fds ", "\ngo_build_info{"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
}

func TestProfilesAreServedOnlyWhenAskedFor(t *testing.T) {
	get, _, _ := port(t, false)
	if status, _ := get("/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("not asked for: got %d", status)
	}
	get, _, _ = port(t, true)
	if status, body := get("/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "goroutine profile:") {
		t.Errorf("asked for: got %d %s", status, body)
	}
}

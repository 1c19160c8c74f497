package integration

import (
	"strconv"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// metric returns the value of a metric of a pod, summed over its labels.
func metric(t *testing.T, pod *rig.Pod, name string) (sum float64) {
	t.Helper()
	status, body, err := pod.Get(t.Context(), "/metrics")
	if err != nil || status != 200 {
		t.Fatalf("GET /metrics: %d, %v", status, err)
	}
	found := false
	for line := range strings.Lines(body) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		fields := strings.Fields(rest)
		v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			t.Fatalf("GET /metrics: %q: %v", line, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		t.Fatalf("GET /metrics has no %s:\n%s", name, body)
	}
	return sum
}

// connections returns how many streams a pod serves.
func connections(t *testing.T, pod *rig.Pod) int {
	t.Helper()
	return int(metric(t, pod, "sse_connections"))
}

func TestMetricsCountWhatHappens(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f, g := rig.Follow(t, pod, orders()), rig.Follow(t, pod, orders())
	f.Opened()
	g.Opened()
	r.Data(t, "orders", "1", "2", "3")
	f.Want("1", "2", "3")
	g.Want("1", "2", "3")
	if n := connections(t, pod); n != 2 {
		t.Errorf("want 2 connections, got %d", n)
	}
	rig.Await(t, "6 deliveries are counted", func() bool { return metric(t, pod, "sse_deliveries_total") == 6 })
	if n := metric(t, pod, "sse_events_total"); n != 3 {
		t.Errorf("want 3 events read, got %v", n)
	}
	g.Close()
	rig.Await(t, "the stream that was closed is not counted", func() bool { return connections(t, pod) == 1 })
}

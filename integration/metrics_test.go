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
	for _, v := range metrics(t, pod, name) {
		sum += v
	}
	return sum
}

// disconnects returns how many streams a pod has ended, by reason.
func disconnects(t *testing.T, pod *rig.Pod) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for labels, v := range metrics(t, pod, "sse_disconnects_total") {
		_, reason, _ := strings.Cut(labels, `reason="`)
		if reason, _, _ = strings.Cut(reason, `"`); v > 0 {
			all[reason] += int(v)
		}
	}
	return all
}

// metrics returns the values of a metric of a pod by their labels, as they are
// written.
func metrics(t *testing.T, pod *rig.Pod, name string) map[string]float64 {
	t.Helper()
	status, body, err := pod.Get(t.Context(), "/metrics")
	if err != nil || status != 200 {
		t.Fatalf("GET /metrics: %d, %v", status, err)
	}
	all := make(map[string]float64)
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
		all[fields[0]] += v
	}
	if len(all) == 0 {
		t.Fatalf("GET /metrics has no %s:\n%s", name, body)
	}
	return all
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

// complaints shows what a pod has logged that is more than information.
func complaints(t *testing.T, pod *rig.Pod) {
	t.Helper()
	said := make(map[string]int)
	for _, line := range pod.Log.Lines() {
		if _, rest, ok := strings.Cut(line, `"level":`); ok && !strings.HasPrefix(rest, `"INFO"`) {
			said[rest]++
		}
	}
	for line, n := range said {
		t.Logf("%s logged %d times: %.300s", pod.Name, n, line)
	}
}

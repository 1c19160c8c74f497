package integration

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestTerminatedPodSendsItsClientsToAnother(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	old := rig.StartPod(t, r.URL(), "SSE_LAME_DUCK=2s", "SSE_DRAIN_WINDOW=2s")
	other := rig.StartPod(t, r.URL())
	const n = 20
	var streams []*rig.Follower
	wires := make([]wire, n)
	for i := range wires {
		ask := orders()
		ask.Copy = &wires[i]
		f := rig.Follow(t, old, ask)
		f.Opened()
		streams = append(streams, f)
	}
	r.Data(t, "orders", "before")
	for _, f := range streams {
		f.Want("before")
	}

	old.Terminate(t)
	rig.Await(t, "the pod says that it is not ready", func() bool {
		status, body, err := old.Get(t.Context(), "/readyz")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "drain")
	})
	// Load balancers have not noticed yet: all goes on.
	late := rig.Follow(t, old, orders("since=earliest"))
	late.Opened()
	late.Want("before")
	streams = append(streams, late)
	r.Data(t, "orders", "lame duck")
	for _, f := range streams {
		f.Want("lame duck")
	}

	for i, f := range streams {
		f.Abort()
		if i < n && !regexp.MustCompile(`\nretry: ?\d+\n+$`).MatchString(wires[i].String()) {
			t.Errorf("stream %d: want a time to come back as its last words, got\n%s", i, wires[i].String())
		}
	}
	r.Data(t, "orders", "missed")
	for _, f := range streams {
		f = f.Again(other)
		f.Opened()
		f.Want("missed")
	}
	if code := old.AwaitExit(t); code != 0 {
		t.Errorf("want exit code 0, got %d", code)
	}
}

func TestTerminatedPodLosesNothingThatIsPublishedMeanwhile(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	old := rig.StartPod(t, r.URL(), "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=1s")
	other := rig.StartPod(t, r.URL())
	f := rig.Follow(t, old, orders())
	f.Opened()
	old.Terminate(t)
	const n = 500
	for i := range n {
		r.Data(t, "orders", fmt.Sprint(i))
	}
	for i := range n {
		e, ok := f.NextOrEnd()
		if !ok {
			f = f.Again(other)
			f.Opened()
			e = f.Next()
		}
		if e.Data != fmt.Sprint(i) {
			t.Fatalf("want event %d, got %+v", i, e)
		}
	}
	if code := old.AwaitExit(t); code != 0 {
		t.Errorf("want exit code 0, got %d", code)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_LAME_DUCK=9m", "SSE_DRAIN_WINDOW=50m", "SSE_SHUTDOWN_TIMEOUT=1h")
	f := rig.Follow(t, pod, orders())
	f.Opened()
	pod.Terminate(t)
	rig.Await(t, "the pod has taken the first signal", func() bool { return !pod.Ready(t.Context()) })
	pod.Terminate(t)
	pod.AwaitExit(t)
	f.Abort()
}

func TestStreamThatDoesNotReadDoesNotDelayTheEnd(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s", "SSE_SHUTDOWN_TIMEOUT=3s", "SSE_WRITE_TIMEOUT=10m")
	stalled := stalledStream(t, pod)
	defer stalled.Close()
	fill(t, r, "orders")
	pod.Terminate(t)
	if code := pod.AwaitExit(t); code != 0 {
		t.Errorf("want exit code 0, got %d", code)
	}
}

package integration

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestOverloadedPodSendsClientsAwayForAWhile(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_MAX_CONNECTIONS=1", "SSE_OVERLOAD_RETRY=20s")
	f := rig.Follow(t, pod, orders())
	f.Opened()

	// An EventSource would give up at any status but 200. It keeps its cursor,
	// since the stream names none.
	var w wire
	s, err := rig.Open(t.Context(), pod.Addr, rig.Ask{Topics: []string{"orders"}, LastEventID: "0-0", Copy: &w})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, err := s.Next()
	if err == nil || errors.Is(err, io.EOF) || s.Status != http.StatusOK {
		t.Errorf("want 200 and an aborted stream, got %d, %+v, %v", s.Status, e, err)
	}
	if retry, ok := s.Retry(); !ok || retry < 10*time.Second || s.LastEventID() != "0-0" {
		t.Errorf("want a long retry and no id, got\n%s", w.String())
	}

	// Who is no EventSource is told in HTTP.
	a := pod.Request(t, http.MethodGet, "/events?topic=orders", "", "Accept", "application/json")
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("want 503 and Retry-After, got %d %v", a.Status, a.Header)
	}

	f.Close()
	rig.Await(t, "there is room again", func() bool { return connections(t, pod) == 0 })
	f = f.Again(pod)
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
}

func TestStreamsOfLimitedLifetimeContinue(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_LIFETIME=1s")
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	f.Abort()
	r.Data(t, "orders", "2")
	f = f.Again(pod)
	f.Opened()
	f.Want("2")
	f.Abort()
}

func TestTopicAskedForTwiceIsFollowedOnce(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, rig.Ask{Topics: []string{"orders", "orders"}})
	f.Opened()
	id := r.Add(t, "orders", "data", "1")
	if e := f.Next(); e.Data != "1" || e.ID != id {
		t.Errorf("want event 1 with its plain id %s, got %+v", id, e)
	}
	r.Data(t, "orders", "2")
	f.Want("2")
}

func TestDevModeAllowsPagesOfThisMachine(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_DEV=true")
	for origin, allowed := range map[string]bool{
		"http://localhost:3000":          true,
		"http://localhost":               true,
		"https://localhost:5173":         true,
		"http://127.0.0.1:8000":          true,
		"http://localhost.example":       false,
		"http://localhost:3000.example":  false,
		"https://example.com":            false,
		"null":                           false,
		"http://127.0.0.1.example:8000":  false,
		"http://user@localhost.evil:300": false,
	} {
		h := pod.Request(t, http.MethodOptions, "/events?topic=orders", "", "Origin", origin, "Access-Control-Request-Method", "GET").Header
		want, credentials := "", ""
		if allowed {
			want, credentials = origin, "true"
		}
		if got := h.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("origin %s: Access-Control-Allow-Origin: want %q, got %q", origin, want, got)
		}
		if got := h.Get("Access-Control-Allow-Credentials"); got != credentials {
			t.Errorf("origin %s: Access-Control-Allow-Credentials: want %q, got %q", origin, credentials, got)
		}
	}
}

package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestRedisDownAtStart(t *testing.T) {
	t.Parallel()
	r := rig.NewRedis(t)
	pod := rig.LaunchPod(t, r.URL(), "SSE_HEARTBEAT=1s")
	rig.Await(t, "the pod says that Redis does not answer", func() bool {
		status, body, err := pod.Get(t.Context(), "/readyz")
		return err == nil && status == http.StatusServiceUnavailable && strings.Contains(body, "refused")
	})
	if status, _, err := pod.Get(t.Context(), "/livez"); err != nil || status != http.StatusOK {
		t.Errorf("a pod that waits for Redis is alive: want 200 from /livez, got %d (%v)", status, err)
	}
	// Who comes now is kept: an error would be final for an EventSource.
	f := rig.Follow(t, pod, orders())
	f.Heartbeat()

	r.Start(t)
	pod.AwaitReady(t)
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
}

func TestRedisDownLater(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_HEARTBEAT=1s")
	r.Data(t, "orders", "1", "2")
	there := rig.Follow(t, pod, orders("since=earliest"))
	there.Opened()
	there.Want("1", "2")
	away := rig.Follow(t, pod, orders("since=earliest"))
	away.Opened()
	away.Want("1")
	away.Close() // has "2" still to get

	r.Kill(t)
	there.Heartbeat()
	there.Heartbeat()
	back := away.Again(pod) // 200 and heartbeats
	back.Opened()           // its cursor is known without Redis
	anew := rig.Follow(t, pod, rig.Ask{Topics: []string{"another"}})
	anew.Heartbeat()
	if a := pod.Request(t, http.MethodPost, "/publish?topic=orders", "refused"); a.Status != http.StatusServiceUnavailable {
		t.Errorf("POST /publish without Redis: want 503, got %d: %s", a.Status, a.Body)
	}

	r.Start(t)
	anew.Opened()
	r.Data(t, "orders", "3")
	r.Data(t, "another", "first")
	there.Want("3")
	back.Want("2", "3")
	anew.Want("first")
}

func TestRedisThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_HEARTBEAT=1s")
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	if err := r.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 { // longer than any time-out on the way
		f.Heartbeat()
	}
	if err := r.Thaw(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Data(t, "orders", "2")
	f.Want("2")
}

func TestNotificationsSwitchedOffBehindThePodsBack(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "heard")
	f.Want("heard")
	r.Do(t, "CONFIG", "SET", "notify-keyspace-events", "")
	r.Data(t, "orders", "not heard", "of either")
	f.Want("not heard", "of either")
	rig.Await(t, "the pod has switched them on again", func() bool { return notifications(t, r) != "" })
	r.Data(t, "orders", "heard again")
	f.Want("heard again")
}

func TestRedisWithoutCONFIG(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, "--rename-command", "CONFIG", "")
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "raw")
	f.Want("raw")
	pod.Publish(t, "orders", "", "published")
	f.Want("published")
	// What was chosen, and what to set.
	if _, body, err := pod.Get(t.Context(), "/readyz"); err != nil || !strings.Contains(body, "notify-keyspace-events") {
		t.Errorf("want /readyz to say that notify-keyspace-events could be set, got %s (%v)", body, err)
	}
}

func TestRedisThatMustNotBeConfigured(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_REDIS_CONFIGURE=false")
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	if set := notifications(t, r); set != "" {
		t.Errorf("notify-keyspace-events was set to %q though SSE_REDIS_CONFIGURE=false", set)
	}
}

func TestFlagsOfOthersAreKeptWhenNotificationsAreSwitchedOn(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, "--notify-keyspace-events", "Elz")
	rig.StartPod(t, r.URL())
	set := notifications(t, r)
	for _, flag := range "ElzK" {
		if !strings.ContainsRune(set, flag) {
			t.Errorf("want flag %c among %q", flag, set)
		}
	}
}

func notifications(t *testing.T, r *rig.Redis) string {
	t.Helper()
	set, err := r.Client().ConfigGet(t.Context(), "notify-keyspace-events").Result()
	if err != nil {
		t.Fatal(err)
	}
	return set["notify-keyspace-events"]
}

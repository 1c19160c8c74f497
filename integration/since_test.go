package integration

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestSinceBeginsInTheHistory(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	now := time.Now() // Redis runs on this machine, so its TIME is the same
	for i, tt := range []struct {
		since string
		want  []string
	}{
		{"since=earliest", []string{"1h0m0s", "10m0s", "4m0s", "1m0s"}},
		{"since=5m", []string{"4m0s", "1m0s"}},
		{"since=30s", nil},
		{"since=" + url.QueryEscape(now.Add(-11*time.Minute).Format(time.RFC3339)), []string{"10m0s", "4m0s", "1m0s"}},
		{fmt.Sprintf("since=%d", now.Add(-2*time.Minute).UnixMilli()), []string{"1m0s"}},
		{fmt.Sprintf("since=%d", now.Add(-time.Minute).UnixMilli()), []string{"1m0s"}}, // its own time included
		{"last=2", []string{"4m0s", "1m0s"}},
		{"last=100", []string{"1h0m0s", "10m0s", "4m0s", "1m0s"}},
		{"", nil},
	} {
		t.Run(tt.since, func(t *testing.T) {
			topic := fmt.Sprint("orders:", i)
			for _, age := range []time.Duration{time.Hour, 10 * time.Minute, 4 * time.Minute, time.Minute} {
				id := fmt.Sprintf("%d-0", now.Add(-age).UnixMilli())
				r.Do(t, "XADD", "sse:"+topic, id, "data", age.String())
			}
			f := rig.Follow(t, pod, rig.Ask{Topics: []string{topic}, Params: tt.since})
			f.Opened()
			f.Want(tt.want...)
			r.Data(t, topic, "live") // nothing else comes before it
			f.Want("live")
		})
	}
}

func TestSinceIsForThoseWithoutACursor(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "orders", "1")
	f := rig.Follow(t, pod, orders("since=earliest"))
	f.Opened()
	f.Want("1")
	r.Data(t, "orders", "2")
	f.Want("2")
	f = f.Again(pod) // the same URL, as an EventSource asks again
	f.Opened()
	r.Data(t, "orders", "3")
	f.Want("3")
}

func TestSinceOfSeveralTopics(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "a", "a1", "a2", "a3")
	r.Data(t, "b", "b1")
	f := rig.Follow(t, pod, rig.Ask{Topics: []string{"a", "b", "none"}, Params: "last=2"})
	f.Opened()
	wantAll(t, f, "a2", "a3", "b1")
	r.Data(t, "none", "n1")
	f.Want("n1")
}

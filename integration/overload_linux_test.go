//go:build !containers

package integration

import (
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// TestWhoHasBeenStalledForLongestGivesWay has more clients that do not read
// than SSE_SEND_BYTES has room for. A stalled client of the direct transport
// counts as all that its socket may hold.
func TestWhoHasBeenStalledForLongestGivesWay(t *testing.T) {
	t.Parallel()
	const (
		room         = 8 << 20 / kernelBuffer // 128
		crowd        = 100
		events, size = 80, 4 << 10
	)
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_SEND_BYTES=8MiB", "SSE_WRITE_TIMEOUT=10m")
	stall := func(topic string) []*counter {
		clients := openAll(t, pod, crowd, rig.Ask{Topics: []string{topic}, Dial: narrow(smallest)})
		for i := range events {
			r.Data(t, topic, numbered(i, size))
		}
		return clients
	}
	first := stall("first")
	rig.Await(t, "the first crowd has stalled", func() bool { return pod.SocketMemory(t).Waiting == crowd })
	if got := disconnects(t, pod); len(got) > 0 {
		t.Errorf("%d clients have room, and streams were ended: %v", crowd, got)
	}
	second := stall("second")
	// Room is made for a sixteenth more than is needed.
	rig.Await(t, "some have been ended, and the rest has room", func() bool { return connections(t, pod) <= room })
	rig.Await(t, "all that are left have stalled", func() bool { return pod.SocketMemory(t).Waiting == connections(t, pod) })
	ended := disconnects(t, pod)["overload"]
	if got := disconnects(t, pod); ended != 2*crowd-connections(t, pod) || ended > crowd {
		t.Errorf("want those that are gone to have been ended for overload, got %v", got)
	}
	t.Logf("of 2 × %d streams with room for %d, %d were ended", crowd, room, ended)

	// Those of the second crowd are all still there: they read on, on the same
	// connection, as if nothing had happened.
	eachOf(t, second, func(c *counter) error { return c.complete(events) })
	gone := 0
	for _, c := range first {
		if err := c.read(events - 1); err != nil {
			t.Fatal(err)
		}
		if c.got.Load() == events {
			continue
		}
		gone++
		c.stream.Close()
		if err := c.open(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		if err := c.complete(events); err != nil {
			t.Fatal("it came back: ", err)
		}
	}
	if gone != ended {
		t.Errorf("the pod ended %d streams, %d clients noticed", ended, gone)
	}
}

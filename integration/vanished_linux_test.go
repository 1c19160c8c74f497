//go:build !containers

package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// noticed is how soon a pod with the default settings must have given up a
// client that is gone without a word: one heartbeat and one time-out, 15 s each.
const noticed = 30 * time.Second

// vanishingWays are the kinds of connections that break. What a client of
// Multipath TCP gets (Go's listeners allow it, phones speak it) has other
// sockets, which know fewer options.
var vanishingWays = []vanishingWay{
	{way{direct, rig.HTTP11}, false},
	{way{direct, rig.HTTP11}, true},
	{way{portable, rig.HTTP11}, false},
	{way{portable, rig.HTTP2}, false},
}

type vanishingWay struct {
	way
	multipath bool
}

func (w vanishingWay) String() string {
	return fmt.Sprintf("%s, %s, multipath=%v", w.transport, w.protocol, w.multipath)
}

// vanishing is a client whose network breaks.
type vanishing struct {
	vanishingWay
	topic string
	pod   *rig.Pod
	f     *rig.Follower
	after time.Duration // when its pod had noticed; 0 if it has not
}

// TestClientsThatVanishAreNoticed breaks the network between pods and their
// clients, so that nobody gets a FIN or an RST: a train in a tunnel, a load
// balancer that was switched off.
func TestClientsThatVanishAreNoticed(t *testing.T) {
	t.Parallel()
	network := rig.NewNetwork(t)
	r, redisURL := redisForNamespaces(t)
	var all []*vanishing
	for _, w := range vanishingWays {
		for _, topic := range []string{"silent", "busy"} {
			env := append(transportEnv(w.transport), "SSE_HEARTBEAT=15s")
			v := &vanishing{vanishingWay: w, topic: topic, pod: network.StartPod(redisURL, env...)}
			v.f = rig.Follow(t, v.pod, rig.Ask{Topics: []string{topic}, Protocol: w.protocol, Dial: network.Clients.Dialer(w.multipath)})
			v.f.Opened()
			all = append(all, v)
		}
	}
	for _, topic := range []string{"silent", "busy"} {
		r.Data(t, topic, "before")
	}
	for _, v := range all {
		v.f.Want("before")
	}

	network.Break()
	missed := awaitNoticed(t, r, all)
	for _, v := range all {
		if v.after == 0 || v.after > noticed {
			t.Errorf("%v, %s topic: the client is not noticed to be gone within %v", v.vanishingWay, v.topic, noticed)
			continue
		}
		t.Logf("%v, %s topic: noticed after %v, %v", v.vanishingWay, v.topic, v.after.Round(100*time.Millisecond), disconnects(t, v.pod))
		if v.transport == direct && disconnects(t, v.pod)["write_timeout"] != 1 {
			t.Errorf("%v, %s topic: want it to be a write_timeout, got %v", v.vanishingWay, v.topic, disconnects(t, v.pod))
		}
	}

	network.Heal()
	r.Data(t, "silent", missed...)
	for _, v := range all {
		f := v.f.Again(v.pod)
		f.Opened()
		f.Want(missed...)
	}
}

// awaitNoticed publishes on the busy topic until all pods have noticed, or
// should have, and returns what it has published.
func awaitNoticed(t *testing.T, r *rig.Redis, all []*vanishing) (published []string) {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), noticed)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for open := len(all); open > 0; {
		published = append(published, fmt.Sprint(len(published)))
		r.Data(t, "busy", published[len(published)-1])
		select {
		case <-tick.C:
		case <-ctx.Done():
			return published
		}
		for _, v := range all {
			if v.after == 0 && connections(t, v.pod) == 0 {
				v.after = time.Since(begin)
				open--
			}
		}
	}
	return published
}

// redisForNamespaces starts a Redis that pods reach from every namespace: a
// socket in the file system.
func redisForNamespaces(t *testing.T) (r *rig.Redis, url string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redis.sock")
	return rig.StartRedis(t, "--unixsocket", path), "unix://" + path
}

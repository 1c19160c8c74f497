//go:build containers

package integration

import (
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// TestContainerSmoke is the container tier in one test: two pods on a Redis
// in a container, which dies and comes back. With -tags containers all other
// tests use containers too, so any of them can be run against any image.
func TestContainerSmoke(t *testing.T) {
	r := rig.StartRedis(t)
	one, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
	f := rig.Follow(t, one, orders())
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	one.Publish(t, "orders", "paid", "2")
	f.Want("2")

	one.Kill()
	f.Abort()
	r.Data(t, "orders", "3", "4")
	f = f.Again(other)
	f.Opened()
	f.Want("3", "4")

	r.Kill(t)
	r.Start(t)
	r.Data(t, "orders", "5")
	f.Want("5")
}

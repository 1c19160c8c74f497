package gateway

import (
	"os"
	"testing"
)

// directStreams returns how many streams the direct transport has begun with.
func directStreams(g *Gateway) int64 {
	if g.direct == nil {
		return 0
	}
	return int64(g.direct.turn.Load())
}

// descriptors returns how many files this process has open.
func descriptors(t testing.TB) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

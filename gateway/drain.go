package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// endWithin ends each session at a random point of the window. The points are
// even, only their order is drawn: n ends in a window are n/window apart, so
// the pods that take the clients over see a constant rate. It returns early
// when no session is left.
func endWithin(ctx context.Context, empty <-chan struct{}, open []*session, window time.Duration) {
	rand.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for i, s := range slices.All(open) {
		at := time.Duration(float64(window) * (float64(i) + rand.Float64()) / float64(len(open)))
		if wait := at - time.Since(start); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-empty:
				return
			case <-ctx.Done():
				return
			}
		}
		s.end(endDrain)
	}
}

// between returns a random duration of at least lo and less than hi.
func between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + rand.N(hi-lo)
}

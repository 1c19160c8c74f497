//go:build !containers

package integration

import (
	"sync"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// openAll opens streams, so many at a time that the backlog of a listener does
// not overflow.
func openAll(t *testing.T, pod *rig.Pod, n int, ask rig.Ask) []*counter {
	t.Helper()
	all := make([]*counter, n)
	for i := range all {
		all[i] = &counter{ask: ask}
	}
	eachOf(t, all, func(c *counter) error { return c.open(t.Context(), pod) })
	t.Cleanup(func() {
		for _, c := range all {
			if c.stream != nil {
				c.stream.Close()
			}
		}
	})
	return all
}

// eachOf does something with all, some at a time. It stops the test at an error.
func eachOf(t *testing.T, all []*counter, do func(*counter) error) {
	t.Helper()
	const atATime = 64
	var wg sync.WaitGroup
	work := make(chan *counter)
	failed := make(chan error, atATime)
	for range atATime {
		wg.Go(func() {
			for c := range work {
				if err := do(c); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, c := range all {
		work <- c
	}
	close(work)
	wg.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

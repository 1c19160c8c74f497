//go:build !containers

package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// What a client that has stopped reading may cost, on the direct transport.
const (
	kernelBuffer      = 64 << 10              // SO_SNDBUF of 32 KiB, which the kernel doubles
	kernelPerStalled  = kernelBuffer + 16<<10 // it looks whether there is room, and then adds a segment
	processPerStalled = 4 << 10
)

// TestThousandsThatStopReading is a pod most of whose clients have stopped
// reading, as an operator sees it.
func TestThousandsThatStopReading(t *testing.T) {
	t.Parallel()
	const (
		stalled, reading = 2000, 100
		events, size     = 40, 4 << 10 // twice what a stalled client's sockets hold
		warmUp           = 10
		all              = (warmUp + 1) * events
	)
	r := rig.StartRedis(t)
	pod := rig.StartLeanPod(t, r.URL(), "SSE_WRITE_TIMEOUT=5s")
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // after the streams have been closed
	readers := openAll(t, pod, reading, orders())
	for _, c := range readers {
		wg.Go(func() {
			if err := c.read(all - 1); err != nil {
				t.Errorf("one that reads: %v", err)
			}
		})
	}
	publish := func(from int) {
		for i := range events {
			r.Data(t, "orders", numbered(from+i, size))
		}
		rig.Await(t, "all that read have everything", func() bool {
			for _, c := range readers {
				if c.got.Load() != int64(from+events) {
					return t.Failed()
				}
			}
			return true
		})
	}
	// What is made once is made, and the heap has the size of a pod at work.
	for i := range warmUp {
		publish(i * events)
		_ = connections(t, pod)
	}
	before := pod.RSS(t)

	ask := orders()
	ask.Dial = narrow(8 << 10)
	sleepers := openAll(t, pod, stalled, ask)
	for _, c := range sleepers {
		c.got.Store(warmUp * events)
	}
	idle := pod.RSS(t)
	publish(warmUp * events)
	process, kernel := pod.RSS(t), pod.SocketMemory(t)
	rig.Await(t, "the pod has ended all that do not read", func() bool {
		m := pod.SocketMemory(t)
		kernel.Waiting, kernel.Bytes, kernel.Largest = max(kernel.Waiting, m.Waiting), max(kernel.Bytes, m.Bytes), max(kernel.Largest, m.Largest)
		process = max(process, pod.RSS(t))
		return connections(t, pod) == reading
	})
	if got := disconnects(t, pod); got["write_timeout"] != stalled {
		t.Errorf("want %d streams to have ended with write_timeout, got %v", stalled, got)
	}
	t.Logf("%d stalled at a time: the kernel holds %d bytes for each (at most %d for one), the process %d (%d before they stalled)",
		kernel.Waiting, kernel.Bytes/stalled, kernel.Largest, (process-before)/stalled, (idle-before)/stalled)
	if kernel.Bytes > (stalled+reading)*kernelPerStalled {
		t.Errorf("the kernel holds %d bytes for %d clients, want at most %d for each", kernel.Bytes, stalled+reading, kernelPerStalled)
	}
	if process-before > stalled*processPerStalled {
		t.Errorf("the process grew by %d bytes for each client that does not read, want at most %d", (process-before)/stalled, processPerStalled)
	}

	// Each reads what it has been sent, comes back and gets the rest.
	begin := time.Now()
	eachOf(t, sleepers, func(c *counter) error {
		err := c.read(all - 1)
		if c.stream.Close(); err != nil || c.got.Load() == all {
			return fmt.Errorf("a stalled one has %d of %d events: %w", c.got.Load()-warmUp*events, events, err)
		}
		c.ask.Dial = nil
		if err := c.open(t.Context(), pod); err != nil {
			return err
		}
		if err := c.complete(all); err != nil {
			return fmt.Errorf("it came back: %w", err)
		}
		c.stream.Close()
		return nil
	})
	t.Logf("all came back and had everything after %v", time.Since(begin))
}

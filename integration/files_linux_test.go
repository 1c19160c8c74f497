//go:build !containers

package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// TestPodThatIsOutOfFileDescriptors has more clients than the process may have
// files open. Who fits is served; the others get in when those leave.
func TestPodThatIsOutOfFileDescriptors(t *testing.T) {
	t.Parallel()
	const files, clients = 256, 400
	for _, transport := range []string{direct, portable} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			r := rig.StartRedis(t)
			pod := rig.StartPod(t, r.URL(), transportEnv(transport)...)
			before := openFiles(t, pod)
			if err := unix.Prlimit(pod.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}, nil); err != nil {
				t.Fatal(err)
			}
			c := startCrowd(t, pod, clients)
			ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
			defer cancel()
			if _, err := pod.Log.Await(ctx, func(line string) bool { return strings.Contains(line, "too many open files") }); err != nil {
				t.Fatal("the pod does not say that it is out of descriptors: ", err)
			}
			rig.Await(t, "most of those that fit are served", func() bool { return c.served.Load() > files/2 })
			r.Data(t, "orders", "0")
			t.Logf("of %d clients %d are served; attempts that were cut: %d; open files: %d", clients, c.served.Load(), c.cut.Load(), openFiles(t, pod))
			status, _, err := pod.Get(t.Context(), "/livez")
			t.Logf("meanwhile /livez says %d, %v", status, err)

			close(c.leave)
			for n := 1; c.done.Load() < clients && !t.Failed() && t.Context().Err() == nil; n++ {
				r.Data(t, "orders", fmt.Sprint(n))
				pause(t.Context(), 10*time.Millisecond)
				if time.Since(c.begin) > rig.Patience {
					t.Fatalf("%v after they came, %d of %d clients have been served", rig.Patience, c.done.Load(), clients)
				}
			}
			t.Logf("all had been served after %v, with %d attempts that were cut", time.Since(c.begin).Round(time.Millisecond), c.cut.Load())
			rig.Await(t, "no stream is left", func() bool { return connections(t, pod) == 0 })
			rig.Await(t, "the pod has as many files open as before", func() bool { return openFiles(t, pod) <= before+10 })
			if !pod.Ready(t.Context()) {
				t.Error("the pod is not ready")
			}
			complaints(t, pod)
		})
	}
}

// crowd is clients that come all at once, and again when they were turned away.
type crowd struct {
	begin             time.Time
	served, cut, done atomic.Int64
	leave             chan struct{} // closed when those that are served may leave
}

func startCrowd(t *testing.T, pod *rig.Pod, n int) *crowd {
	t.Helper()
	c := &crowd{begin: time.Now(), leave: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for range n {
		wg.Go(func() {
			for ctx.Err() == nil {
				s, err := c.enter(ctx, t, pod)
				if err != nil {
					c.cut.Add(1)
					pause(ctx, 100*time.Millisecond)
					continue
				}
				if err := c.stay(ctx, s); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				s.Close()
				c.done.Add(1)
				return
			}
		})
	}
	return c
}

// enter opens a stream. To be turned away, by whatever breaks off, is an error;
// to be told anything that is not so, fails the test.
func (c *crowd) enter(ctx context.Context, t *testing.T, pod *rig.Pod) (*rig.Stream, error) {
	s, err := rig.Open(ctx, pod.Addr, orders())
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, s.Close)()
	e, err := s.Next()
	switch {
	case errors.Is(err, io.EOF) || s.Status != 200 || err == nil && e.Type != "gateway.open":
		t.Errorf("want 200 and gateway.open, or a stream that breaks off, got %d, %+v, %v", s.Status, e, err)
	case err == nil:
		return s, nil
	}
	s.Close()
	return nil, cmp.Or(err, context.Canceled)
}

// stay is the life of a client that was let in: it is served as if nobody else
// was there.
func (c *crowd) stay(ctx context.Context, s *rig.Stream) error {
	defer context.AfterFunc(ctx, s.Close)()
	c.served.Add(1)
	select {
	case <-c.leave:
	case <-ctx.Done():
	}
	const some = 3
	for i, last := 0, 0; i < some; i++ {
		e, err := s.Next()
		if n := number(e.Data); err != nil || i > 0 && n != last+1 {
			return fmt.Errorf("want the event after %d, got %+v, %w", last, e, err)
		}
		last = number(e.Data)
	}
	return nil
}

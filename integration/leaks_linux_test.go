package integration

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestThousandStreamsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	// A topic that nobody follows stays in memory for a moment.
	pod := rig.StartPod(t, r.URL(), "SSE_LINGER=1s")
	cycle := func(n int) {
		var clients sync.WaitGroup
		for c := range 10 {
			clients.Go(func() {
				for i := range n / 10 {
					if err := openAndClose(t, pod, c, i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		clients.Wait()
		rig.Await(t, "the pod counts no stream", func() bool { return connections(t, pod) == 0 })
		rig.Await(t, "the pod follows no topic", func() bool { return metric(t, pod, "sse_topics") == 0 })
	}
	cycle(100) // what is made once is made
	// What is counted moves a little by itself: /metrics has a connection, a
	// pool opens and closes some.
	const slack = 10
	goroutines, fds := metric(t, pod, "go_goroutines"), openFiles(t, pod)
	cycle(1000)
	if n := metric(t, pod, "sse_connections_accepted_total"); n < 1100 {
		t.Errorf("want 1100 streams to have been opened, the pod counts %v", n)
	}
	rig.Await(t, fmt.Sprintf("the pod has its %v goroutines and %d open files again", goroutines, fds), func() bool {
		return metric(t, pod, "go_goroutines") <= goroutines+slack && openFiles(t, pod) <= fds+slack
	})
}

// openAndClose is one short stream: some leave without a word, some after the
// first block, some after an event, on one topic or several.
func openAndClose(t *testing.T, pod *rig.Pod, c, i int) error {
	ask := rig.Ask{Topics: []string{fmt.Sprintf("topic-%d-%d", c, i)}}
	if i%2 == 0 {
		ask.Topics = append(ask.Topics, "orders")
	}
	s, err := rig.Open(t.Context(), pod.Addr, ask)
	if err != nil {
		return err
	}
	defer s.Close()
	if i%3 == 0 {
		return nil
	}
	_, err = s.Next()
	return err
}

func openFiles(t *testing.T, pod *rig.Pod) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pod.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

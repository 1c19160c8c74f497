package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// megabytes is more than all socket buffers between a pod and a client hold.
const megabytes = 24

// fill adds so many events of one megabyte.
func fill(t *testing.T, r *rig.Redis, topic string) {
	t.Helper()
	for i := range megabytes {
		fillOne(t, r, topic, i)
	}
}

// fillOne adds one of them, and returns what identifies it.
func fillOne(t *testing.T, r *rig.Redis, topic string, i int) string {
	t.Helper()
	name := fmt.Sprintf("%s %d", topic, i)
	r.Data(t, topic, name+strings.Repeat(" padding", 1<<17))
	return name
}

// stalledStream opens a stream on orders that nobody reads after its first
// block.
func stalledStream(t *testing.T, pod *rig.Pod) *rig.Stream {
	t.Helper()
	s, err := rig.Open(t.Context(), pod.Addr, orders())
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Next(); err != nil || e.Type != "gateway.open" {
		t.Fatalf("want gateway.open, got %+v, %v", e, err)
	}
	return s
}

func TestClientThatDoesNotReadIsEndedAndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{direct, portable} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			doesNotRead(t, transport)
		})
	}
}

func doesNotRead(t *testing.T, transport string) {
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), append(transportEnv(transport), "SSE_WRITE_TIMEOUT=1s")...)
	quick := rig.Follow(t, pod, orders())
	quick.Opened()
	slow := stalledStream(t, pod)
	defer slow.Close()

	names := make([]string, megabytes)
	for i := range names { // nobody waits for the slow one
		names[i] = fillOne(t, r, "orders", i)
		if e := quick.Next(); !strings.HasPrefix(e.Data, names[i]+" ") {
			t.Fatalf("want event %q, got %.50q", names[i], e.Data)
		}
	}
	rig.Await(t, "the pod has ended the stream that nobody reads", func() bool { return connections(t, pod) == 1 })
	if got := disconnects(t, pod); got["write_timeout"] != 1 {
		t.Errorf("want it to be a write_timeout, got %v", got)
	}

	cursor, got := slow.LastEventID(), 0
	check := func(data string) {
		if !strings.HasPrefix(data, names[got]+" ") {
			t.Fatalf("want event %q, got %.50q", names[got], data)
		}
		got++
	}
	for {
		e, err := slow.Next()
		if err != nil {
			break
		}
		cursor = e.ID
		check(e.Data)
	}
	if got == len(names) {
		t.Fatal("the stream was read to its end: it never stalled")
	}
	ask := orders()
	ask.LastEventID = cursor
	f := rig.Follow(t, pod, ask)
	f.Opened()
	for got < len(names) {
		check(f.Next().Data)
	}
}

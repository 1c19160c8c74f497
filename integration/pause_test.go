package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// pausing is a client of a test that compares streams byte for byte.
type pausing struct {
	name   string
	pauses bool
	body   wire // without the framing of HTTP
	stream *rig.Stream
}

// read reads so many events.
func (c *pausing) read(events int) error {
	for i := range events {
		if e, err := c.stream.Next(); err != nil {
			return fmt.Errorf("%s: event %d of %d: %+v, %w", c.name, i, events, e, err)
		}
	}
	return nil
}

// TestPauseShorterThanTheTimeOutLeavesNoTrace compares what clients get that
// do not read for a while with what others get that read all the time. All of
// them, on either transport, must get the same bytes.
func TestPauseShorterThanTheTimeOutLeavesNoTrace(t *testing.T) {
	t.Parallel()
	const events, most = 200, 100_000 // together about 10 MB, more than sockets hold
	r := rig.StartRedis(t)
	var pods []*rig.Pod
	var readers, pausers []*pausing
	for _, transport := range []string{direct, portable} {
		pod := rig.StartPod(t, r.URL(), append(transportEnv(transport), "SSE_WRITE_TIMEOUT=1m")...)
		pods = append(pods, pod)
		for _, protocol := range []rig.Protocol{rig.HTTP11, rig.HTTP10, rig.HTTP2} {
			if transport == direct && protocol == rig.HTTP2 {
				continue
			}
			readers = append(readers, openPausing(t, pod, transport, protocol, false))
			pausers = append(pausers, openPausing(t, pod, transport, protocol, true))
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))

	var wg sync.WaitGroup
	for _, c := range readers {
		wg.Go(func() {
			if err := c.read(events); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range events {
		r.Data(t, "orders", payload("orders", "pause", i, 1+rng.IntN(most)))
	}
	wg.Wait()
	for _, pod := range pods {
		if sent, all := int(metric(t, pod, "sse_deliveries_total")), events*connections(t, pod); sent >= all {
			t.Errorf("%d of %d events were sent although half of the clients did not read: nobody ever stalled", sent, all)
		}
	}
	for _, c := range pausers {
		if err := c.read(events); err != nil {
			t.Error(err)
		}
	}
	want := readers[0].rest()
	for _, c := range append(readers, pausers...) {
		if got := c.rest(); got != want {
			t.Errorf("%s, pauses=%v: %s", c.name, c.pauses, difference(want, got))
		}
	}
}

func openPausing(t *testing.T, pod *rig.Pod, transport string, protocol rig.Protocol, pauses bool) *pausing {
	t.Helper()
	c := &pausing{name: transport + " " + protocol.String(), pauses: pauses}
	ask := orders()
	ask.Protocol, ask.Copy = protocol, &c.body
	if pauses {
		ask.Dial = narrow(smallest)
	}
	var err error
	if c.stream, err = rig.Open(t.Context(), pod.Addr, ask); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stream.Close)
	if e, err := c.stream.Next(); err != nil || e.Type != "gateway.open" {
		t.Fatalf("%s: want gateway.open, got %+v, %v", c.name, e, err)
	}
	return c
}

// rest returns what came after the first block, which has a reconnection time
// of its own for each client.
func (c *pausing) rest() string {
	_, rest, _ := strings.Cut(c.body.String(), "\n\n")
	return rest
}

// difference says where two long texts differ.
func difference(want, got string) string {
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	around := func(s string) string { return s[max(0, min(len(s), at-40)):min(len(s), at+40)] }
	return fmt.Sprintf("%d bytes, want %d; from byte %d on want …%q…, got …%q…", len(got), len(want), at, around(want), around(got))
}

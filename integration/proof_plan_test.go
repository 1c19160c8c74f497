package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// plan is all that the seed decides: the same seed and scale give the same
// plan. What the machine decides is only when exactly each step happens.
type plan struct {
	topics  []string
	late    []string // the last of the topics: silent until their first clients are there
	heavy   string   // its events are large, and some of its clients slow
	clients []clientPlan
	faults  []fault
}

// clientPlan is what one client is to do.
type clientPlan struct {
	name   string
	seed   uint64 // of its further behaviour, see cutPlan
	topics []string
	since  string        // "earliest", or "" to begin now
	start  time.Duration // after the beginning of the proof
	first  bool          // it must be there before its topics have any entry
	slow   bool          // at times it does not read
}

// fault is one blow, at a time after the beginning.
type fault struct {
	at   time.Duration
	kind faultKind
	pick uint64        // decides on the victim
	last time.Duration // how long it is down, where that is ours to say
}

type faultKind string

const (
	killPod     faultKind = "pods killed"
	drainPod    faultKind = "pods terminated"
	freezePod   faultKind = "pods frozen"
	killPubSub  faultKind = "pub/sub connections killed"
	killNormal  faultKind = "command connections killed"
	killOne     faultKind = "single connections killed"
	killRedis   faultKind = "Redis killed"
	freezeRedis faultKind = "Redis frozen"
)

// perMinute says how often each fault happens; each does at least once.
var perMinute = []struct {
	kind  faultKind
	times int
}{
	{killPod, 16}, {drainPod, 2}, {freezePod, 4},
	{killPubSub, 8}, {killNormal, 8}, {killOne, 12},
	{killRedis, 4}, {freezeRedis, 2},
}

func newPlan(seed uint64, s scale) plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	var p plan
	for i := range s.topics {
		p.topics = append(p.topics, fmt.Sprintf("t%02d", i))
	}
	p.late, p.heavy = p.topics[s.topics*3/4:], p.topics[s.topics/8]
	for i := range s.clients {
		p.clients = append(p.clients, planClient(rng, p, s, i))
	}
	for _, f := range perMinute {
		n := max(1, int(float64(f.times)*s.duration.Minutes()))
		for i := range n {
			// One in each n-th part of the time, so that they spread.
			at := (float64(i) + rng.Float64()) / float64(n) * float64(s.duration)
			p.faults = append(p.faults, fault{
				at: time.Duration(at), kind: f.kind, pick: rng.Uint64(),
				last: between(rng, 50*time.Millisecond, 1500*time.Millisecond),
			})
		}
	}
	slices.SortFunc(p.faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return p
}

func planClient(rng *rand.Rand, p plan, s scale, i int) clientPlan {
	c := clientPlan{seed: rng.Uint64(), start: between(rng, 0, s.duration*7/10)}
	switch i % 24 {
	case 0, 8, 16: // several topics, all of their history
		c.name, c.since = "several-earliest", "earliest"
		c.topics = someOf(rng, p.topics, severalTopics)
	case 4, 12, 20: // several topics, there before the first entry
		c.name, c.first, c.start = "several-first", true, 0
		c.topics = someOf(rng, p.late, severalTopics)
	case 2, 10, 18: // one topic, all of its history
		c.name, c.since = "one-earliest", "earliest"
		c.topics = someOf(rng, p.topics, 1)
	case 6: // more data than the sockets hold while it looks away
		c.name, c.slow = "slow", true
		c.topics = []string{p.heavy}
	default: // one topic, from now on
		c.name = "one"
		c.topics = someOf(rng, p.topics, 1)
	}
	c.name = fmt.Sprintf("%s-%d", c.name, i)
	return c
}

// cutPlan is what happens to one connection of a client.
type cutPlan struct {
	bytes int64         // it is cut after so many bytes from the server; 0: not
	after time.Duration // or after so long; 0: not
	reset bool          // RST instead of FIN
	pause time.Duration // before the next connection
	pod   uint64        // decides where this connection goes
	http  rig.Protocol  // which it speaks, where there is a choice
}

// nextStall is when a slow client stops reading, and for how long.
func nextStall(rng *rand.Rand) (after int64, d time.Duration) {
	return 100_000 + rng.Int64N(2_000_000), between(rng, time.Second, 6*time.Second)
}

// nextCut draws the same number of values every time, whatever they decide.
func nextCut(rng *rand.Rand) cutPlan {
	dice, small, large := rng.IntN(100), rng.Int64N(500), rng.Int64N(60_000)
	c := cutPlan{reset: rng.IntN(2) == 0, after: between(rng, 200*time.Millisecond, 6*time.Second), pod: rng.Uint64()}
	switch dice := rng.IntN(10); {
	case dice < 2:
		c.http = rig.HTTP10
	case dice < 4:
		c.http = rig.HTTP2
	}
	switch {
	case dice < 20: // in the head of the answer or the first block: nothing received yet
		c.bytes = 1 + small
	case dice < 65: // anywhere, mostly in the middle of an event
		c.bytes = 1 + large
	}
	short, middle, long := between(rng, 0, 50*time.Millisecond), between(rng, 50*time.Millisecond, 500*time.Millisecond), between(rng, 500*time.Millisecond, 3*time.Second)
	switch dice := rng.IntN(10); {
	case dice < 6:
		c.pause = short
	case dice < 9:
		c.pause = middle
	default:
		c.pause = long
	}
	return c
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

// someOf returns n of all, in any order.
func someOf(rng *rand.Rand, all []string, n int) []string {
	some := slices.Clone(all)
	rng.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some[:n]
}

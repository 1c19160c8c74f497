package gateway

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// The simulation runs sessions over transports that are as awkward as the seam
// allows: a socket takes all of a batch, some of it or nothing, and next is
// called only after a wake-up, after more was promised, or when the socket was
// full. Behind the sessions two pods follow the same streams, each as far as
// it has come; windows and pages are tiny; entries are trimmed, deleted, lost
// in a fail-over or cannot be sent; keys change their type; reads of history
// fail, or bring old news late. Clients are cut at any byte and come back, to
// any pod, with any id that they have received.
//
// In the end every client must have, for each topic and since its history was
// last said to be gone, each entry once and in order; and what it was told of
// lost history must be true.
//
// SEAM_SCHEDULES sets the number of schedules, SEAM_SEED replays one.

const seamSchedules = 4000

func TestSeam(t *testing.T) {
	if s := os.Getenv("SEAM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if fault := runSeam(t, seed, seamDefect{}); fault != "" {
			t.Fatal(fault)
		}
		return
	}
	n := uint64(seamSchedules)
	if s := os.Getenv("SEAM_SCHEDULES"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	base := rand.Uint64()
	t.Logf("%d schedules from seed %d", n, base)
	runSeams(t, base, n, seamDefect{}, func(t *testing.T, fault string) { t.Error(fault) })
}

// A simulation that cannot fail proves nothing: each of these defects must be
// found.
func TestSeamFindsDefects(t *testing.T) {
	for name, d := range map[string]seamDefect{
		"commit of more than was sent":       {commitAll: true},
		"commit of less than was sent":       {commitLess: true},
		"half-sent frame begun anew":         {partForgotten: true},
		"heartbeat inside a half-sent frame": {beatInside: true},
		"suffix of the cursor not made anew": {staleSuffix: true},
		"trimmed history not told":           {lossUntold: true},
		"evicted frames skipped":             {skipEvicted: true},
		"resuming at the head":               {resumeAtHead: true},
		"no wake-up when history comes":      {deafToHistory: true},
	} {
		t.Run(name, func(t *testing.T) {
			var found atomic.Bool
			runSeams(t, 1, 2000, d, func(*testing.T, string) { found.Store(true) })
			t.Cleanup(func() {
				if !found.Load() {
					t.Error("the simulation did not notice")
				}
			})
		})
	}
}

// runSeams runs n schedules on all processors until one fails.
func runSeams(t *testing.T, base, n uint64, d seamDefect, fail func(*testing.T, string)) {
	var next atomic.Uint64
	var failed atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i := next.Add(1); i <= n && !failed.Load(); i = next.Add(1) {
				if fault := runSeam(t, base+i, d); fault != "" {
					failed.Store(true)
					fail(t, fault)
				}
			}
		})
	}
}

// seamDefect is a known mistake, made on purpose.
type seamDefect struct {
	commitAll, commitLess, partForgotten, beatInside, staleSuffix, lossUntold,
	skipEvicted, resumeAtHead, deafToHistory bool
}

// seamSim is one schedule.
type seamSim struct {
	rnd  *rand.Rand
	seed uint64
	d    seamDefect

	trims, deletes, forks, faults bool // what happens in this schedule

	topics   []stream.Topic
	streams  []*simStream
	lineages uint64
	entries  []simEntry // by serial number
	pods     []*simPod
	clients  []*simClient

	delivering bool // a read of history is coming back
	trace      []string
	fault      string
}

func runSeam(t *testing.T, seed uint64, d seamDefect) (fault string) {
	synctest.Test(t, func(*testing.T) {
		s := newSeamSim(seed, d)
		s.run()
		fault = s.fault
		if fault != "" && d == (seamDefect{}) {
			fault = fmt.Sprintf("%s\nreplay with SEAM_SEED=%d\n%s", fault, seed, strings.Join(s.trace, "\n"))
		}
		for _, p := range s.pods {
			p.g.history.close()
		}
	})
	return fault
}

func newSeamSim(seed uint64, d seamDefect) *seamSim {
	s := &seamSim{rnd: rand.New(rand.NewPCG(seed, 11)), seed: seed, d: d}
	// An entry that XDEL removed and one that a fail-over lost look alike to
	// Redis, so a schedule has one or the other.
	switch s.rnd.IntN(4) {
	case 0:
	case 1:
		s.trims, s.deletes = true, true
	case 2:
		s.trims, s.faults = true, true
	case 3:
		s.trims, s.forks, s.faults = s.rnd.IntN(2) == 0, true, s.rnd.IntN(2) == 0
	}
	counters := s.rnd.IntN(4) > 0
	names := []stream.Topic{"a", "b", "c", "d", "e"}
	for _, t := range names[:1+s.rnd.IntN(len(names))] {
		st := &simStream{topic: t, counters: counters, simHistory: simHistory{clock: 1000}}
		s.topics, s.streams = append(s.topics, t), append(s.streams, st)
		for range s.rnd.IntN(8) {
			s.publish(st)
		}
		if s.trims && s.rnd.IntN(3) == 0 {
			st.trim(s.rnd.IntN(4))
		}
		st.save()
	}
	for range 2 {
		s.pods = append(s.pods, newSimPod(s))
	}
	for i := range 1 + s.rnd.IntN(3) {
		s.clients = append(s.clients, s.newClient(i))
	}
	return s
}

func (s *seamSim) newClient(i int) *simClient {
	c := &simClient{sim: s, name: i, control: true}
	for _, n := range s.rnd.Perm(len(s.topics))[:1+s.rnd.IntN(len(s.topics))] {
		c.topics = append(c.topics, s.topics[n])
	}
	if s.rnd.IntN(3) == 0 {
		c.form = stream.FormEnvelope
	}
	if s.rnd.IntN(3) == 0 {
		c.since = []*replayer.Since{{Earliest: true}, {Last: 1 + s.rnd.IntN(5)}}[s.rnd.IntN(2)]
	}
	if !s.trims && !s.forks && s.rnd.IntN(3) == 0 {
		c.control = false // there is nothing to tell
	}
	return c
}

func (s *seamSim) stream(t stream.Topic) *simStream { return s.streams[t[0]-'a'] }

func (p *simPod) number() int {
	for i := range p.sim.pods {
		if p.sim.pods[i] == p {
			return i
		}
	}
	return -1
}

func (s *seamSim) logf(format string, args ...any) {
	if s.d == (seamDefect{}) { // else only whether it fails counts
		s.trace = append(s.trace, fmt.Sprintf(format, args...))
	}
}

func (s *seamSim) publish(st *simStream) {
	e := st.entry(s.rnd, len(s.entries))
	st.add(e)
	s.entries = append(s.entries, st.entries[len(st.entries)-1])
}

func (s *seamSim) run() {
	for range 50 + s.rnd.IntN(150) {
		s.step()
		synctest.Wait()
		if s.fault != "" {
			return
		}
	}
	s.settle()
	for _, c := range s.clients {
		if c.conn != nil {
			c.conn.checkLive()
			c.disconnect(len(c.conn.wire))
		}
		for _, t := range c.topics {
			if s.fault == "" {
				c.check(t)
			}
		}
	}
}

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
	"time"

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
	names := []stream.Topic{"a", "b", "c", "d", "e"}
	for _, t := range names[:1+s.rnd.IntN(len(names))] {
		st := &simStream{topic: t, simHistory: simHistory{clock: 1000}}
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

// step does one thing.
func (s *seamSim) step() {
	st := s.streams[s.rnd.IntN(len(s.streams))]
	pod := s.pods[s.rnd.IntN(len(s.pods))]
	switch n := s.rnd.IntN(100); {
	case n < 12:
		for range 1 + s.rnd.IntN(4) {
			s.publish(st)
		}
		s.logf("%s: added, now %v", st.topic, st.ids())
	case n < 20:
		s.disturb(st)
	case n < 40:
		pod.advance(st.topic, 1+s.rnd.IntN(4))
		s.logf("pod %d: log %s is at %v", pod.number(), st.topic, pod.log(st.topic).head)
	case n < 43:
		pod.log(st.topic).evict(s.rnd.IntN(3))
		pod.wake(st.topic)
	case n < 44:
		pod.linger(st.topic)
	case n < 58:
		s.history(pod)
	case n < 60:
		time.Sleep([]time.Duration{simBackoff, pageAge + time.Second}[s.rnd.IntN(2)])
	default:
		s.client(s.clients[s.rnd.IntN(len(s.clients))], pod)
	}
}

// disturb does something to a stream that is not adding to it.
func (s *seamSim) disturb(st *simStream) {
	switch n := s.rnd.IntN(12); {
	case n < 3 && s.trims:
		st.trim(s.rnd.IntN(5))
		s.logf("%s: trimmed to %v", st.topic, st.ids())
	case n < 5 && s.deletes:
		st.remove(s.rnd)
		s.logf("%s: deleted one, left %v", st.topic, st.ids())
	case n < 7 && s.forks:
		st.save()
	case n < 9 && s.forks:
		s.lineages += 10 // ids of two histories are never neighbours
		st.failover(s.lineages, uint64(s.rnd.IntN(30)))
		s.logf("%s: fail-over to %v", st.topic, st.ids())
	case n == 9 && s.forks:
		st.drop()
		s.logf("%s: DEL", st.topic)
	case n >= 10 && s.faults:
		st.wrong = !st.wrong
		s.logf("%s: wrong type: %v", st.topic, st.wrong)
	}
}

func (s *simStream) ids() (ids []stream.ID) {
	for _, e := range s.live() {
		ids = append(ids, e.id)
	}
	return ids
}

// history moves one read of history.
func (s *seamSim) history(pod *simPod) {
	reads := pod.pending()
	if len(reads) == 0 {
		return
	}
	r := reads[s.rnd.IntN(len(reads))]
	var err error
	if s.faults && s.rnd.IntN(4) == 0 {
		err = errSim
	}
	if r.settle(s, err); s.rnd.IntN(3) > 0 {
		s.deliver(pod, r)
	}
}

func (s *seamSim) deliver(pod *simPod, r *simRead) {
	s.logf("pod %d: read %s (%v, %v]: %v from %v, %d entries, error %v", pod.number(), r.topic, r.at, r.upTo, r.page.Verdict, r.page.Start, len(r.page.Entries), r.err)
	s.delivering = true
	pod.deliver(r)
	synctest.Wait()
	s.delivering = false
}

// client does something about a client's connection.
func (s *seamSim) client(c *simClient, pod *simPod) {
	conn := c.conn
	switch n := s.rnd.IntN(40); {
	case conn == nil:
		c.connect(pod)
	case conn.over:
		c.disconnect(len(conn.wire))
	case n == 0:
		// What is on the wire may be lost with the connection.
		c.disconnect(s.rnd.IntN(len(conn.wire) + 1))
	case n == 1:
		conn.s.end([]end{endDrain, endLifetime}[s.rnd.IntN(2)])
	case n == 2:
		conn.pod.Unregister(conn.s, true)
	case n < 5:
		conn.s.Wake()
	case n < 8:
		conn.send(true, s.some)
	case conn.runnable():
		conn.send(false, s.some)
	}
}

// some is what a socket takes of n bytes.
func (s *seamSim) some(n int) int {
	switch s.rnd.IntN(4) {
	case 0:
		return 0
	case 1:
		return s.rnd.IntN(n + 1)
	}
	return n
}

// settle ends all faults and lets everything run that is due, until nothing
// is. No wake-up is given away: whoever still waits has missed one.
func (s *seamSim) settle() {
	for _, st := range s.streams {
		st.wrong = false
	}
	s.logf("settling")
	s.quiesce()
	if !s.forks {
		return
	}
	// A client that is ahead of its pod for good, since the history that it was
	// ahead in is lost, finds out at a heartbeat.
	for range 2 {
		time.Sleep(pageAge + time.Second)
		for _, c := range s.clients {
			if c.conn != nil && !c.conn.over {
				c.conn.send(true, all)
			}
		}
		s.quiesce()
	}
}

func (s *seamSim) quiesce() {
	rounds := 0
	for quiet := 0; quiet < 2 && s.fault == ""; quiet++ {
		for s.round() && s.fault == "" {
			quiet = 0
			if rounds++; rounds > 2000 {
				s.fault = "the sessions find no rest"
			}
		}
		time.Sleep(simBackoff)
	}
}

func all(n int) int { return n }

// round lets everything that is due happen once.
func (s *seamSim) round() (moved bool) {
	for _, p := range s.pods {
		for _, t := range s.topics {
			moved = p.advance(t, 100) || moved
		}
	}
	for _, c := range s.clients {
		switch {
		case c.conn == nil:
			c.connect(s.pods[0])
			moved = true
		case c.conn.over:
			c.disconnect(len(c.conn.wire))
			moved = true
		}
		for sends := 0; c.conn != nil && c.conn.runnable() && s.fault == ""; sends++ {
			c.conn.send(false, all)
			synctest.Wait()
			moved = true
			if sends > 5000 {
				s.fault = fmt.Sprintf("client %d is sent things for ever: %q", c.name, c.conn.wire[max(0, len(c.conn.wire)-1000):])
			}
		}
	}
	for _, p := range s.pods {
		for _, r := range p.pending() {
			r.settle(s, nil)
			s.deliver(p, r)
			moved = true
		}
	}
	return moved
}

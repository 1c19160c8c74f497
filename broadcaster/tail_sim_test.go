package broadcaster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ssegateway/sse-gateway/stream"
)

// The simulation runs a tail and its readers against a model of a Redis
// stream, in an order drawn from a seed: wake-ups are lost and late,
// connections break, reads fail and return old news, pages and windows are
// tiny, windows are emptied, entries are trimmed, deleted and lost in a
// fail-over, the key is deleted or holds something else for a while. In the
// end every reader must have, since its last gap or reset, each entry exactly
// once and in order, and must know whether the topic is closed.

// simulation is one schedule.
type simulation struct {
	rnd      *rand.Rand
	d        *defect
	seen     *sights
	tracing  bool
	forks    bool // this schedule forks; else it deletes by id
	lineages uint64
	redis    model
	saved    model       // what a fail-over goes back to
	lost     []stream.ID // entries of histories that are no more
	lives    int         // histories so far
	asked    int         // the one that told last whether it is closed, if that is in doubt
	unknown  bool        // it was another one that told
	t        *tail
	queued   bool // the flusher has the tail
	wakes    int  // wake-ups on their way
	down     bool // the pub/sub connection is broken: wake-ups are lost
	read     *simRead
	readers  []*simReader
	trace    []string
	fault    string
}

type simRead struct {
	plan plan
	done bool
	life int
	res  result
}

// runSchedule returns what went wrong, with what led to it.
func runSchedule(seed uint64, d *defect, seen *sights) string {
	s := newSimulation(seed, d, seen)
	s.run()
	if s.fault == "" {
		return ""
	}
	// Once more, and write down what happens.
	s = newSimulation(seed, d, seen)
	s.tracing = true
	s.run()
	return fmt.Sprintf("%s\nreplay with SIM_SEED=%d\n%s", s.fault, seed, strings.Join(s.trace, "\n"))
}

func newSimulation(seed uint64, d *defect, seen *sights) *simulation {
	s := &simulation{rnd: rand.New(rand.NewPCG(seed, 7)), d: d, seen: seen, asked: -1}
	s.forks = s.rnd.IntN(2) == 0
	s.t = &tail{topic: "t", maxBytes: 200 * (1 + s.rnd.IntN(12))}
	s.redis.clock = 1000
	for range s.rnd.IntN(6) {
		s.redis.add(s.rnd.IntN(4) == 0)
	}
	s.saved = s.redis.clone()
	return s
}

func (s *simulation) run() {
	s.queued = s.t.wake()
	for range 20 + s.rnd.IntN(80) {
		s.step()
		if s.fault != "" {
			return
		}
	}
	if s.redis.spoilt {
		s.spoil()
	}
	s.reconnect()
	s.settle()
	s.check(func(r *simReader) bool { return r.live })
	// Who is ahead of the log, and whose history was lost before the log had
	// it, is told with the next entry.
	s.redis.add(s.rnd.IntN(2) == 0)
	s.announce()
	s.settle()
	s.check(func(*simReader) bool { return true })
}

// check compares the tail, and some readers, with the history.
func (s *simulation) check(which func(*simReader) bool) {
	for i, r := range s.readers {
		if s.fault == "" && which(r) {
			s.fault = s.checkReader(i, r)
		}
	}
	if closed, known := s.redis.closed(); s.fault == "" && known && !s.unknown && closed != s.t.closed {
		s.fault = fmt.Sprintf("the topic is closed: %v, the tail says %v", closed, s.t.closed)
	}
}

func (s *simulation) logf(format string, args ...any) {
	if s.tracing {
		s.trace = append(s.trace, fmt.Sprintf(format, args...))
	}
}

func (s *simulation) step() {
	switch n := s.rnd.IntN(100); {
	case n < 22 && !s.redis.spoilt:
		for range 1 + s.rnd.IntN(4) {
			s.redis.add(s.rnd.IntN(6) == 0)
		}
		s.announce()
		s.logf("add: %v", &s.redis)
	case n < 25:
		keep := s.rnd.IntN(4)
		if s.forks {
			// An older copy has what was trimmed. If that was all, nobody who
			// did not read it could say whether it closed the topic.
			keep = max(keep, 1)
		}
		s.redis.trim(keep)
		s.announce()
		s.logf("trim: %v", &s.redis)
	case n < 28 && s.forks:
		s.failover()
	case n < 30 && s.forks:
		s.saved = s.redis.clone()
	case n < 30:
		s.redis.remove(s.rnd)
		s.announce()
		s.logf("xdel: %v", &s.redis)
	case n < 31:
		s.lose(s.redis.dropped())
		s.announce()
		s.logf("del")
	case n < 32:
		s.spoil()
	case n < 50:
		if s.wakes > 0 {
			s.wakes--
			s.wake()
		}
	case n < 53:
		s.down = true
		s.wakes = 0
	case n < 57:
		s.reconnect()
	case n < 72:
		for range 1 + s.rnd.IntN(4) {
			s.flush()
		}
	case n < 75:
		s.evict()
	case n < 82:
		s.join()
	default:
		if len(s.readers) > 0 {
			s.readers[s.rnd.IntN(len(s.readers))].step(s)
		}
	}
}

func (s *simulation) announce() {
	if !s.down {
		s.wakes++
	}
}

func (s *simulation) wake() {
	if s.t.wake() {
		s.queued = true
	}
}

func (s *simulation) reconnect() {
	s.down = false
	if !s.d.deafReconnect {
		s.wake() // every subscribe confirmation wakes
	}
}

// spoil puts something else in the key's place, of which Redis does not tell,
// or deletes that.
func (s *simulation) spoil() {
	if s.redis.spoilt {
		s.redis.spoilt = false
		s.announce()
		s.logf("del of another type")
		return
	}
	next := s.redis.dropped()
	next.spoilt = true
	s.lose(next)
	s.logf("set")
}

// failover goes on with an old copy, or one that lags by a few entries.
func (s *simulation) failover() {
	next := s.saved.clone()
	if s.rnd.IntN(2) == 0 {
		next = s.redis.clone()
		next.forget(1 + s.rnd.IntN(4))
	}
	s.logf("fail-over to %v", &next)
	next.clock = max(1000, s.redis.clock-uint64(s.rnd.IntN(30)))
	s.lineages++
	next.lineage = s.lineages * 10 // ids of two histories are never neighbours
	s.lose(next)
	s.down, s.wakes = true, 0
	if s.rnd.IntN(2) == 0 {
		s.reconnect() // before anything else happens
	}
}

// lose puts another history in the place of the present one.
func (s *simulation) lose(next model) {
	before := s.redis
	s.redis = next
	s.lives++
	for _, e := range before.entries {
		if !next.has(e.id) && !slices.Contains(s.lost, e.id) {
			s.lost = append(s.lost, e.id)
		}
	}
	for _, r := range s.readers {
		r.told = r.told && (next.has(r.since) || !before.has(r.since))
	}
}

// isLost reports whether an id is that of an entry that is of no history now.
func (s *simulation) isLost(id stream.ID) bool {
	return slices.Contains(s.lost, id) && !s.redis.has(id)
}

func (s *simulation) evict() {
	if s.t.forking && s.t.win.len() > 0 {
		if s.read == nil {
			s.saw(evictedBeforeFork)
		} else {
			s.saw(evictedDuringFork)
		}
	}
	s.t.evictAll()
}

// flush moves the one read that may be under way.
func (s *simulation) flush() {
	switch {
	case s.read == nil && s.queued:
		s.queued = false
		s.read = &simRead{plan: s.t.begin()}
	case s.read != nil && !s.read.done:
		s.read.done, s.read.life = true, s.lives
		s.read.res = s.execute(s.read.plan)
	case s.read != nil:
		s.finish(s.read)
		s.read = nil
	}
}

func (s *simulation) finish(r *simRead) {
	forking, synced := s.t.forking, s.t.synced
	undo := s.d.before(s.t, r)
	e := s.t.finish(r.plan, r.res)
	undo(&e)
	s.logf("read after %v: %v %v %v %v → head %v", r.plan.at, r.res.page.Verdict, r.res.page.End(), r.res.head.Last, r.res.err, s.t.win.head)
	switch {
	case e.unanswered && forking:
		s.saw(failedDuringFork)
	case e.failed != "" && forking:
		s.saw(spoiltDuringFork)
	case r.plan.head && synced:
		s.saw(askedIfClosed)
	case e.gap:
		s.saw(gaps)
	case e.reset && s.t.win.since(s.t.win.epoch-1).Common.IsZero():
		s.saw(forkWithoutCommon)
	case e.reset:
		s.saw(forkWithCommon)
	}
	switch {
	case r.res.err != nil:
	case r.plan.head:
		s.asked, s.unknown = -1, false
		if synced && r.res.head.LastGenerated.Less(s.t.win.head) {
			s.asked = r.life
		}
	default:
		// Two histories within two reads, and then the first again: who would
		// have to tell?
		s.unknown = s.unknown && e.events == 0 || s.asked >= 0 && s.asked != r.life && e.events == 0
		s.asked = -1
	}
	s.queued = s.queued || e.again
	if e.changed {
		for _, rd := range s.readers {
			rd.awake = true
		}
	}
}

func (s *simulation) execute(p plan) (r result) {
	switch {
	case s.rnd.IntN(12) == 0:
		return result{err: errSim}
	case p.head:
		r.head, r.err = s.redis.head()
	default:
		r.page, r.err = s.redis.read(p.at, stream.MaxID, 1+s.rnd.IntN(4))
	}
	return r
}

// settle runs until nothing moves.
func (s *simulation) settle() {
	for moved := true; moved; {
		moved = false
		for s.wakes > 0 || s.queued || s.read != nil {
			if s.wakes > 0 {
				s.wakes--
				s.wake()
			}
			s.flush()
		}
		for _, r := range s.readers {
			for n := 0; r.step(s); n++ {
				if moved = true; n > 2000 {
					s.fault = "a reader goes round in circles"
					return
				}
			}
		}
	}
}

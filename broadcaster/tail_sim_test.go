package broadcaster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

// The simulation runs a tail and its readers against a model of a Redis
// stream, in an order drawn from a seed: wake-ups are lost and late,
// connections break, reads fail and return old news, pages and windows are
// tiny, entries are trimmed, deleted and lost in a fail-over. In the end every
// reader must have, since its last gap or reset, each entry exactly once and
// in order.
//
// SIM_SCHEDULES sets the number of schedules, SIM_SEED replays one.

const defaultSchedules = 100_000

func TestTailSimulation(t *testing.T) {
	if s := os.Getenv("SIM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if fault := runSchedule(seed, nil); fault != "" {
			t.Fatal(fault)
		}
		return
	}
	n := uint64(defaultSchedules)
	if s := os.Getenv("SIM_SCHEDULES"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	base := rand.Uint64()
	if fault := runSchedules(base, n, nil); fault != "" {
		t.Fatal(fault)
	}
	t.Logf("%d schedules from seed %d", n, base)
}

// A simulation that cannot fail proves nothing: each of these defects must be
// found.
func TestTailSimulationFindsDefects(t *testing.T) {
	for name, broken := range map[string]*defect{
		"dirty cleared at the end of a read":            {clearAtEnd: true},
		"exclusive read that does not see trimming":     {exclusive: true},
		"no read after a reconnect":                     {deafReconnect: true},
		"full page taken for the end":                   {ignoreMore: true},
		"fork without a new epoch":                      {ignoreReset: true},
		"evicted frames skipped instead of read again":  {skipEvicted: true},
		"reader joins the log beyond where it has been": {joinAtHead: true},
	} {
		t.Run(name, func(t *testing.T) {
			if runSchedules(1, 20_000, broken) == "" {
				t.Error("the simulation did not notice")
			}
		})
	}
}

func runSchedules(base, n uint64, d *defect) string {
	var next atomic.Uint64
	var fault atomic.Pointer[string]
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for fault.Load() == nil {
				i := next.Add(1)
				if i > n {
					return
				}
				if f := runSchedule(base+i, d); f != "" {
					fault.CompareAndSwap(nil, &f)
				}
			}
		})
	}
	wg.Wait()
	if f := fault.Load(); f != nil {
		return *f
	}
	return ""
}

// defect is a known mistake, made on purpose.
type defect struct {
	clearAtEnd, exclusive, deafReconnect, ignoreMore, ignoreReset, skipEvicted, joinAtHead bool
}

// simulation is one schedule.
type simulation struct {
	rnd      *rand.Rand
	seed     uint64
	d        *defect
	forks    bool // this schedule forks; else it deletes by id
	lineages uint64
	redis    model
	saved    model // what a fail-over goes back to
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
	res  result
}

func runSchedule(seed uint64, d *defect) string {
	if d == nil {
		d = &defect{}
	}
	s := &simulation{rnd: rand.New(rand.NewPCG(seed, 7)), seed: seed, d: d}
	s.forks = s.rnd.IntN(2) == 0
	s.t = &tail{topic: "t", maxBytes: 200 * (1 + s.rnd.IntN(12))}
	s.redis.clock = 1000
	for range s.rnd.IntN(6) {
		s.redis.add()
	}
	s.queued = s.t.wake()
	for range 20 + s.rnd.IntN(80) {
		s.step()
		if s.fault != "" {
			return s.report()
		}
	}
	s.settle()
	for i, r := range s.readers {
		if s.fault == "" {
			s.check(i, r)
		}
	}
	return s.report()
}

func (s *simulation) report() string {
	if s.fault == "" {
		return ""
	}
	return fmt.Sprintf("%s\nreplay with SIM_SEED=%d\n%s", s.fault, s.seed, strings.Join(s.trace, "\n"))
}

func (s *simulation) logf(format string, args ...any) {
	if s.d.any() {
		return // only whether it fails counts
	}
	s.trace = append(s.trace, fmt.Sprintf(format, args...))
}

func (d *defect) any() bool { return *d != defect{} }

func (s *simulation) step() {
	switch n := s.rnd.IntN(100); {
	case n < 22:
		for range 1 + s.rnd.IntN(4) {
			s.redis.add()
		}
		s.announce()
		s.logf("add: %v", s.redis.ids())
	case n < 27:
		s.redis.trim(s.rnd.IntN(4))
		s.announce()
		s.logf("trim: %v", s.redis.ids())
	case n < 30 && s.forks:
		s.failover()
	case n < 32 && s.forks:
		s.saved = s.redis.clone()
	case n < 32:
		s.redis.remove(s.rnd)
		s.announce()
		s.logf("xdel: %v", s.redis.ids())
	case n < 33:
		s.redis.drop()
		s.announce()
		s.logf("del")
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
		s.flush()
	case n < 75:
		s.t.evictAll()
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

func (s *simulation) failover() {
	s.logf("fail-over to %v", s.saved.ids())
	clock := s.redis.clock
	s.redis = s.saved.clone()
	s.redis.clock = max(1000, clock-uint64(s.rnd.IntN(30)))
	s.lineages++
	s.redis.lineage = s.lineages * 10 // ids of two histories are never neighbours
	s.down, s.wakes = true, 0
}

// flush moves the one read that may be under way.
func (s *simulation) flush() {
	switch {
	case s.read == nil && s.queued:
		s.queued = false
		s.read = &simRead{plan: s.t.begin()}
	case s.read != nil && !s.read.done:
		s.read.done = true
		s.read.res = s.execute(s.read.plan)
	case s.read != nil:
		if s.d.clearAtEnd {
			s.t.dirty = false
		}
		if s.d.ignoreMore {
			s.read.res.page.More = false
		}
		if s.d.ignoreReset && s.read.res.page.Verdict == stream.Reset {
			s.read.res.page.Verdict = stream.Contiguous
		}
		e := s.t.finish(s.read.plan, s.read.res)
		s.logf("read after %v: %v %v → head %v", s.read.plan.at, s.read.res.page.Verdict, s.read.res.page.End(), s.t.win.head)
		s.read = nil
		s.queued = s.queued || e.again
	}
}

func (s *simulation) execute(p plan) result {
	switch {
	case s.rnd.IntN(12) == 0:
		return result{err: errSim}
	case p.head:
		return result{head: s.redis.info()}
	}
	page := s.redis.read(p.at, stream.MaxID, 1+s.rnd.IntN(4))
	if s.d.exclusive && page.Verdict == stream.Gap {
		page.Verdict = stream.Contiguous
	}
	return result{page: page}
}

// settle ends all faults and runs until nothing moves.
func (s *simulation) settle() {
	s.reconnect()
	for s.wakes > 0 || s.queued || s.read != nil {
		if s.wakes > 0 {
			s.wakes--
			s.wake()
		}
		s.flush()
	}
	for _, r := range s.readers {
		for range 2000 {
			if !r.step(s) {
				break
			}
		}
	}
}

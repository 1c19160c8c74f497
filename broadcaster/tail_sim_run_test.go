package broadcaster

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

// SIM_SCHEDULES sets the number of schedules, SIM_SEED replays one.
const defaultSchedules = 100_000

func TestTailSimulation(t *testing.T) {
	var seen sights
	if s := os.Getenv("SIM_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if fault := runSchedule(seed, &defect{}, &seen); fault != "" {
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
	if fault := runSchedules(base, n, &defect{}, &seen); fault != "" {
		t.Fatal(fault)
	}
	t.Logf("%d schedules from seed %d", n, base)
	for i, name := range sightNames {
		t.Logf("%9d × %s", seen[i].Load(), name)
		if n >= defaultSchedules && seen[i].Load() == 0 {
			t.Errorf("no schedule has %s", name)
		}
	}
}

// sights counts what schedules came across. What none does is not tested.
type sights [len(sightNames)]atomic.Int64

type sight int

const (
	evictedBeforeFork sight = iota
	evictedDuringFork
	failedDuringFork
	spoiltDuringFork
	askedIfClosed
	forkWithCommon
	forkWithoutCommon
	gaps
	cameFromLost
	wasBehind
	wasAhead
	wasForked
	wasSpared
)

var sightNames = [...]string{
	evictedBeforeFork: "a window emptied between the two reads that find a fork",
	evictedDuringFork: "a window emptied during the second of them",
	failedDuringFork:  "that read failing",
	spoiltDuringFork:  "that read finding a key of another type",
	askedIfClosed:     "a new history asked whether it is closed",
	forkWithCommon:    "a fork with something in common",
	forkWithoutCommon: "a fork with nothing in common",
	gaps:              "a gap",
	cameFromLost:      "a reader with a position of a lost history",
	wasBehind:         "a reader behind the window",
	wasAhead:          "a reader ahead of the log",
	wasForked:         "a reader told of a fork",
	wasSpared:         "a reader whom a fork took nothing from",
}

func (s *simulation) saw(what sight) { s.seen[what].Add(1) }

// A simulation that cannot fail proves nothing: each of these defects must be
// found.
func TestTailSimulationFindsDefects(t *testing.T) {
	for name, broken := range map[string]*defect{
		"dirty cleared at the end of a read":                {clearAtEnd: true},
		"exclusive read that does not see trimming":         {exclusive: true},
		"no read after a reconnect":                         {deafReconnect: true},
		"failed read not repeated":                          {forgetError: true},
		"full page taken for the end":                       {ignoreMore: true},
		"fork without a new epoch":                          {ignoreReset: true},
		"position that is of no history taken for one":      {sureStart: true},
		"topic closed or open as it was before the fork":    {keepClosed: true},
		"evicted frames skipped instead of read again":      {skipEvicted: true},
		"reader joins the log beyond where it has been":     {joinAtHead: true},
		"reader not woken when the topic is readable again": {silentHeal: true},
		"reader not woken for a fork":                       {silentFork: true},
		"reader not woken when the new history is closed":   {silentClose: true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen sights
			if runSchedules(1, 40_000, broken, &seen) == "" {
				t.Error("the simulation did not notice")
			}
		})
	}
}

// defect is a known mistake, made on purpose.
type defect struct {
	clearAtEnd, exclusive, deafReconnect, forgetError, ignoreMore bool
	ignoreReset, sureStart, keepClosed                            bool
	skipEvicted, joinAtHead                                       bool
	silentHeal, silentFork, silentClose                           bool
}

// before makes the mistakes that concern a read that has come back. What it
// returns makes those that come after the tail has taken it.
func (d *defect) before(t *tail, r *simRead) (after func(*effect)) {
	page := &r.res.page
	if d.clearAtEnd {
		t.dirty = false
	}
	if d.ignoreMore {
		page.More = false
	}
	if d.ignoreReset && page.Verdict == stream.Reset || d.exclusive && page.Verdict == stream.Gap {
		page.Verdict = stream.Contiguous
	}
	closed, fault := t.closed, t.fault
	return func(e *effect) {
		if d.forgetError && e.unanswered {
			t.dirty, t.queued, e.again = false, false, false
		}
		if e.reset {
			t.win.sure = t.win.sure || d.sureStart
			if d.keepClosed {
				t.closed, t.unsure = closed, false
			}
			t.publish()
		}
		switch {
		case d.silentHeal && fault != "" && t.fault == "" && !e.window && !e.reset,
			d.silentFork && e.reset,
			d.silentClose && r.plan.head && t.closed != closed && t.synced && !e.window:
			e.changed = false
		}
	}
}

func runSchedules(base, n uint64, d *defect, seen *sights) string {
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
				if f := runSchedule(base+i, d, seen); f != "" {
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

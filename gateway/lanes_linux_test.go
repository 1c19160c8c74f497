package gateway

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// turn serves the lane whose turn it is, as a shard does.
func (l *lanes) turn() (served []*directConn) {
	q := l.begin()
	if q == nil {
		return nil
	}
	for range laneTurn {
		c := q.pop()
		if c == nil {
			break
		}
		served = append(served, c)
	}
	l.end(q)
	return served
}

// A lane with many connections delays those of another one by a turn and no
// more, also those that come while it is having its turn.
func TestAFullLaneDoesNotDelayAnother(t *testing.T) {
	var l lanes
	for range 10_000 {
		l.push(&directConn{lane: 7})
	}
	few := []*directConn{{lane: 200}, {lane: 200}, {lane: 200}}
	for _, c := range few {
		l.push(c)
	}
	if first := l.turn(); len(first) != laneTurn || first[0].lane != 7 {
		t.Errorf("the first turn serves %d", len(first))
	}
	if second := l.turn(); !slices.Equal(second, few) {
		t.Errorf("the second turn serves %d", len(second))
	}
	q := l.begin() // of the large lane
	l.push(few[0])
	l.push(&directConn{lane: 7})
	l.end(q)
	if next := l.turn(); len(next) != 1 || next[0] != few[0] {
		t.Errorf("what came during the turn is not next but %d others", len(next))
	}
	served := 0
	for n := len(l.turn()); n > 0; n = len(l.turn()) {
		served += n
	}
	if want := 10_001 - laneTurn; served != want {
		t.Errorf("then %d, want %d", served, want)
	}
}

// All lanes that have something get turns one after the other.
func TestLanesTakeTurns(t *testing.T) {
	var l lanes
	for range 3 * laneTurn {
		for lane := range laneCount {
			l.push(&directConn{lane: uint8(lane)})
		}
	}
	for round := range 3 {
		for lane := range laneCount {
			if got := l.turn(); len(got) != laneTurn || got[0].lane != uint8(lane) {
				t.Fatalf("turn %d of round %d: %d of lane %d", lane, round, len(got), got[0].lane)
			}
		}
	}
	if l.begin() != nil {
		t.Error("something is left")
	}
}

// Against a model: each connection is served once for each time it was pushed,
// in its lane's order, and a lane is not passed over by another one.
func TestLanesAgainstAModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var l lanes
	var model [laneCount][]*directConn
	var turns []uint8 // the lanes that are not empty, in the order of their turns
	var free []*directConn
	for i := range 500 {
		free = append(free, &directConn{lane: uint8(rnd.IntN(1 << (1 + i%8)))})
	}
	push := func() {
		if len(free) == 0 {
			return
		}
		i := rnd.IntN(len(free))
		c := free[i]
		free = slices.Delete(free, i, i+1)
		if len(model[c.lane]) == 0 && !slices.Contains(turns, c.lane) {
			turns = append(turns, c.lane)
		}
		model[c.lane] = append(model[c.lane], c)
		l.push(c)
	}
	for step := range 200_000 {
		if rnd.IntN(3) > 0 {
			push()
			continue
		}
		q := l.begin()
		if q == nil {
			if len(turns) > 0 {
				t.Fatalf("seed %d, step %d: nothing, but %d lanes wait", seed, step, len(turns))
			}
			continue
		}
		lane := turns[0]
		for range rnd.IntN(laneTurn + 1) {
			c := q.pop()
			if c == nil {
				if len(model[lane]) > 0 {
					t.Fatalf("seed %d, step %d: lane %d is said to be empty", seed, step, lane)
				}
				break
			}
			if len(model[lane]) == 0 || c != model[lane][0] || c.next != nil {
				t.Fatalf("seed %d, step %d: not the first of lane %d", seed, step, lane)
			}
			model[lane] = model[lane][1:]
			free = append(free, c)
			if rnd.IntN(4) == 0 {
				push() // also to this lane
			}
		}
		l.end(q)
		turns = turns[1:]
		if len(model[lane]) > 0 {
			turns = append(turns, lane)
		}
	}
}

// Whatever notifies when: a notification is followed by a look at what there is
// to send, else a client would wait for the next one.
func TestNoNotificationIsLost(t *testing.T) {
	const conns, notifiers, each = 50, 8, 20_000
	sh := &shard{kick: make(chan struct{}, 1), stop: make(chan struct{})}
	looks := int64(0) // of the taker
	type job struct {
		directConn
		wanted atomic.Int64 // what was announced
		seen   atomic.Int64 // what the last look has seen of that
	}
	jobs := map[*directConn]*job{}
	list := make([]*job, conns)
	for i := range list {
		j := &job{}
		j.shard, j.slot = sh, int32(i)
		list[i], jobs[&j.directConn] = j, j
	}
	var all, taker sync.WaitGroup
	taker.Go(func() {
		for {
			select {
			case <-sh.kick:
			case <-sh.stop:
				return
			}
			sh.collect()
			for q := sh.lanes.begin(); q != nil; q = sh.lanes.begin() {
				for c := q.pop(); c != nil; c = q.pop() {
					// As pump does: first it may be notified again, then it looks.
					c.queued.Store(false)
					j := jobs[c]
					j.seen.Store(j.wanted.Load())
					looks++
				}
				sh.lanes.end(q)
			}
		}
	})
	for range notifiers {
		all.Go(func() {
			for range each {
				j := list[rand.IntN(conns)]
				j.wanted.Add(1)
				j.notify()
			}
		})
	}
	all.Wait()
	for _, j := range list {
		await(t, "the last notification", func() bool { return j.seen.Load() == j.wanted.Load() })
	}
	close(sh.stop)
	taker.Wait()
	if looks > notifiers*each {
		t.Errorf("%d looks for %d notifications", looks, notifiers*each)
	}
}

// Who is posted first is served first.
func TestTheInboxIsFirstComeFirstServed(t *testing.T) {
	sh := &shard{kick: make(chan struct{}, 1)}
	var want []*directConn
	for i := range 100 {
		c := &directConn{shard: sh, slot: int32(i)}
		want = append(want, c)
		c.notify()
		c.notify() // is in it already
	}
	if len(sh.kick) != 1 {
		t.Error("the shard was not woken")
	}
	sh.collect()
	var got []*directConn
	for more := sh.lanes.turn(); len(more) > 0; more = sh.lanes.turn() {
		got = append(got, more...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d connections in another order", len(got))
	}
}

package gateway

import (
	"fmt"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

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

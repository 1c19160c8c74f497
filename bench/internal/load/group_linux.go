package load

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// group is a set of connections that are counted together.
type group struct {
	*engine
	connect Connect // as they are made
	next    int     // number of the next one
	live    map[*conn]struct{}
	counts  Report // since the last reset
	latency stats.Histogram
	opening stats.Histogram
}

func newGroup(e *engine) *group {
	return &group{engine: e, live: make(map[*conn]struct{}), counts: Report{Controls: make(map[string]int64)}}
}

func (g *group) newConn() *conn {
	c := &conn{group: g, number: g.next, mode: g.connect.Mode, expect: g.connect.Next, known: g.connect.Next > 0}
	g.next++
	if n := len(g.connect.Cursors); n > 0 {
		at := g.connect.Cursors[c.number%n]
		c.lastID, c.expect, c.known = []byte(at.ID), at.Next, true
	}
	c.renew()
	return c
}

// cut closes all connections and returns them, in the order of their numbers.
func (g *group) cut() []*conn {
	all := slices.SortedFunc(maps.Keys(g.live), func(a, b *conn) int { return a.number - b.number })
	for _, c := range all {
		c.close()
	}
	return all
}

func (g *group) stop(n int) error {
	for c := range g.live {
		if n == 0 {
			return nil
		}
		if c.stopped || !c.opened {
			continue
		}
		if err := g.control(unix.EPOLL_CTL_DEL, c.fd, 0); err != nil {
			return err
		}
		c.stopped = true
		n--
	}
	if n > 0 {
		return fmt.Errorf("%d connections too few to stop reading on", n)
	}
	return nil
}

func (g *group) resume() error {
	for c := range g.live {
		if !c.stopped {
			continue
		}
		if err := g.control(unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN); err != nil {
			return err
		}
		c.stopped = false
	}
	return nil
}

// behind counts connections that have not had an event of this number.
func (g *group) behind(number uint64) (n int) {
	for c := range g.live {
		if !c.stopped && (!c.known || c.expect <= number) {
			n++
		}
	}
	return n
}

// trouble takes note of what should not be.
func (g *group) trouble(what string) {
	const most = 5
	if len(g.counts.Trouble) < most {
		g.counts.Trouble = append(g.counts.Trouble, what)
	}
}

func (g *group) report() Report {
	r := g.counts
	r.Controls = maps.Clone(r.Controls)
	for c := range g.live {
		if c.opened {
			r.Open++
		}
		if c.stopped {
			r.Stopped++
		}
		r.Segments += int64(c.segments() - c.segmentsBefore)
	}
	r.Latency, r.Opening = g.latency.Summary(), g.opening.Summary()
	return r
}

func (g *group) reset() {
	g.counts = Report{Controls: make(map[string]int64)}
	g.latency.Reset()
	g.opening.Reset()
	for c := range g.live {
		c.segmentsBefore = c.segments()
	}
}

// event counts one, and its number.
func (g *group) event(c *conn, stamp int64, number uint64) {
	g.counts.Events++
	g.latency.Add(time.Duration(g.now.UnixNano() - stamp))
	if g.connect.Unchecked {
		return
	}
	switch {
	case !c.known || number == c.expect:
		c.expect = number + 1
	case number > c.expect:
		g.counts.Skipped += int64(number - c.expect)
		g.trouble(fmt.Sprintf("connection %d got number %d where %d was due", c.number, number, c.expect))
		c.expect = number + 1
	default:
		g.counts.Repeated++
		g.trouble(fmt.Sprintf("connection %d got number %d again, %d was due", c.number, number, c.expect))
	}
	c.known = true
}

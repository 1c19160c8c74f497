package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/check"
)

// clientTimes is what one client measured. It belongs to the client's
// goroutine until that has ended. All of it is for the report; what a loaded
// machine does to it is no fault of the gateway.
type clientTimes struct {
	opens    int             // first blocks received
	delays   []time.Duration // from publishing to delivery
	away     []time.Duration // from the end of a connection to the next first block
	catchUps []time.Duration // from a first block to the last event published before it

	openedAt, cutAt time.Time
	catchUp         time.Duration
}

func (m *clientTimes) open() {
	m.opens++
	m.openedAt, m.catchUp = time.Now(), 0
	if !m.cutAt.IsZero() {
		m.away = append(m.away, m.openedAt.Sub(m.cutAt))
	}
}

func (m *clientTimes) delivery(published time.Time) {
	now := time.Now()
	if published.Before(m.openedAt) {
		m.catchUp = now.Sub(m.openedAt)
	} else {
		m.delays = append(m.delays, now.Sub(published))
	}
}

func (m *clientTimes) cut() {
	m.cutAt = time.Now()
	if m.catchUp > 0 {
		m.catchUps = append(m.catchUps, m.catchUp)
	}
}

// report says what happened. Nothing in it is asserted.
func (p *proof) report(t *testing.T, attempts []check.Publication) {
	t.Helper()
	var sum clientTimes
	deliveries, connections, emptyHanded := 0, 0, 0
	for _, c := range p.clients {
		deliveries += len(c.seen.Got)
		connections += c.connection
		emptyHanded += c.emptyHanded
		sum.opens += c.times.opens
		sum.delays = append(sum.delays, c.times.delays...)
		sum.away = append(sum.away, c.times.away...)
		sum.catchUps = append(sum.catchUps, c.times.catchUps...)
	}
	acked, unsure := 0, 0
	for _, a := range attempts {
		if a.Acked {
			acked++
		} else {
			unsure++
		}
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	line("seed %d, %v, %d topics", p.seed, p.scale.duration, len(p.plan.topics))
	line("%d events stored, %d acknowledged, %d attempts without an answer", p.stored(), acked, unsure)
	line("%d clients, %d deliveries", len(p.clients), deliveries)
	line("served by transport and version of HTTP:%s", p.served())
	line("%d connections, %d first blocks, %d resumed before their first event", connections, sum.opens, emptyHanded)
	for _, f := range perMinute {
		line("%d %s", p.faults[f.kind], f.kind)
	}
	line("delay, live:              %s", percentiles(sum.delays))
	line("away, cut to first block: %s", percentiles(sum.away))
	line("catching up after that:   %s", percentiles(sum.catchUps))
	t.Logf("the proof:\n%s", &b)
}

func percentiles(d []time.Duration) string {
	if len(d) == 0 {
		return "none"
	}
	slices.Sort(d)
	at := func(q float64) time.Duration {
		return d[int(q*float64(len(d)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, max %v (%d)", at(0.5), at(0.99), at(1), len(d))
}

package load

import (
	"fmt"
	"time"
)

// job is a command that is being done.
type job struct {
	group   *group
	id      int
	cmd     Command
	started time.Time

	looked time.Time // at all connections, last

	// Of connecting:
	again            []*conn // to open where they were
	begun, opened    int
	failed           int
	failure          error // the first
	target, inFlight int
}

func newJob(g *group, id int, cmd Command) (*job, error) {
	j := &job{group: g, id: id, cmd: cmd, started: time.Now()}
	switch cmd.Op {
	case OpConnect:
		g.connect = cmd.Connect
		j.target = cmd.Connect.N
	case OpReconnect:
		j.again = g.cut()
		j.target = len(j.again)
		if cmd.Connect.Addr != "" {
			g.connect.Addr = cmd.Connect.Addr
		}
		g.connect.InFlight, g.connect.Rate = cmd.Connect.InFlight, cmd.Connect.Rate
	case OpStop:
		return j, g.stop(cmd.N)
	case OpNap:
		g.nap = cmd.N > 0
	case OpResume:
		return j, g.resume()
	case OpClose:
		for _, c := range g.cut() {
			c.forget()
		}
		g.next = 0
	case OpWait, OpReport:
	default:
		return nil, fmt.Errorf("unknown command %q", cmd.Op)
	}
	if j.inFlight = g.connect.InFlight; j.inFlight == 0 {
		j.inFlight = 200
	}
	return j, nil
}

// step goes on, and reports whether the job is done.
func (j *job) step(now time.Time) (done bool, err error) {
	switch j.cmd.Op {
	case OpConnect, OpReconnect:
		return j.open(now)
	case OpWait:
		if j.cmd.Events > 0 {
			return j.group.counts.Events >= j.cmd.Events, nil
		}
		const often = 5 * time.Millisecond
		if now.Sub(j.looked) < often {
			return false, nil
		}
		j.looked = now
		return j.group.behind(j.cmd.Number) == 0, nil
	}
	return true, nil
}

// open begins as many connections as are due and may be in flight.
func (j *job) open(now time.Time) (bool, error) {
	for j.begun < j.target && j.begun-j.opened-j.failed < j.inFlight {
		if rate := j.group.connect.Rate; rate > 0 && float64(j.begun) > now.Sub(j.started).Seconds()*rate {
			break
		}
		var c *conn
		if j.cmd.Op == OpReconnect {
			c = j.again[j.begun]
			c.renew()
		} else {
			c = j.group.newConn()
		}
		j.begun++
		c.job = j
		if err := c.dial(); err != nil {
			return false, err
		}
	}
	if j.failed > 0 && j.opened+j.failed == j.begun {
		return false, fmt.Errorf("%d of %d connections did not open; the first: %w", j.failed, j.begun, j.failure)
	}
	return j.opened == j.target, nil
}

// settle takes note of a connection that has opened, or will not.
func (j *job) settle(failure error) {
	if failure == nil {
		j.opened++
		return
	}
	j.failed++
	if j.failure == nil {
		j.failure = failure
	}
}

// state says how far the job has come.
func (j *job) state() string {
	switch j.cmd.Op {
	case OpConnect, OpReconnect:
		return fmt.Sprintf("%d of %d connections are open, %d begun", j.opened, j.target, j.begun)
	case OpWait:
		return fmt.Sprintf("%d events have come, want %d; %d connections are before number %d", j.group.counts.Events, j.cmd.Events, j.group.behind(j.cmd.Number), j.cmd.Number)
	}
	return ""
}

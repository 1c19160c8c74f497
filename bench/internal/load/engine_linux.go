package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/bench/internal/child"
)

// engine is the process. One goroutine does everything, so nothing is locked.
type engine struct {
	epoll  int
	conns  []*conn // by file descriptor
	groups map[string]*group
	jobs   []*job
	out    io.Writer
	line   []byte // of commands, not complete

	now     time.Time // when the present piece was read
	buf     []byte    // what is read
	scratch []byte    // for scanners
	sources int       // connections made so far; chooses the source address
	nap     bool      // see OpNap
}

// Main is the process's main function. It ends with its standard input.
func Main() error {
	runtime.LockOSThread()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	e := &engine{epoll: epoll, groups: make(map[string]*group), out: os.Stdout, buf: make([]byte, 256<<10)}
	if err := unix.SetNonblock(0, true); err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if err := e.control(unix.EPOLL_CTL_ADD, 0, unix.EPOLLIN); err != nil {
		return err
	}
	return e.loop()
}

func (e *engine) loop() error {
	ready := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(e.epoll, ready, e.patience())
		if n == 0 && e.nap {
			nap := unix.NsecToTimespec(int64(napping))
			_ = unix.Nanosleep(&nap, nil)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range max(n, 0) {
			fd := int(ready[i].Fd)
			if fd == 0 {
				if err := e.readCommands(); err != nil {
					return ignoreEOF(err)
				}
				continue
			}
			// A connection closed a moment ago may still be in the list.
			if c := e.conns[fd]; c != nil {
				c.ready(ready[i].Events)
			}
		}
		if err := e.runJobs(); err != nil {
			return err
		}
	}
}

// patience returns how long to wait for sockets, in ms: jobs look at the clock.
func (e *engine) patience() int {
	switch {
	case e.nap:
		return 0
	case len(e.jobs) > 0:
		return 1
	}
	return -1
}

// napping is how long a napping process sleeps where others wait for events.
const napping = time.Millisecond

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (e *engine) control(op, fd int, events uint32) error {
	if err := unix.EpollCtl(e.epoll, op, fd, &unix.EpollEvent{Fd: int32(fd), Events: events}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (e *engine) readCommands() error {
	for {
		n, err := unix.Read(0, e.buf)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("read commands: %w", err)
		case n == 0:
			return io.EOF
		}
		e.line = append(e.line, e.buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(e.line, []byte{'\n'})
			if !ok {
				break
			}
			if err := e.command(line); err != nil {
				return err
			}
			e.line = append(e.line[:0], rest...)
		}
	}
}

func (e *engine) command(line []byte) error {
	var req child.Request
	if err := json.Unmarshal(line, &req); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	var cmd Command
	if err := json.Unmarshal(req.Body, &cmd); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	g := e.groups[cmd.Group]
	if g == nil {
		if cmd.Op != OpConnect {
			return e.reply(req.ID, Report{}, fmt.Errorf("there is no group %q", cmd.Group))
		}
		g = newGroup(e)
		e.groups[cmd.Group] = g
	}
	j, err := newJob(g, req.ID, cmd)
	if err != nil {
		return e.reply(req.ID, Report{}, err)
	}
	e.jobs = append(e.jobs, j)
	return nil
}

// runJobs lets all jobs go on, and answers those that are done.
func (e *engine) runJobs() error {
	keep := e.jobs[:0]
	for _, j := range e.jobs {
		done, err := j.step(time.Now())
		if !done && err == nil && time.Since(j.started) > j.cmd.Timeout {
			err = fmt.Errorf("not done after %v: %s", j.cmd.Timeout, j.state())
		}
		if !done && err == nil {
			keep = append(keep, j)
			continue
		}
		r := j.group.report()
		r.Took = time.Since(j.started)
		if j.cmd.Op == OpReport && j.cmd.Reset {
			j.group.reset()
		}
		if err := e.reply(j.id, r, err); err != nil {
			return err
		}
	}
	e.jobs = keep
	return nil
}

func (e *engine) reply(id int, r Report, failure error) error {
	reply := child.Reply{ID: id}
	if failure != nil {
		reply.Error = failure.Error()
	} else {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		reply.Body = raw
	}
	if err := json.NewEncoder(e.out).Encode(reply); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	return nil
}

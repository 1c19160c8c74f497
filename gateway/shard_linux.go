package gateway

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// shard sends to a part of the direct connections, and knows of each when it
// last took something.
type shard struct {
	g      *Gateway
	period time.Duration // between two sweeps
	epoch  time.Time     // of the times below

	inbox atomic.Pointer[directConn] // connections that were notified, the last one first
	kick  chan struct{}              // capacity 1: there is something in the inbox, or from epoll
	stop  chan struct{}

	lanes lanes
	slots []slot
	free  []int32       // slots without a connection
	now   time.Duration // as of this turn
	swept time.Duration // when the last sweep was
	batch batch
	buf   []byte // scratch: headers and first block together

	discarded [4 << 10]byte

	epoll  *os.File
	epfd   int
	mu     sync.Mutex
	events []unix.EpollEvent // from poll
	told   atomic.Bool       // that there are some
}

// slot is what the sweep looks at, without touching the connections.
type slot struct {
	c    *directConn
	last time.Duration // when the client last took something
	dies time.Duration // when the stream ends by age; 0 is never
	gen  int32         // counts connections, so that an event for a former one is known
}

const (
	turnConns = 64 // connections that are served before the shard lets others run
	evWatch   = unix.EPOLLRDHUP | unix.EPOLLET
)

func newShard(g *Gateway, period time.Duration) (*shard, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Go's own poller waits for it, if it is known not to block.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &shard{
		g: g, period: period, epoch: time.Now(),
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
		batch: batch{max: directBatch},
		epoll: os.NewFile(uintptr(fd), "epoll"), epfd: fd,
	}, nil
}

// post gives a connection to the shard. Whoever posts has set queued.
func (sh *shard) post(c *directConn) {
	for {
		head := sh.inbox.Load()
		c.next = head
		if sh.inbox.CompareAndSwap(head, c) {
			if head == nil {
				sh.wake()
			}
			return
		}
	}
}

func (sh *shard) wake() {
	select {
	case sh.kick <- struct{}{}:
	default:
	}
}

// poll collects what epoll says. It waits as all of Go does, so that an idle
// shard occupies no thread and is woken without a system call.
func (sh *shard) poll() {
	rc, err := sh.epoll.SyscallConn()
	if err != nil {
		return // closed already
	}
	events := make([]unix.EpollEvent, 256)
	for {
		var n int
		err := rc.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0) // it can only be interrupted
			return n > 0
		})
		if err != nil {
			return
		}
		sh.mu.Lock()
		sh.events = append(sh.events, events[:n]...)
		sh.mu.Unlock()
		sh.told.Store(true)
		sh.wake()
	}
}

func (sh *shard) run() {
	tick := time.NewTicker(sh.period)
	defer tick.Stop()
	for {
		select {
		case <-sh.kick:
		case <-tick.C:
		case <-sh.stop:
			sh.closeAll()
			return
		}
		for sh.work() {
			// The goroutine that reads Redis may be waiting for a processor
			// with what is to be sent next.
			runtime.Gosched()
		}
	}
}

// work serves some connections, by turns of their lanes. It reports whether
// there are more.
func (sh *shard) work() (more bool) {
	defer sh.batch.count(sh.g.meters)
	sh.now = time.Since(sh.epoch)
	sh.collect()
	if sh.now-sh.swept >= sh.period*9/10 {
		sh.sweep()
	}
	for n := 0; n < turnConns; {
		q := sh.lanes.begin()
		if q == nil {
			return false
		}
		for range laneTurn {
			c := q.pop()
			if c == nil {
				break
			}
			sh.pump(c)
			n++
		}
		sh.lanes.end(q)
	}
	return true
}

// collect moves what came from other goroutines into the lanes.
func (sh *shard) collect() {
	if sh.told.CompareAndSwap(true, false) {
		sh.mu.Lock()
		events := sh.events
		sh.events = nil
		sh.mu.Unlock()
		for _, e := range events {
			sh.event(e)
		}
	}
	// First come, first served.
	var first *directConn
	for c := sh.inbox.Swap(nil); c != nil; {
		next := c.next
		c.next = first
		first, c = c, next
	}
	for c := first; c != nil; {
		next := c.next
		c.next = nil
		if c.slot >= 0 || sh.adopt(c) {
			sh.lanes.push(c)
		}
		c = next
	}
}

// adopt makes a new connection the shard's.
func (sh *shard) adopt(c *directConn) bool {
	if n := len(sh.free); n > 0 {
		c.slot = sh.free[n-1]
		sh.free = sh.free[:n-1]
	} else {
		c.slot = int32(len(sh.slots))
		sh.slots = append(sh.slots, slot{})
	}
	o := &sh.g.opt
	s := &sh.slots[c.slot]
	s.c = c
	s.gen++
	// What it gets first is due as a heartbeat would be, only earlier.
	s.last = sh.now - (o.Heartbeat - o.FirstWait)
	s.dies = 0
	if o.Lifetime > 0 {
		s.dies = sh.now + between(o.Lifetime-o.Lifetime/10, o.Lifetime)
	}
	if !sh.watch(c, unix.EPOLL_CTL_ADD, evWatch) {
		sh.drop(c, endWrite)
		return false
	}
	return true
}

func (sh *shard) watch(c *directConn, op int, events uint32) bool {
	return unix.EpollCtl(sh.epfd, op, int(c.fd), &unix.EpollEvent{Events: events, Fd: c.slot, Pad: sh.slots[c.slot].gen}) == nil
}

// schedule lets a connection be served, if it is not going to be.
func (sh *shard) schedule(c *directConn) {
	if c.queued.CompareAndSwap(false, true) {
		sh.lanes.push(c)
	}
}

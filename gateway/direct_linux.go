package gateway

import (
	"hash/maphash"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// direct is the transport for HTTP/1.x over plain TCP on Linux. net/http reads
// the request; the handler authorizes it, takes the socket over and returns.
// From then on a shard owns the socket, and a connection is some hundred bytes
// and no goroutine:
//
//	broadcaster ── wake ──► inbox ──► lanes ──► shard: next, send(2), commit
//	epoll ── writable, gone ──────────┘           └── sweep: heartbeats, time-outs
//
// There are as many shards as processors. A shard is one goroutine: all state
// of its connections is its own, so sending takes no lock, and no other
// goroutine ever uses or closes its descriptors.
type direct struct {
	g      *Gateway
	seed   maphash.Seed
	start  sync.Once
	shards []*shard
	turn   atomic.Uint32 // the shard of the next connection
	open   atomic.Int64  // streams that a shard has

	failed     atomic.Int64 // streams that could not be taken over, since the last complaint
	complained atomic.Int64 // when that was, Unix s

	taking chan struct{} // holds a place for each connection that has two descriptors

	mu     sync.RWMutex // held for reading while a connection is handed to its shard
	closed bool
	done   sync.WaitGroup
}

const (
	// sendBuffer is SO_SNDBUF of a connection, which the kernel doubles. At
	// 100 ms to the client it still allows 3 Mbit/s.
	sendBuffer = 32 << 10

	// stalled is what a client holds that has stopped reading: the kernel looks
	// for room in the buffer, and then takes a segment.
	stalled = 2*sendBuffer + 8<<10

	// directBatch is after how many bytes a batch gets no further frame.
	directBatch = 32 << 10

	// maxTaking bounds how many connections have two descriptors for the
	// moment in which they are taken over.
	maxTaking = 64

	lingerTime  = time.Second            // for a client to read the end of its stream
	maxSweep    = 500 * time.Millisecond // between two sweeps of a shard
	minSweep    = 5 * time.Millisecond
	lingerDrain = 64 << 10 // bytes a client may have sent behind its request that are read before closing
)

func newDirect(g *Gateway) *direct {
	return &direct{g: g, seed: maphash.MakeSeed(), taking: make(chan struct{}, maxTaking)}
}

// begin starts the shards, when there is something for them to do.
func (d *direct) begin() {
	period := min(max(min(d.g.opt.Heartbeat, d.g.opt.WriteTimeout, d.g.opt.FirstWait)/4, minSweep), maxSweep)
	for range runtime.GOMAXPROCS(0) {
		sh, err := newShard(d.g, period)
		if err != nil {
			d.g.opt.Logger.Error("streams are left to net/http: epoll is not to be had", "error", err)
			break
		}
		d.shards = append(d.shards, sh)
		d.done.Go(sh.run)
		d.done.Go(sh.poll)
	}
}

// directConn is a stream on the direct transport. All but queued and next
// belong to its shard; next to whoever has set queued. What an event needs
// stands together: of ten thousand, none is in the processor's cache.
type directConn struct {
	shard    *shard
	next     *directConn // behind it, in the inbox or in a lane
	queued   atomic.Bool // in the inbox or in a lane
	hopeless atomic.Bool // not to be waited for, if the socket is full
	fd       int32
	slot     int32 // in shard.slots; -1 if it has none yet
	lane     uint8
	chunked  bool
	beat     bool   // a heartbeat is due
	blocked  bool   // the socket is full
	armed    bool   // epoll tells when it is not
	final    bool   // the session has said all; raw is what is left
	leaving  bool   // all has been sent; the client may read it
	raw      []byte // to be sent before anything of the session: the headers, the last chunk

	s    session
	take *taking // nil once it is the shard's
}

// taking is what it takes to take a connection over.
type taking struct {
	d   *direct
	tcp *net.TCPConn
	w   http.ResponseWriter
	r   *http.Request
}

func (d *direct) connect(w http.ResponseWriter, r *http.Request) connection {
	tcp := takeable(w, r)
	if tcp == nil {
		return nil
	}
	if d.start.Do(d.begin); len(d.shards) == 0 {
		return nil
	}
	c := &directConn{
		take: &taking{d, tcp, w, r}, fd: -1, slot: -1,
		shard:   d.shards[int(d.turn.Add(1))%len(d.shards)],
		chunked: r.ProtoAtLeast(1, 1),
	}
	c.queued.Store(true) // until it is the shard's
	return c
}

// lane returns the lane that a session's topics fall into.
func (d *direct) lane(s *session) uint8 {
	var sum uint64
	for i := range s.feeds {
		sum += maphash.String(d.seed, string(s.feeds[i].topic()))
	}
	return uint8(sum % laneCount)
}

func (c *directConn) of() *session { return &c.s }

func (c *directConn) notify() {
	if c.queued.CompareAndSwap(false, true) {
		c.shard.post(c)
	}
}

// cut lets the shard abandon the connection if its socket is full. With time
// left that is the sweep's task.
func (c *directConn) cut(after time.Duration) {
	if after == 0 {
		c.hopeless.Store(true)
		c.notify()
	}
}

// serve takes the connection over from net/http and hands it to its shard.
func (c *directConn) serve() {
	t := c.take
	c.take = nil
	fd, err := c.own(t)
	if err != nil {
		// Out of descriptors, most likely, and then this is not the only one.
		t.d.complain(err)
		t.d.g.meters.refused.Add(1)
		c.s.finish(endOverload)
		t.d.g.overloaded(t.w, t.r)
		return
	}
	c.fd, c.lane = int32(fd), t.d.lane(&c.s)
	t.d.mu.RLock()
	defer t.d.mu.RUnlock()
	if t.d.closed {
		_ = unix.Close(fd)
		c.s.finish(endShutdown)
		return
	}
	t.d.open.Add(1)
	c.shard.post(c)
}

// complain logs that a stream could not be taken over, once a minute.
func (d *direct) complain(err error) {
	failed := d.failed.Add(1)
	now, last := time.Now().Unix(), d.complained.Load()
	if now-last >= 60 && d.complained.CompareAndSwap(last, now) {
		d.g.opt.Logger.Error("streams cannot be taken over: if that is for want of descriptors, raise the limit of open files, or set a limit of connections below it",
			"error", err, "streams", failed)
		d.failed.Add(-failed)
	}
}

// own makes the socket the caller's alone: a descriptor that Go's runtime does
// not know.
func (c *directConn) own(t *taking) (fd int, err error) {
	t.d.taking <- struct{}{}
	defer func() { <-t.d.taking }()
	if fd, err = duplicate(t.tcp); err != nil {
		return -1, err
	}
	head := responseHead(t.w, c.chunked)
	conn, _, err := t.w.(http.Hijacker).Hijack()
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	// What the client has sent behind its request is not read: this is the
	// last answer on the connection.
	_ = conn.Close()
	c.raw = head
	buffer := sendBuffer
	if mss, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG); err == nil && mss > buffer {
		// Loopback, with its segments of 64 KiB: the buffer must hold two, or
		// each waits for an acknowledgement that the receiver delays by 40 ms.
		buffer *= 2
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buffer)
	// A client that is gone without a word is found by what it does not
	// acknowledge, which is the next heartbeat at the latest. The kernel ends
	// one that has closed its window for so long as well, so it cannot be less.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(c.s.g.opt.WriteTimeout.Milliseconds()))
	return fd, nil
}

// close ends all streams that are left, and the shards.
func (d *direct) close() {
	d.mu.Lock()
	already := d.closed
	d.closed = true
	d.mu.Unlock()
	d.start.Do(func() {}) // none from now on
	if already {
		return
	}
	for _, sh := range d.shards {
		close(sh.stop)
	}
	d.done.Wait()
}

package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/stream"
)

// still is a shard that does nothing by itself: its test works it.
type still struct {
	*shard
	t testing.TB
	p *pod
}

func newStill(t testing.TB) *still {
	t.Helper()
	p := newPod(t, quiet)
	sh, err := newShard(p.Gateway, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sh.closeAll)
	return &still{sh, t, p}
}

// connect makes a connection of the shard's over a pair of sockets, of which it
// returns the client's.
func (st *still) connect(topics ...stream.Topic) (c *directConn, client int) {
	st.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		st.t.Fatal(err)
	}
	c = &directConn{shard: st.shard, fd: int32(pair[0]), slot: -1, chunked: true}
	c.queued.Store(true) // until it is posted
	sub := &subscription{control: true, topics: topics}
	c.s.init(st.p.Gateway, sub)
	c.s.notifier = c
	if !st.p.add(&c.s) {
		st.t.Fatal("no room")
	}
	if err := c.s.follow(sub.topics); err != nil {
		st.t.Fatal(err)
	}
	st.post(c)
	await(st.t, "the first block", func() bool {
		st.settle()
		return c.s.opened
	})
	st.drain(pair[1])
	return c, pair[1]
}

// settle works until there is nothing to do.
func (st *still) settle() {
	for st.work() {
	}
}

// drain reads what has come for a client, and returns how many bytes that were.
func (st *still) drain(client int) (bytes int) {
	for {
		n, err := unix.Read(client, st.discarded[:])
		if n <= 0 || err != nil {
			return bytes
		}
		bytes += n
	}
}

// toldByEpoll returns what epoll has to say now.
func (st *still) toldByEpoll() []unix.EpollEvent {
	events := make([]unix.EpollEvent, 16)
	n, err := unix.EpollWait(st.epfd, events, 0)
	if err != nil {
		st.t.Fatal(err)
	}
	return events[:n]
}

// An event may be read after its connection was closed and its place, and the
// number of its descriptor, were given to another one. That one is not meant.
func TestAnEventForAFormerConnection(t *testing.T) {
	st := newStill(t)
	first, client := st.connect("a")
	slot, fd := first.slot, first.fd
	st.toldByEpoll() // of being writable at first
	unix.Close(client)
	events := st.toldByEpoll()
	if len(events) != 1 || events[0].Fd != slot || events[0].Events&unix.EPOLLRDHUP == 0 {
		t.Fatalf("epoll says %+v of the connection in slot %d", events, slot)
	}
	st.drop(first, endWrite) // as a send that fails does
	second, client := st.connect("a")
	defer unix.Close(client)
	if second.slot != slot {
		t.Fatalf("slots %d and %d: the test does not test", slot, second.slot)
	}
	if second.fd != fd {
		t.Logf("descriptors %d and %d", fd, second.fd)
	}
	for _, what := range []uint32{unix.EPOLLRDHUP, unix.EPOLLHUP, unix.EPOLLERR, unix.EPOLLOUT} {
		e := events[0]
		e.Events = what
		st.event(e)
		if st.slots[slot].c != second || second.fd < 0 {
			t.Fatalf("event %#x for the first connection has closed the second", what)
		}
	}
	id := st.p.publish(t, "a", "x")
	await(t, "the event", func() bool {
		st.settle()
		return second.s.feeds[0].pos.ID == id
	})
	// Its own events are for it.
	st.event(unix.EpollEvent{Events: unix.EPOLLRDHUP, Fd: second.slot, Pad: st.slots[slot].gen})
	if st.slots[slot].c != nil || second.fd >= 0 {
		t.Error("its own event does not close it")
	}
}

// What has a place in a lane or in the inbox when it is closed is passed over
// there, also when its slot is another's by then.
func TestAClosedConnectionIsPassedOver(t *testing.T) {
	st := newStill(t)
	first, client := st.connect("a")
	defer unix.Close(client)
	other, otherClient := st.connect("b")
	defer unix.Close(otherClient)
	st.schedule(first)
	st.drop(first, endClient)
	first.notify()
	second, secondClient := st.connect("a")
	defer unix.Close(secondClient)
	first.notify()
	st.settle()
	if st.slots[second.slot].c != second || st.slots[other.slot].c != other || first.fd >= 0 {
		t.Error("slots are mixed up")
	}
	if n := st.p.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// A delivery costs no memory, system call included.
func TestDirectDeliveriesDoNotAllocate(t *testing.T) {
	for _, p := range pending {
		st := newStill(t)
		var topics []stream.Topic
		for i := range p.topics {
			topics = append(topics, stream.Topic(fmt.Sprint("topic-", i)))
		}
		c, client := st.connect(topics...)
		defer unix.Close(client)
		var from []stream.Position
		for i := range c.s.feeds {
			from = append(from, c.s.feeds[i].pos)
		}
		for range p.events {
			for _, topic := range topics {
				st.p.publish(t, topic, strings.Repeat("x", 200))
			}
		}
		await(t, "all events", func() bool {
			st.settle()
			for i := range c.s.feeds {
				if c.s.feeds[i].pos.Index-from[i].Index != uint64(p.events) {
					return false
				}
			}
			return true
		})
		st.drain(client)
		sent := 0
		allocs := testing.AllocsPerRun(100, func() {
			for i := range c.s.feeds {
				c.s.feeds[i].pos = from[i]
			}
			c.notify()
			st.settle()
			sent = st.drain(client)
		})
		if want := p.topics * p.events * 200; sent < want {
			t.Errorf("%d topics: sent %d bytes, want at least %d", p.topics, sent, want)
		}
		if allocs > 0 {
			t.Errorf("%d topics with %d events each: %v allocations", p.topics, p.events, allocs)
		}
	}
}

package gateway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// A client that goes away, in all ways and at all times. Nobody else notices,
// and its stream ends once.
var goneCases = []transportCase{
	{"a client closes", goesBy((*raw).close)},
	{"a client resets", goesBy((*raw).reset)},
	{"a client closes its side only", goesBy((*raw).closeWrite)},
	{"a client closes before the first block", goesEarly((*raw).close)},
	{"a client resets before the first block", goesEarly((*raw).reset)},
	{"a client closes its side before the first block", goesEarly((*raw).closeWrite)},
	{"a client closes while its socket is full", goesWhileFull((*raw).close)},
	{"a client resets while its socket is full", goesWhileFull((*raw).reset)},
	{"a client closes its side while its socket is full", goesWhileFull((*raw).closeWrite)},
	{"clients go in the moment of the takeover", goWhileTaken},
	{"clients go while the pod drains", goWhileDraining},
}

func (r *raw) close()      { r.conn.Close() }
func (r *raw) closeWrite() { _ = r.conn.(*net.TCPConn).CloseWrite() }

func goesBy(leave func(*raw)) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		s := r.start(t, quiet)
		w := s.open(ask("topic=a"))
		w.exactly(chunk(openBlock))
		leave(w)
		s.expectEnd(endClient)
		// The topic goes on without it.
		other := s.open(askBy("HTTP/1.0", "topic=a"))
		other.exactly(openBlock)
		id := s.publish(t, "a", "x")
		other.exactly("id: " + id.String() + "\ndata: x\n\n")
	}
}

func goesEarly(leave func(*raw)) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		store := newSlowStore()
		store.silence = make(chan struct{})
		s := r.startOver(t, store, quiet, noLimits)
		w := s.dial(ask("topic=a"))
		s.only()
		leave(w)
		s.expectEnd(endClient)
		close(store.silence)
	}
}

// With unread bytes a close is a reset, which the writer may be the first to
// hear of. A client that has only closed its side is gone as well: who reads on
// after that cannot be told from who does not.
func goesWhileFull(leave func(*raw)) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		s := r.start(t, quiet)
		w := s.open(ask("topic=a"))
		w.exactly(chunk(openBlock))
		for range 3 {
			s.publish(t, "a", strings.Repeat("x", r.large()))
		}
		s.stalled()
		leave(w)
		if !r.direct {
			// net/http says it to nobody who is writing.
			w.close()
		}
		s.expectEnd(endClient, endWrite)
	}
}

// racing opens n streams and closes each after a random moment: before the
// request was read, in the middle of the takeover, or after it.
func (s *served) racing(n int, longest time.Duration) {
	var all sync.WaitGroup
	for range min(n, 50) {
		all.Go(func() {
			for range n / 50 {
				conn, err := net.Dial(s.addr.Network(), s.addr.String())
				if err != nil {
					s.t.Error(err)
					return
				}
				request := ask(fmt.Sprint("since=earliest&topic=", rand.IntN(3)))
				if rand.IntN(5) == 0 {
					request = request[:rand.IntN(len(request))]
				}
				if _, err := conn.Write([]byte(request)); err != nil {
					s.t.Error(err)
				}
				spin(rand.N(longest))
				if rand.IntN(2) == 0 {
					_ = conn.(*net.TCPConn).SetLinger(0)
				}
				conn.Close()
			}
		})
	}
	all.Wait()
}

// spin waits for a time that is too short to sleep.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func goWhileTaken(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	for i := range 3 {
		s.publish(t, stream.Topic(fmt.Sprint(i)), strings.Repeat("x", 1000))
	}
	before := s.warm()
	s.racing(1000, 2*time.Millisecond)
	await(t, "streams closed", func() bool { return s.Connections() == 0 })
	await(t, "descriptors closed", func() bool { return descriptors(t) <= before })
	for why := range s.endings() {
		if why != endClient && why != endWrite {
			t.Errorf("ends: %v", s.endings())
		}
	}
}

func goWhileDraining(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	var all sync.WaitGroup
	all.Go(func() { s.racing(500, time.Millisecond) })
	await(t, "streams", func() bool { return s.meters.accepted.Load() > 20 })
	drained(t, s.pod)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
}

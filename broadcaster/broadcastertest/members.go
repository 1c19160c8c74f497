package broadcastertest

import (
	"context"
	"errors"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

func testCounts(s *suite) {
	b := s.pod(broadcaster.Options{})
	s.count(b, 0, 0)
	one, two := NewConn(), NewConn()
	for _, c := range []*Conn{one, two, one} {
		if err := b.Register(c); err != nil {
			s.Fatal(err)
		}
	}
	s.count(b, 2, 0)
	subscribe := func(c *Conn, t stream.Topic) stream.Log {
		log, err := b.Subscribe(c, t)
		if err != nil {
			s.Fatal(err)
		}
		return log
	}
	a := subscribe(one, "a")
	if again := subscribe(one, "a"); again != a {
		s.Error("following twice gave another log")
	}
	if shared := subscribe(two, "a"); shared != a {
		s.Error("two connections do not share their topic's log")
	}
	subscribe(one, "b")
	s.count(b, 2, 2)
	b.Unsubscribe(one, "a")
	s.count(b, 2, 2)
	b.Unsubscribe(two, "a")
	s.count(b, 2, 1)
	b.Unsubscribe(two, "a")
	b.Unsubscribe(one, "never followed")
	b.Unsubscribe(NewConn(), "b")
	s.count(b, 2, 1)
	b.Unregister(one, false)
	s.count(b, 1, 0)
	b.Unregister(one, false)
	b.Unregister(NewConn(), false)
	s.count(b, 1, 0)
	b.Unregister(two, false)
	s.count(b, 0, 0)
}

func testNotRegistered(s *suite) {
	b := s.pod(broadcaster.Options{})
	c := NewConn()
	refused := func(when string) {
		if _, err := b.Subscribe(c, topic); !errors.Is(err, broadcaster.ErrNotRegistered) {
			s.Errorf("Subscribe %s: got error %v, want ErrNotRegistered", when, err)
		}
	}
	refused("before Register")
	if err := b.Register(c); err != nil {
		s.Fatal(err)
	}
	if _, err := b.Subscribe(c, topic); err != nil {
		s.Error(err)
	}
	b.Unregister(c, false)
	refused("after Unregister")
	s.count(b, 0, 0)
}

func testForce(s *suite) {
	b := s.pod(broadcaster.Options{})
	forced, left, bystander := s.follow(b, topic), s.follow(b, topic), s.follow(b, topic)
	b.Unregister(left.Conn, false)
	b.Unregister(left.Conn, true) // no longer known, so not told either
	b.Unregister(forced.Conn, true)
	b.Unregister(forced.Conn, true)
	s.told(forced.Conn, "the connection unregistered by force", broadcaster.ErrForced)
	s.told(left.Conn, "the connection that left")
	s.told(bystander.Conn, "the connection that stayed")
	s.count(b, 1, 1)
	s.want(bystander, s.publish(b, "on", topic)...)
}

// told checks what a connection was asked to end for: nothing more, nothing
// less.
func (s *suite) told(c *Conn, name string, want ...error) {
	s.Helper()
	for i, w := range want {
		select {
		case err := <-c.Ended():
			if !errors.Is(err, w) {
				s.Errorf("%s was told to end because of %v, want %v", name, err, w)
			}
		case <-s.within().Done():
			s.Errorf("%s was told to end %d times, want %d", name, i, len(want))
			return
		}
	}
	select {
	case err := <-c.Ended():
		s.Errorf("%s was told to end because of %v", name, err)
	default:
	}
}

func testClose(s *suite) {
	b := s.pod(broadcaster.Options{})
	one, two, left := s.follow(b, topic), NewConn(), s.follow(b, "b")
	if err := b.Register(two); err != nil {
		s.Fatal(err)
	}
	left.Leave()
	for range 2 {
		if err := b.Close(s.within()); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
	s.told(one.Conn, "a following connection", broadcaster.ErrClosed)
	s.told(two, "an idle connection", broadcaster.ErrClosed)
	s.told(left.Conn, "the connection that left")
	s.count(b, 0, 0)

	closed := map[string]error{}
	closed["Register"] = b.Register(NewConn())
	_, closed["Subscribe"] = b.Subscribe(one.Conn, "c")
	_, closed["Broadcast"] = b.Broadcast(s.within(), stream.Message{Data: "late"})
	var ids []stream.ID
	ids, closed["BroadcastTo"] = b.BroadcastTo(s.within(), stream.Message{Data: "late"}, topic)
	for method, err := range closed {
		if !errors.Is(err, broadcaster.ErrClosed) {
			s.Errorf("%s after Close: got error %v, want ErrClosed", method, err)
		}
	}
	if len(ids) > 0 {
		s.Errorf("BroadcastTo after Close returned %s", text(ids))
	}
	b.Unsubscribe(one.Conn, topic)
	b.Unregister(one.Conn, true)
	s.told(one.Conn, "a connection that was told already")
}

func testCloseInTime(s *suite) {
	b := s.pod(broadcaster.Options{})
	f := s.follow(b, topic)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	began := time.Now()
	if err := b.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > Patience/2 {
		s.Errorf("Close with a context that had ended took %v", took)
	}
	s.told(f.Conn, "a connection", broadcaster.ErrClosed)
}

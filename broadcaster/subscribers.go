package broadcaster

import (
	"sync"

	"github.com/ssegateway/sse-gateway/stream"
)

// Membership is what a Broadcaster keeps of a connection. A type that embeds it
// is found without a look-up, and in the memory that it has anyway: for a
// hundred thousand connections that is what the garbage collector spends most
// of its time on. Such a Conn is a member of one Broadcaster at a time. The
// zero Membership is ready for use.
type Membership struct {
	conn  Conn            // nil if it is not registered
	first subscription    // free if it has no tail
	rest  []*subscription // of a connection to several topics
}

func (m *Membership) membership() *Membership { return m }

// subscription is one connection following one topic.
type subscription struct {
	tail  *tail
	of    *Membership
	index int // in tail.subs.list; owned by subscribers
}

// follow returns the member's subscription to a tail, which is made if there is
// none.
func (m *Membership) follow(t *tail) (sub *subscription, made bool) {
	if sub := m.to(t.topic); sub != nil {
		return sub, false
	}
	if m.first.tail == nil {
		m.first = subscription{tail: t, of: m}
		return &m.first, true
	}
	sub = &subscription{tail: t, of: m}
	m.rest = append(m.rest, sub)
	return sub, true
}

// to returns the member's subscription to a topic, nil if it has none.
func (m *Membership) to(topic stream.Topic) *subscription {
	if m.first.tail != nil && m.first.tail.topic == topic {
		return &m.first
	}
	for _, sub := range m.rest {
		if sub.tail.topic == topic {
			return sub
		}
	}
	return nil
}

// unfollow forgets a subscription of the member.
func (m *Membership) unfollow(sub *subscription) {
	if sub == &m.first {
		m.first = subscription{}
		return
	}
	for i, s := range m.rest {
		if s == sub {
			m.rest = append(m.rest[:i], m.rest[i+1:]...)
			return
		}
	}
}

// members are the registered connections. The hub's lock guards them. Those
// that follow something are in the lists of their tails, and not in one more.
type members struct {
	count  int
	loose  map[*Membership]struct{} // of connections that follow nothing
	others map[Conn]*Membership     // of those that do not embed theirs
}

// of returns a connection's membership, nil if it is not registered.
func (s *members) of(c Conn) *Membership {
	if e, ok := c.(interface{ membership() *Membership }); ok {
		if m := e.membership(); m.conn == c {
			return m
		}
		return nil
	}
	return s.others[c]
}

func (s *members) add(c Conn) {
	if s.of(c) != nil {
		return
	}
	var m *Membership
	if e, ok := c.(interface{ membership() *Membership }); ok {
		m = e.membership()
	} else {
		if s.others == nil {
			s.others = map[Conn]*Membership{}
		}
		m = &Membership{}
		s.others[c] = m
	}
	m.conn = c
	s.count++
	s.settle(m)
}

// settle notes whether a member follows something, when that may have changed.
func (s *members) settle(m *Membership) {
	if m.first.tail != nil || len(m.rest) > 0 {
		delete(s.loose, m)
		return
	}
	if s.loose == nil {
		s.loose = map[*Membership]struct{}{}
	}
	s.loose[m] = struct{}{}
}

// remove forgets a member that follows nothing any more.
func (s *members) remove(m *Membership) {
	delete(s.loose, m)
	delete(s.others, m.conn)
	m.conn = nil
	s.count--
}

// subscribers are the connections that a tail wakes. They have a lock of
// their own, so that reading the window does not wait for a wake-up of many.
type subscribers struct {
	mu   sync.Mutex
	list []*subscription
}

func (s *subscribers) add(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.index = len(s.list)
	s.list = append(s.list, sub)
}

// remove reports whether nobody is left.
func (s *subscribers) remove(sub *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.list) - 1
	s.list[sub.index] = s.list[last]
	s.list[sub.index].index = sub.index
	s.list[last] = nil
	s.list = s.list[:last]
	if last == 0 {
		s.list = nil
	}
	return last == 0
}

// any returns one of them, nil if there is none.
func (s *subscribers) any() *Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == 0 {
		return nil
	}
	return s.list[len(s.list)-1].of
}

// wake wakes every connection once.
func (s *subscribers) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.list {
		sub.of.conn.Wake()
	}
}

var _ stream.Log = (*tail)(nil)

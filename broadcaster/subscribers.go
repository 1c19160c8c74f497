package broadcaster

import (
	"sync"

	"github.com/ssegateway/sse-gateway/stream"
)

// subscription is one connection following one topic.
type subscription struct {
	tail  *tail
	conn  Conn
	index int // in tail.subs.list; owned by subscribers
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

// wake wakes every connection once.
func (s *subscribers) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.list {
		sub.conn.Wake()
	}
}

var _ stream.Log = (*tail)(nil)

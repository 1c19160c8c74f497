package gateway

// lanes are the connections of a shard that have something to be sent, in as
// many queues, which are served by turns. A connection stays in the lane that
// its topics fall into, so a topic with a hundred thousand connections fills
// one lane, and an event for ten others does not stand behind it. That is
// stochastic fairness queueing: no lane has to be made, found or counted, and
// two large topics meet in one of them rarely.
type lanes struct {
	lanes [laneCount]lane
	ring  [laneCount]uint8 // the lanes that are not empty, in the order of their turns
	first int
	count int
}

const (
	laneCount = 256
	laneTurn  = 32 // connections of a lane that are served before the next lane is
)

type lane struct {
	first, last *directConn
	waiting     bool // in the ring, or having its turn
}

// push puts a connection at the end of its lane.
func (l *lanes) push(c *directConn) {
	q := &l.lanes[c.lane]
	if q.last != nil {
		q.last.next = c
	} else {
		q.first = c
	}
	q.last = c
	if !q.waiting {
		q.waiting = true
		l.enqueue(c.lane)
	}
}

func (l *lanes) enqueue(lane uint8) {
	l.ring[(l.first+l.count)%laneCount] = lane
	l.count++
}

// begin returns the lane whose turn it is, nil if all are empty.
func (l *lanes) begin() *lane {
	if l.count == 0 {
		return nil
	}
	q := &l.lanes[l.ring[l.first]]
	l.first = (l.first + 1) % laneCount
	l.count--
	return q
}

// end ends the turn of a lane. The next one comes after that of all others.
func (l *lanes) end(q *lane) {
	if q.waiting = q.first != nil; q.waiting {
		l.enqueue(q.first.lane)
	}
}

// pop takes the first connection, nil if there is none.
func (q *lane) pop() *directConn {
	c := q.first
	if c == nil {
		return nil
	}
	if q.first = c.next; q.first == nil {
		q.last = nil
	}
	c.next = nil
	return c
}

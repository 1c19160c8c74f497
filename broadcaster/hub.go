package broadcaster

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// hub is everything a Broadcaster does on its own pod: which connection
// follows which topic, and when each tail reads. Where the entries are and
// how one hears of new ones is the back end's, through two small interfaces.
type hub struct {
	source source
	listen listener
	limits Limits
	timing timing
	log    *slog.Logger
	meters *meters

	mu     sync.RWMutex
	conns  members
	tails  map[stream.Topic]*tail
	closed bool

	queue  queue
	turn   sync.Mutex   // held while reading
	heard  atomic.Int64 // when a wake-up was last heard, Unix ns
	budget budget

	// blind says that nobody tells when a key is deleted or expires, so the
	// sweep has to look for it.
	blind atomic.Bool
	hurry chan struct{} // capacity 1: let the sweep begin with its shortest period again

	stop context.CancelFunc
	done sync.WaitGroup
}

// source is where entries are. It does not retry: a tail that got an error is
// read again by the flusher.
type source interface {
	// heads returns where the streams end.
	heads(ctx context.Context, topics []stream.Topic) ([]stream.Info, []error)
	// pages returns the entries after each position, and its verdict.
	pages(ctx context.Context, reads []tailRead) []result
	// newer tells which topics have an entry after the position. It is
	// cheaper than pages.
	newer(ctx context.Context, reads []tailRead) ([]bool, error)
	// add appends an entry once.
	add(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error)
	// load returns the time that may pass between two sweeps of n topics.
	load(ctx context.Context, n int) time.Duration
}

type tailRead struct {
	topic stream.Topic
	at    stream.ID
	limit int
}

// listener hears of new entries and calls hub.wake. Its methods do not block,
// but for close.
type listener interface {
	// follow makes sure that the topic is heard of, and calls hub.wake once
	// it is. Following again is making sure again.
	follow(t stream.Topic)
	unfollow(t stream.Topic)
	close()
}

// Limits bound what a Broadcaster keeps in memory. Zero values are replaced by
// the defaults.
type Limits struct {
	TopicBytes int           // of a topic's window; default 1 MiB
	TotalBytes int64         // of all windows; default 256 MiB
	EntryBytes int           // of an entry that can be sent; default stream.DefaultMaxEntry
	Linger     time.Duration // how long a topic is followed after its last connection; default 15 s
}

func (l *Limits) setDefaults() {
	if l.TopicBytes <= 0 {
		l.TopicBytes = 1 << 20
	}
	if l.TotalBytes <= 0 {
		l.TotalBytes = 256 << 20
	}
	if l.EntryBytes <= 0 {
		l.EntryBytes = stream.DefaultMaxEntry
	}
	if l.Linger <= 0 {
		l.Linger = 15 * time.Second
	}
}

// start runs the flusher, the sweep and the janitor until close.
func (h *hub) start() {
	h.limits.setDefaults()
	h.tails = map[stream.Topic]*tail{}
	h.queue.kick = make(chan struct{}, 1)
	h.hurry = make(chan struct{}, 1)
	h.budget.max = h.limits.TotalBytes
	ctx, cancel := context.WithCancel(context.Background())
	h.stop = cancel
	h.done.Go(func() { h.flush(ctx) })
	h.done.Go(func() { h.sweep(ctx) })
	h.done.Go(func() { h.linger(ctx) })
}

// Register makes a connection known.
func (h *hub) Register(c Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.conns.add(c)
	return nil
}

// Unregister forgets a connection and all it follows.
func (h *hub) Unregister(c Conn, force bool) {
	h.mu.Lock()
	m := h.conns.of(c)
	if m != nil {
		h.forgetMember(m)
	}
	h.mu.Unlock()
	if m != nil && force {
		c.End(ErrForced)
	}
}

// forgetMember ends a registration. h.mu is held. Afterwards nobody looks at m:
// whoever wakes connections holds the lock of the list that they are in.
func (h *hub) forgetMember(m *Membership) {
	if m.first.tail != nil {
		h.leave(&m.first)
		m.first = subscription{}
	}
	for _, sub := range m.rest {
		h.leave(sub)
	}
	m.rest = nil
	h.conns.remove(m)
}

// Subscribe lets a connection follow a topic.
func (h *hub) Subscribe(c Conn, topic stream.Topic) (stream.Log, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.conns.of(c)
	switch {
	case h.closed:
		return nil, ErrClosed
	case m == nil:
		return nil, ErrNotRegistered
	}
	t := h.tails[topic]
	if t == nil {
		topic = stream.Topic(strings.Clone(string(topic))) // the caller's may be a piece of something large
		t = &tail{topic: topic, maxBytes: h.limits.TopicBytes, maxEntry: h.limits.EntryBytes, avg: 256}
		h.tails[topic] = t
		h.listen.follow(topic)
	}
	t.idleSince = time.Time{}
	if sub, made := m.follow(t); made {
		t.subs.add(sub)
		h.conns.settle(m)
	}
	return t, nil
}

// Unsubscribe ends what Subscribe began.
func (h *hub) Unsubscribe(c Conn, topic stream.Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.conns.of(c)
	if m == nil {
		return
	}
	if sub := m.to(topic); sub != nil {
		h.leave(sub)
		m.unfollow(sub)
		h.conns.settle(m)
	}
}

// leave removes a subscription from its tail. h.mu is held.
func (h *hub) leave(sub *subscription) {
	if sub.tail.subs.remove(sub) {
		sub.tail.idleSince = time.Now()
	}
}

// Broadcast publishes to everyone.
func (h *hub) Broadcast(ctx context.Context, m stream.Message) (stream.ID, error) {
	ids, err := h.BroadcastTo(ctx, m, stream.Everyone)
	if err != nil {
		return stream.ID{}, err
	}
	return ids[0], nil
}

// BroadcastTo stores m once in each topic.
func (h *hub) BroadcastTo(ctx context.Context, m stream.Message, topics ...stream.Topic) ([]stream.ID, error) {
	h.mu.RLock()
	closed := h.closed
	h.mu.RUnlock()
	if closed {
		return nil, ErrClosed
	}
	fields, err := m.Fields()
	if err != nil {
		return nil, err
	}
	if (stream.Entry{Fields: fields}).Size() > h.limits.EntryBytes {
		return nil, stream.FaultTooLarge
	}
	ids := make([]stream.ID, 0, len(topics))
	for _, t := range topics {
		id, err := h.source.add(ctx, t, m)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ConnectionCount returns the number of registered connections.
func (h *hub) ConnectionCount(context.Context) (Count, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return Count{Local: h.conns.count}, nil
}

// TopicCount returns the number of topics that connections follow.
func (h *hub) TopicCount(context.Context) (Count, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := 0
	for _, t := range h.tails {
		if t.idleSince.IsZero() {
			n++
		}
	}
	return Count{Local: n}, nil
}

// Close ends all connections and stops.
func (h *hub) Close(ctx context.Context) error {
	h.mu.Lock()
	already := h.closed
	h.closed = true
	var ended []Conn
	if !already {
		for _, t := range h.tails {
			for m := t.subs.any(); m != nil; m = t.subs.any() {
				ended = append(ended, m.conn)
				h.forgetMember(m)
			}
		}
		for m := range h.conns.loose {
			ended = append(ended, m.conn)
			h.forgetMember(m)
		}
		h.tails = map[stream.Topic]*tail{}
	}
	h.mu.Unlock()
	if already {
		return nil
	}
	for _, c := range ended {
		c.End(ErrClosed)
	}
	h.stop()
	err := h.meters.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.listen.close() // a connection to a Redis that does not answer takes its time to close
		h.done.Wait()
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, ctx.Err())
	}
}

// wake marks a topic as having something new. The back end calls it.
func (h *hub) wake(topic stream.Topic) {
	h.mu.RLock()
	t := h.tails[topic]
	h.mu.RUnlock()
	if t != nil {
		h.dirty(t)
	}
}

// refollow lets the back end make sure again that it hears of a topic, if it
// is still followed.
func (h *hub) refollow(t *tail) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.tails[t.topic] == t {
		h.listen.follow(t.topic)
	}
}

// dirty lets the flusher read a tail.
func (h *hub) dirty(t *tail) {
	if t.wake() {
		h.queue.put(t)
	}
}

// all returns the tails of the moment.
func (h *hub) all() []*tail {
	h.mu.RLock()
	defer h.mu.RUnlock()
	tails := make([]*tail, 0, len(h.tails))
	for _, t := range h.tails {
		tails = append(tails, t)
	}
	return tails
}

// linger stops following topics that nobody has followed for a while. Until
// then a page that is reloaded finds its topic warm.
func (h *hub) linger(ctx context.Context) {
	tick := time.NewTicker(max(h.limits.Linger/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			h.forget(now)
		}
	}
}

func (h *hub) forget(now time.Time) {
	h.mu.Lock()
	var gone []*tail
	for topic, t := range h.tails {
		if !t.idleSince.IsZero() && now.Sub(t.idleSince) >= h.limits.Linger {
			delete(h.tails, topic)
			h.listen.unfollow(topic)
			gone = append(gone, t)
		}
	}
	h.mu.Unlock()
	for _, t := range gone {
		h.budget.drop(t)
	}
}

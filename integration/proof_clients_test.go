package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/integration/check"
	"github.com/ssegateway/sse-gateway/integration/rig"
	"github.com/ssegateway/sse-gateway/sse"
)

// proofClient connects, is cut, and comes back, as the seed says. It keeps
// the last event id as the most forgetful browser does: Firefox takes an id
// over only with an event that it dispatches.
type proofClient struct {
	clientPlan
	rng     *rand.Rand
	fleet   *fleet
	http2   bool // may be spoken
	settled <-chan struct{}
	opened  chan struct{} // closed after the first first block

	// Of the client's own goroutine.
	cursor     string
	connection int
	times      clientTimes
	served     served

	emptyHanded int // connections resumed though nothing had been received

	mu   sync.Mutex
	seen check.Client
	last map[string]string // topic → id of the last delivery
}

func newProofClient(cp clientPlan, p *proof) *proofClient {
	return &proofClient{
		clientPlan: cp, rng: rand.New(rand.NewPCG(cp.seed, 2)), fleet: p.fleet,
		http2: p.scale.transport != direct, served: make(served),
		settled: p.settled, opened: make(chan struct{}),
		seen: check.Client{Name: cp.name}, last: make(map[string]string),
	}
}

func (c *proofClient) run(ctx context.Context) {
	for pause := c.start; c.wait(ctx, pause); {
		cut := nextCut(c.rng)
		c.connect(ctx, cut, someOf(c.rng, c.topics, len(c.topics)))
		pause = cut.pause
	}
}

// wait pauses, shortly once the proof has settled; false at the end.
func (c *proofClient) wait(ctx context.Context, d time.Duration) bool {
	const shortly = 10 * time.Millisecond
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-c.settled:
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(min(d, shortly)):
		return true
	case <-ctx.Done():
		return false
	}
}

// connect is the life of one connection. The order of the topics is another
// each time.
func (c *proofClient) connect(ctx context.Context, cut cutPlan, topics []string) {
	ask := rig.Ask{Topics: topics, LastEventID: c.cursor, Protocol: cut.http}
	if ask.Protocol == rig.HTTP2 && !c.http2 {
		ask.Protocol = rig.HTTP11
	}
	if c.since != "" {
		ask.Params = "since=" + c.since
	}
	var conn *cutConn
	ask.Wrap = func(raw net.Conn) net.Conn {
		conn = newCutConn(raw, cut, c.settled)
		if !c.slow {
			return conn
		}
		return newSlowConn(conn, c.rng, c.settled)
	}
	// No head within Patience: the gateway owes one within a second.
	opening, cancel := context.WithTimeout(ctx, rig.Patience)
	defer cancel()
	s, err := rig.Open(opening, c.fleet.pick(cut.pod).Addr, ask)
	if conn != nil {
		defer conn.stop()
	}
	if err != nil {
		if opening.Err() != nil && ctx.Err() == nil {
			c.wrong("", fmt.Sprintf("no answer within %v", rig.Patience))
		}
		return
	}
	defer s.Close()
	defer context.AfterFunc(ctx, s.Close)()
	c.connection++
	if c.cursor != "" && len(c.seen.Got) == 0 {
		c.emptyHanded++
	}
	if s.Status != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(s.Body, 200))
		c.wrong("", fmt.Sprintf("status %d, at which an EventSource gives up: %s", s.Status, body))
		return
	}
	c.follow(s, ask.Protocol)
}

func (c *proofClient) follow(s *rig.Stream, protocol rig.Protocol) {
	defer c.times.cut()
	var count *servedCount
	for first := true; ; first = false {
		e, err := s.Next()
		// HTTP/1.0 has no other end than the connection's.
		if errors.Is(err, io.EOF) && protocol != rig.HTTP10 {
			c.wrong(c.cursor, "a clean end, after which clients do not come back")
		}
		if err != nil {
			return
		}
		switch {
		case first:
			c.open(e)
			count = c.served.by(s.TakenOver, protocol)
			count.connections++
		case strings.HasPrefix(e.Type, "gateway."):
			c.wrong(e.ID, "control event "+e.Type+" "+e.Data)
		default:
			c.deliver(e)
			count.deliveries++
		}
		c.cursor = e.ID
	}
}

// open takes the first block in. Where it resumes, it must repeat the cursor;
// where it does not, it says where a client of one topic begins. A client of
// several cannot read that, so it begins with the first entry of all.
func (c *proofClient) open(e sse.Event) {
	switch {
	case e.Type != "gateway.open" || e.ID == "" || e.Data != "{}":
		c.wrong(e.ID, fmt.Sprintf("the stream does not begin with gateway.open: %+v", e))
	case c.cursor != "" && len(c.topics) == 1 && e.ID != c.cursor:
		c.wrong(e.ID, "the first block does not repeat the cursor, "+c.cursor)
	}
	c.times.open()
	if c.seen.After != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.After = make(map[string]string, len(c.topics))
	for _, t := range c.topics {
		c.seen.After[t] = check.Beginning
		if !c.first && c.since == "" {
			c.seen.After[t] = e.ID
		}
	}
	close(c.opened)
}

func (c *proofClient) deliver(e sse.Event) {
	id := e.ID
	if len(c.topics) > 1 {
		id, _, _ = strings.Cut(id, ".")
	}
	topic, at := readPayload(e.Data)
	if !c.slow {
		c.times.delivery(at)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Got = append(c.seen.Got, check.Delivery{
		Topic: topic, Connection: c.connection, Entry: check.Entry{ID: id, Event: e.Type, Data: brief(e.Data)},
	})
	c.last[topic] = id
}

func (c *proofClient) wrong(id, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Wrong = append(c.seen.Wrong, check.Wrong{Connection: c.connection, ID: id, What: what})
}

// missing names a topic whose end the client has not reached, "" if none.
func (c *proofClient) missing(ends map[string]string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.topics {
		if c.last[t] != ends[t] && c.seen.After[t] != ends[t] {
			return fmt.Sprintf("client %s is at %q of topic %s, which ends at %q", c.name, c.last[t], t, ends[t])
		}
	}
	return ""
}

// record returns what the client has seen, once it has stopped.
func (c *proofClient) record() check.Client {
	seen := c.seen
	if seen.After == nil { // it never got its first block: then it is owed everything
		seen.After = make(map[string]string)
		for _, t := range c.topics {
			seen.After[t] = check.Beginning
		}
	}
	return seen
}

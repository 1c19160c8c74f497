package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/check"
	"github.com/ssegateway/sse-gateway/integration/rig"
)

// scale is how large a proof is.
type scale struct {
	duration  time.Duration // of publishing and faults; the check comes after
	pods      int
	transport string // direct, portable or mixed; "" if the pods know nothing of it
	clients   int    // a quarter of them on several topics
	topics    int    // a quarter of them late: silent until their first clients are there
	rate      int    // events per second, of all publishers together

	patience time.Duration // for the clients to come to the end of their topics
}

var fullScale = scale{duration: 30 * time.Second, pods: 3, clients: 200, topics: 64, rate: 1200, patience: rig.Patience}

const (
	severalTopics = 8           // of a client on several
	longestRound  = time.Minute // a longer proof is made of rounds, each with the next seed
)

// TestPromise is the proof of the promise: for each client and topic every
// event, once, in order, while pods are killed and replaced, clients are cut
// and come back elsewhere, Redis connections are killed, and so is Redis.
func TestPromise(t *testing.T) {
	s := fullScale
	if v := os.Getenv("PROOF_DURATION"); v != "" {
		var err error
		if s.duration, err = time.ParseDuration(v); err != nil || s.duration <= 0 {
			t.Fatalf("PROOF_DURATION=%s: want a duration such as 30s or 10m", v)
		}
	}
	s.transport = proofTransport(t)
	seed := rand.Uint64()
	if v := os.Getenv("PROOF_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("PROOF_SEED=%s: want a number", v)
		}
	}
	path, err := rig.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	for left := s.duration; left > 0; left -= longestRound {
		s.duration = min(left, longestRound)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			p := startProof(t, path, seed, s)
			p.run(t)
			p.require(t, p.violations(t))
		})
		if t.Failed() {
			return
		}
		seed++
	}
}

// proof is one run.
//
//	publishers ──► Redis, pods ──► clients ──► what each got ─┐
//	                 ▲                                        ├─ check
//	  faults ────────┘               Redis: XRANGE at the end ┘
type proof struct {
	seed  uint64
	scale scale
	plan  plan
	redis *rig.Redis
	fleet *fleet

	clients    []*proofClient
	publishers []*publisher
	faults     faultCounts
	settled    chan struct{} // closed when clients are no longer cut
	unfinished string        // what was still missing when patience ended
	truth      map[string][]check.Entry
}

func startProof(t *testing.T, path string, seed uint64, s scale, env ...string) *proof {
	t.Helper()
	t.Logf("replay with PROOF_SEED=%d PROOF_DURATION=%v PROOF_TRANSPORT=%s", seed, s.duration, s.transport)
	p := &proof{seed: seed, scale: s, plan: newPlan(seed, s), redis: rig.StartRedis(t), settled: make(chan struct{})}
	p.fleet = startFleet(t, drawTransports(seed, s), path, p.redis.URL(), env...)
	return p
}

func (p *proof) run(t *testing.T) {
	// Everything is bounded: a proof that cannot end fails.
	ctx, cancel := context.WithTimeout(t.Context(), p.scale.duration+p.scale.patience+2*rig.Patience)
	defer cancel()
	var clients, publishers sync.WaitGroup
	stopClients, stopped := context.WithCancel(ctx)
	defer clients.Wait()
	defer stopped()
	for _, cp := range p.plan.clients {
		c := newProofClient(cp, p)
		p.clients = append(p.clients, c)
		clients.Go(func() { c.run(stopClients) })
	}
	p.publishers = newPublishers(t, p)
	for _, pub := range p.publishers {
		publishers.Go(func() { pub.run(ctx, p) })
	}
	if err := p.breakThings(ctx); err != nil {
		t.Errorf("the schedule of faults could not be followed, seed %d: %v", p.seed, err)
	}
	publishers.Wait()
	close(p.settled)
	p.awaitEnds(ctx, t)
}

// awaitEnds waits until every client has the last entry of each of its
// topics, then adds an entry to each and waits for that: what comes twice
// comes before it. A client that never arrives is for the check to describe.
func (p *proof) awaitEnds(ctx context.Context, t *testing.T) {
	arrived := func() bool {
		p.readTruth(ctx, t)
		ends := make(map[string]string, len(p.truth))
		for topic, entries := range p.truth {
			if len(entries) > 0 {
				ends[topic] = entries[len(entries)-1].ID
			}
		}
		ctx, cancel := context.WithTimeout(ctx, p.scale.patience)
		defer cancel()
		return rig.Poll(ctx, func() bool {
			p.unfinished = ""
			for _, c := range p.clients {
				if p.unfinished = c.missing(ends); p.unfinished != "" {
					return false
				}
			}
			return true
		})
	}
	if !arrived() {
		return
	}
	for topic := range p.truth {
		if err := p.addClosing(ctx, topic); err != nil {
			t.Fatal(err)
		}
	}
	arrived()
}

func (p *proof) violations(t *testing.T) []check.Violation {
	t.Helper()
	var clients []check.Client
	for _, c := range p.clients {
		clients = append(clients, c.record())
	}
	var attempts []check.Publication
	for _, pub := range p.publishers {
		attempts = append(attempts, pub.attempts...)
	}
	p.report(t, attempts)
	return append(check.Publications(p.seed, p.truth, attempts), check.Deliveries(p.seed, p.truth, clients)...)
}

// require fails the test if the promise was broken.
func (p *proof) require(t *testing.T, found []check.Violation) {
	t.Helper()
	if p.unfinished != "" {
		t.Errorf("seed %d: %v after the last event not every client had it: %s", p.seed, p.scale.patience, p.unfinished)
	}
	const shown = 20
	var b strings.Builder
	for _, v := range found[:min(shown, len(found))] {
		fmt.Fprintln(&b, v)
	}
	if len(found) > 0 {
		t.Errorf("the promise was broken %d times, the first are\n%s", len(found), &b)
	}
	if p.scale.clients == fullScale.clients && p.scale.duration >= fullScale.duration {
		p.requireHardship(t)
	}
}

// requireHardship fails a proof that was not put to the test.
func (p *proof) requireHardship(t *testing.T) {
	t.Helper()
	if stored, least := p.stored(), int(p.scale.duration.Seconds())*1000; stored < least {
		t.Errorf("%d events were published, a proof of %v takes at least %d", stored, p.scale.duration, least)
	}
	for _, f := range perMinute {
		if p.faults[f.kind] == 0 {
			t.Errorf("there were no %s", f.kind)
		}
	}
	p.requireTransports(t)
	emptyHanded := 0
	for _, c := range p.clients {
		emptyHanded += c.emptyHanded
	}
	if emptyHanded == 0 {
		t.Error("no client resumed before its first event")
	}
}

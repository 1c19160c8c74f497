// Package broadcastertest holds the behaviour that every
// broadcaster.Broadcaster must show. A back end proves itself in one call:
//
//	func TestConformance(t *testing.T) { broadcastertest.Run(t, newHarness) }
//
// Connections of the suite read as the gateway's do (see Follower). Nothing
// waits for time to pass, but for an event; what never comes fails the test
// after Patience.
package broadcastertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// Patience is how long the suite waits for something that must come.
const Patience = 20 * time.Second

// Harness is a back end under test that nothing is stored in.
type Harness struct {
	// Pod starts a Broadcaster on the back end, as one more process would.
	// The suite closes it.
	Pod      func(o broadcaster.Options) broadcaster.Broadcaster
	Features Features

	// Add adds an entry behind the Broadcasters' back, as XADD does, and
	// returns its id. It may be called from any goroutine. Without
	// Features.Fields the fields are those of a stream.Message.
	Add func(t stream.Topic, fields ...string) stream.ID
	// Read reads the back end's history, as replayer.Replayer does.
	Read ReadFunc
	// Drop removes a topic with all that is known of it. Needed for
	// Features.WrongType.
	Drop func(t stream.Topic)
	// Spoil puts something that is no stream where the topic's stream would
	// be. Needed for Features.WrongType.
	Spoil func(t stream.Topic)
	// Interrupt breaks the connections between the Broadcasters and the back
	// end, which loses nothing of what it has stored. Needed for
	// Features.Interrupt.
	Interrupt func()
}

// Features are what back ends differ in. What depends on a feature that is not
// set is not run.
type Features struct {
	Pods      bool // Broadcasters of one back end reach each other's connections
	Fields    bool // an entry can have any fields
	WrongType bool // something else can stand in a topic's place
	Interrupt bool // there are connections that can break
}

// Run runs the suite. start is called for each of its tests, and gives a back
// end that nothing is stored in.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	features := start(t).Features
	for _, s := range []struct {
		name string
		test func(*suite)
		run  bool
	}{
		{"connections and topics are counted", testCounts, true},
		{"a connection that is not registered follows nothing", testNotRegistered, true},
		{"only force tells a connection that it is unregistered", testForce, true},
		{"Close ends all connections and everything after", testClose, true},
		{"Close does not outlast its context", testCloseInTime, true},

		{"what is published arrives once, in order, with its id", testPublish, true},
		{"BroadcastTo stores once in each topic", testSeveralTopics, true},
		{"Broadcast goes to everyone", testEveryone, true},
		{"entries that others add arrive", testRaw, true},
		{"topics do not mix", testTopicsDoNotMix, true},
		{"what cannot be sent is stored nowhere", testRefusals, true},
		{"entries that cannot be sent only move positions", testUnsendable, features.Fields},
		{"the newest entry closes its topic, a later one opens it again", testClosing, true},
		{"every pod reaches every pod", testPods, features.Pods},

		{"a log that is joined begins after what was there", testJoin, true},
		{"Seek finds what the window holds", testSeek, true},
		{"Read gives all frames after a position, for good", testRead, true},
		{"what the window has lost is behind", testEviction, true},
		{"a topic stays warm while it lingers", testWarm, true},
		{"a topic that has lingered is followed no more", testCold, true},

		{"nothing is missed between Subscribe and the first Read", testChurn, true},
		{"something else than a stream is the fault of its topic alone", testWrongType, features.WrongType},
		{"broken connections lose, double and reorder nothing", testInterrupt, features.Interrupt},
	} {
		if s.run {
			t.Run(s.name, func(t *testing.T) { s.test(&suite{T: t, Harness: start(t)}) })
		}
	}
}

type suite struct {
	*testing.T
	Harness
}

const topic stream.Topic = "orders/1"

// pod starts a Broadcaster that is closed with the test.
func (s *suite) pod(o broadcaster.Options) broadcaster.Broadcaster {
	s.Helper()
	b := s.Pod(o)
	s.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return b
}

// pods starts as many Broadcasters as the back end has use for.
func (s *suite) pods() []broadcaster.Broadcaster {
	s.Helper()
	list := []broadcaster.Broadcaster{s.pod(broadcaster.Options{})}
	if s.Features.Pods {
		list = append(list, s.pod(broadcaster.Options{}), s.pod(broadcaster.Options{}))
	}
	return list
}

// within returns a context that ends when the suite loses its patience.
func (s *suite) within() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	s.Cleanup(cancel)
	return ctx
}

// follow registers a connection that follows a topic, and waits until it has a
// position.
func (s *suite) follow(b broadcaster.Broadcaster, t stream.Topic) *Follower {
	s.Helper()
	f, err := Follow(b, t, s.Read)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := f.Joined(s.within()); err != nil {
		s.Fatalf("%s has no position: %v", t, err)
	}
	return f
}

// publish publishes one event in each topic.
func (s *suite) publish(b broadcaster.Broadcaster, data string, topics ...stream.Topic) []stream.ID {
	s.Helper()
	ids, err := b.BroadcastTo(s.within(), stream.Message{Data: data}, topics...)
	if err != nil {
		s.Fatal(err)
	}
	if len(ids) != len(topics) {
		s.Fatalf("BroadcastTo %d topics returned %d ids", len(topics), len(ids))
	}
	return ids
}

// publishN publishes n events in the suite's topic whose data are the numbers
// from 0.
func (s *suite) publishN(b broadcaster.Broadcaster, n int) []stream.ID {
	s.Helper()
	var ids []stream.ID
	for i := range n {
		ids = append(ids, s.publish(b, fmt.Sprint(i), topic)...)
	}
	return ids
}

// next returns what a connection is given next.
func (s *suite) next(f *Follower) Event {
	s.Helper()
	e, err := f.Next(s.within())
	if err != nil {
		s.Fatalf("%s: %v", f.Topic, err)
	}
	return e
}

// want fails the test unless a connection is given events with these ids next.
func (s *suite) want(f *Follower, ids ...stream.ID) {
	s.Helper()
	for i, id := range ids {
		if e := s.next(f); e.Kind != Sent || e.ID != id {
			s.Fatalf("%s: got %v, want event %d of %d, %v", f.Topic, e, i+1, len(ids), id)
		}
	}
}

// count fails the test unless the pod counts so many connections and topics.
func (s *suite) count(b broadcaster.Broadcaster, conns, topics int) {
	s.Helper()
	c, err1 := b.ConnectionCount(s.within())
	t, err2 := b.TopicCount(s.within())
	if err1 != nil || err2 != nil || c.Local != conns || t.Local != topics {
		s.Errorf("counted %d connections (%v) and %d topics (%v), want %d and %d", c.Local, err1, t.Local, err2, conns, topics)
	}
}

// differ says where two lists of ids part, or nothing.
func differ(got, want []stream.ID) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	if i == len(got) && i == len(want) {
		return ""
	}
	some := func(ids []stream.ID) string { return text(ids[max(0, i-2):min(len(ids), i+4)]) }
	return fmt.Sprintf("%d events, want %d; the first that differs is number %d:\ngot  … %s …\nwant … %s …",
		len(got), len(want), i+1, some(got), some(want))
}

// text makes a list of ids short enough to read.
func text(ids []stream.ID) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// Package replayertest holds the behaviour that every replayer.Replayer must
// show. A back end proves itself in one call:
//
//	func TestConformance(t *testing.T) { replayertest.Run(t, newHarness) }
//
// The histories are built for real, entries stored, deleted and trimmed, and
// then read from every kind of position.
package replayertest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// Harness is a back end under test, without any topics and with the default
// limits: an entry of stream.DefaultMaxEntry bytes is stored, and of a topic
// at least 900 entries are kept.
type Harness struct {
	Replayer replayer.Replayer
	Features Features

	// Append adds an entry with an id of the caller's choice, greater than
	// those the topic had before. Needed for Features.ExplicitIDs.
	Append func(t stream.Topic, id stream.ID, fields ...string)
	// Delete removes one entry. Needed for Features.Delete.
	Delete func(t stream.Topic, id stream.ID)
	// Trim removes all but the newest entries. Needed for Features.Trim.
	Trim func(t stream.Topic, keep int)
	// Drop removes a topic with all that is known of it. Needed for
	// Features.Drop.
	Drop func(t stream.Topic)
	// Spoil puts something that is no stream where the topic's stream would
	// be. Needed for Features.WrongType.
	Spoil func(t stream.Topic)
}

// Features are what back ends differ in. What depends on a feature that is not
// set is not run.
type Features struct {
	Counters    bool // Bounds tells Added and MaxDeleted, so that no verdict is a doubt
	ExplicitIDs bool // entries may have ids that are not from the store's clock
	Delete      bool // entries can be removed by id
	Trim        bool // the oldest entries can be removed
	Drop        bool // topics can be removed
	WrongType   bool // something else can stand in a topic's place
}

// Run runs the suite. start is called for each of its tests, and gives a back
// end that nothing is stored in.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	for _, s := range []struct {
		name string
		test func(*suite)
	}{
		{"Store gives ids that increase and keeps every field", testStore},
		{"Store refuses what could not be sent", testStoreRefuses},
		{"topics do not mix", testTopicsDoNotMix},
		{"pages of every size add up to the history", testPages},
		{"pages end at their bound", testUpTo},
		{"Bounds describes the history", testBounds},
		{"the resume rule", testRule},
		{"Seek finds a position that reads as contiguous", testSeek},
		{"Seek by time uses the clock of the store", testSeekClock},
		{"something else than a stream is an error that says so", testWrongType},
		{"readers beside writers lose and reorder nothing", testConcurrent},
		{"Replay sends the events in between", testReplay},
		{"a cancelled context ends every call", testCancel},
	} {
		t.Run(s.name, func(t *testing.T) {
			s.test(&suite{T: t, start: start, Harness: start(t)})
		})
	}
}

type suite struct {
	*testing.T
	Harness
	start func(t testing.TB) Harness
}

const topic stream.Topic = "orders/1"

// run runs a part of a test with a back end of its own.
func (s *suite) run(name string, test func(*suite)) {
	s.T.Run(name, func(t *testing.T) {
		test(&suite{T: t, start: s.start, Harness: s.start(t)})
	})
}

// store stores n messages whose data are the numbers from 0.
func (s *suite) store(t stream.Topic, n int) []stream.ID {
	s.Helper()
	var ids []stream.ID
	for i := range n {
		id, err := s.Replayer.Store(s.Context(), t, stream.Message{Data: fmt.Sprint(i)})
		if err != nil {
			s.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// read reads one page of everything after a position.
func (s *suite) read(t stream.Topic, at stream.ID) stream.Page {
	s.Helper()
	p, err := s.Replayer.Read(s.Context(), t, at, stream.MaxID, 10_000)
	if err != nil {
		s.Fatal(err)
	}
	if p.More {
		s.Errorf("Read from %v says there may be more than all", at)
	}
	return p
}

// want checks a page of everything after a position.
func (s *suite) want(at stream.ID, v stream.Verdict, start stream.ID, entries []stream.ID) {
	s.Helper()
	p := s.read(topic, at)
	if p.Verdict != v || p.Start != start || text(idsOf(p)) != text(entries) {
		s.Errorf("Read from %v:\ngot  %v, start %v, entries %s\nwant %v, start %v, entries %s",
			at, p.Verdict, p.Start, text(idsOf(p)), v, start, text(entries))
	}
}

func idsOf(p stream.Page) []stream.ID {
	var ids []stream.ID
	for _, e := range p.Entries {
		ids = append(ids, e.ID)
	}
	return ids
}

func text(ids []stream.ID) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// cancelled returns a context that has ended.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

package gateway

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// How a stream ends: by being cut, so that the client comes back, or clean,
// which tells it that all is said.
var endCases = []transportCase{
	{"drain", endsBy(endDrain, quiet, func(s *served) { drained(s.t, s.pod) })},
	{"lifetime", endsBy(endLifetime, Options{Lifetime: 100 * time.Millisecond}, func(*served) {})},
	{"forced", endsBy(endForced, quiet, func(s *served) {
		o := s.only()
		s.live.Unregister(o, true)
	})},
	{"the broadcaster is closed", endsBy(endShutdown, quiet, func(s *served) {
		if err := s.live.Close(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	})},
	{"Close", endsBy(endDrain, quiet, func(s *served) {
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
	})},
	{"all is said", endsBy(endClosed, quiet, func(s *served) { s.only().end(endClosed) })},
	{"the first reason counts", endsBy(endForced, quiet, func(s *served) {
		o := s.only()
		for _, why := range []end{endForced, endClosed, endDrain} {
			o.end(why)
		}
	})},
	{"Close with many streams", closeWithMany},
	{"before the first block", endsBeforeFirstBlock},
	{"all is said while the socket is full", endsWhileFull(endClosed)},
	{"cut while the socket is full", endsWhileFull(endDrain)},
	{"all is said while half an event is in the history", cleanWithHistory},
	{"cut inside an event that is gone", endsInsideAnEvent},
	{"ends race with events", endsRaceWithEvents},
}

var lastRetry = regexp.MustCompile(`^retry: \d+\n$`)

// endsBy is a case in which a stream that has got an event is ended.
func endsBy(why end, o Options, act func(s *served)) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			s := r.start(t, o)
			w := s.open(askBy(version, "topic=a", "Connection: close"))
			before := endingBlock(t, w)
			if why != endLifetime { // which may be over
				id := s.publish(t, "a", "x")
				if version == "HTTP/1.0" {
					w.exactly("id: " + id.String() + "\ndata: x\n\n")
				} else {
					w.exactly(r.frame("id: "+id.String()+"\n", "data: x\n\n"))
				}
			}
			act(s)
			rest, complete := w.quietly(), false
			if version == "HTTP/1.1" {
				var list []string
				list, complete = chunks(t, rest)
				rest = strings.Join(list, "")
			}
			switch {
			case complete != (why.clean() && version == "HTTP/1.1"):
				t.Errorf("%s: complete: %v", version, complete)
			case why.clean() && rest != "", !why.clean() && !lastRetry.MatchString(rest):
				t.Errorf("%s: %q, then %q", version, before, rest)
			}
			s.expectEnd(why)
		}
	}
}

// endingBlock reads the first block, whatever its retry.
func endingBlock(t testing.TB, w *raw) (block string) {
	t.Helper()
	for !strings.HasSuffix(block, "data: {}\n\n") && !strings.HasSuffix(block, "data: {}\n\n\r\n") {
		line, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", block, err)
		}
		block += line
		if strings.HasSuffix(block, "data: {}\n\n") && strings.Contains(block, "\r\n") {
			w.exactly("\r\n") // the chunk's end
		}
	}
	return block
}

func closeWithMany(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	var all []*raw
	for range 100 {
		w := s.open(ask("topic=a"))
		w.exactly(chunk(openBlock))
		all = append(all, w)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, w := range all {
		if got := w.quietly(); got != chunk("retry: 1500\n") {
			t.Errorf("ends with %q", got)
		}
	}
	if n := s.endings(); n[endDrain] != 100 || len(n) != 1 {
		t.Errorf("ends: %v", n)
	}
}

// A client that has got nothing yet gets the head and the last words.
func endsBeforeFirstBlock(t testing.TB, r *rig) {
	for _, why := range []end{endDrain, endClosed} {
		store := newSlowStore()
		store.silence = make(chan struct{})
		s := r.startOver(t, store, quiet, noLimits)
		w := s.dial(ask("topic=a", "Connection: close"))
		s.only().end(why)
		_, h := w.head()
		list, complete := chunks(t, w.quietly())
		complete = complete || h.Get("Content-Length") == "0" // says net/http, if it knows
		if got := strings.Join(list, ""); complete != why.clean() || why.clean() && got != "" || !why.clean() && got != "retry: 1500\n" {
			t.Errorf("%s: %q, complete %v", why, got, complete)
		}
		s.expectEnd(why)
	}
}

// What is half sent is finished first, whenever the client goes on reading.
func endsWhileFull(why end) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{TopicBytes: 16 << 20})
		w := s.open(ask("topic=a", "Connection: close"))
		w.exactly(chunk(openBlock))
		events := ""
		for i := range 3 {
			data := strings.Repeat(fmt.Sprint(i), r.large())
			events += fmt.Sprintf("id: %v\ndata: %s\n\n", s.publish(t, "a", data), data)
		}
		s.stalled().end(why)
		list, complete := chunks(t, w.quietly())
		got := strings.Join(list, "")
		body := strings.TrimSuffix(got, "retry: 1500\n")
		if complete != why.clean() || (body == got) != why.clean() {
			t.Errorf("complete %v, ends with %q", complete, got[max(0, len(got)-20):])
		}
		if body == "" || !strings.HasPrefix(events, body) || !strings.HasSuffix(body, "\n\n") {
			t.Errorf("%d bytes, first difference at %d, ends with %q", len(body), difference(body, events), body[max(0, len(body)-20):])
		}
		s.expectEnd(why)
	}
}

// A response that is complete has no half event at its end, also when the rest
// of it has to be read from the history.
func cleanWithHistory(t testing.TB, r *rig) {
	store := newSlowStore()
	store.gate = make(chan struct{})
	s := r.startOver(t, store, quiet, broadcaster.Limits{TopicBytes: 10 << 20})
	w := s.open(ask("topic=a", "Connection: close"))
	w.exactly(chunk(openBlock))
	for range 3 { // of which net/http's own buffers hold one
		s.publish(t, "a", strings.Repeat("x", r.large()))
	}
	o := s.stalled()
	s.overrun(o, 11)
	o.end(endClosed)
	go func() {
		await(t, "a look into the history", func() bool { return store.reads.Load() > 0 })
		close(store.gate)
	}()
	got := w.quietly()
	if strings.HasSuffix(got, lastChunk) && !strings.HasSuffix(got, "x\n\n\r\n"+lastChunk) {
		t.Errorf("%d bytes are said to be complete, and end with %q", len(got), got[len(got)-20:])
	}
}

// The rest of an event that was sent in part may be gone from the log and from
// the history by the time the client reads on. Then its stream is cut inside
// the event, which the client discards, and it comes back.
func endsInsideAnEvent(t testing.TB, r *rig) {
	if !r.direct {
		return // net/http has a copy of what it sends
	}
	s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{TopicBytes: 4 << 20})
	w := s.open(ask("topic=a"))
	w.exactly(chunk(openBlock))
	id := s.publish(t, "a", strings.Repeat("x", 2<<20))
	o := s.stalled()
	s.store.Delete("a", id)
	s.overrun(o, 5)
	if got := w.quietly(); strings.Contains(got, "y") || strings.HasSuffix(got, lastChunk) || len(got) > 2<<20 {
		t.Errorf("%d bytes, ends with %q", len(got), got[len(got)-20:])
	}
	s.expectEnd(endBehind)
}

// overrun publishes so many MiB, that the log has nothing left of what it had.
func (s *served) overrun(o *session, size int) {
	s.t.Helper()
	var last stream.ID
	for range size {
		last = s.publish(s.t, "a", strings.Repeat("y", 1<<20))
	}
	await(s.t, "the log's head", func() bool { return o.feeds[0].log.State().Head.ID == last })
}

// Whatever is going on when a stream ends, it ends behind an event.
func endsRaceWithEvents(t testing.TB, r *rig) {
	for _, why := range []end{endClosed, endDrain} {
		s := r.start(t, quiet)
		var all []*raw
		for range 50 {
			w := s.open(ask("topic=a", "Connection: close"))
			w.exactly(chunk(openBlock))
			all = append(all, w)
		}
		go func() {
			<-time.After(time.Millisecond)
			s.each(func(o *session) { o.end(why) })
		}()
		var ids []stream.ID
		for i := range 100 {
			ids = append(ids, s.publish(t, "a", fmt.Sprint(i)))
		}
		want := ""
		for i, id := range ids {
			want += fmt.Sprintf("id: %v\ndata: %d\n\n", id, i)
		}
		for _, w := range all {
			list, complete := chunks(t, w.quietly())
			got := strings.Join(list, "")
			body := strings.TrimSuffix(got, "retry: 1500\n")
			if complete != why.clean() || (body == got) != why.clean() ||
				!strings.HasPrefix(want, body) || body != "" && !strings.HasSuffix(body, "\n\n") {
				t.Fatalf("%s: complete %v, %q", why, complete, got)
			}
		}
		if n := s.endings(); n[why] != 50 || len(n) != 1 {
			t.Errorf("ends: %v", n)
		}
	}
}

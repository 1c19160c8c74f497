package broadcastertest

import (
	"errors"
	"strings"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

func testPublish(s *suite) {
	b := s.pod(broadcaster.Options{})
	one, two := s.follow(b, topic), s.follow(b, topic)
	ids := s.publishN(b, 100)
	for i, id := range ids {
		if i > 0 && !ids[i-1].Less(id) {
			s.Errorf("id %v was given after %v", id, ids[i-1])
		}
	}
	s.want(one, ids...)
	s.want(two, ids...)
	last := s.publish(b, "line\nline", topic)
	if e := s.next(one); e.ID != last[0] || e.Data != "line\nline" {
		s.Errorf("got %v, want %v with both lines", e, last[0])
	}
}

func testSeveralTopics(s *suite) {
	b := s.pod(broadcaster.Options{})
	topics := []stream.Topic{"a", "b", "c"}
	var followers []*Follower
	for _, t := range topics {
		followers = append(followers, s.follow(b, t))
	}
	// Topics may well give the same ids. Publish until they differ, so that
	// one that is returned in another's place is seen.
	for n, differ := 0, false; !differ && n < 1000; n++ {
		s.want(followers[0], s.publish(b, "0", "a", "a")...)
		s.want(followers[1], s.publish(b, "0", "b")...)
		ids := s.publish(b, "1", topics...)
		for i, f := range followers {
			s.want(f, ids[i])
		}
		differ = ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]
	}
	ids := s.publish(b, "2", "c", "a")
	s.want(followers[0], ids[1])
	s.want(followers[2], ids[0])
	if ids := s.publish(b, "to nobody"); len(ids) != 0 {
		s.Errorf("publishing to no topic returned %s", text(ids))
	}
}

func testEveryone(s *suite) {
	b := s.pod(broadcaster.Options{})
	all, one := s.follow(b, stream.Everyone), s.follow(b, topic)
	id, err := b.Broadcast(s.within(), stream.Message{Data: "all"})
	if err != nil {
		s.Fatal(err)
	}
	s.want(all, id)
	s.want(one, s.publish(b, "one", topic)...)
}

func testRaw(s *suite) {
	for _, b := range s.pods() {
		f := s.follow(b, topic)
		id := s.Add(topic, "data", "raw")
		if e := s.next(f); e.ID != id || e.Data != "raw" {
			s.Errorf("got %v, want %v", e, id)
		}
		if s.Features.Fields {
			id = s.Add(topic, "b", "1", "a", "2")
			if e := s.next(f); e.ID != id || e.Data != `{"b":"1","a":"2"}` {
				s.Errorf("got %v, want %v with all fields as JSON", e, id)
			}
		}
		s.want(f, s.publish(b, "published", topic)...)
	}
}

func testTopicsDoNotMix(s *suite) {
	b := s.pod(broadcaster.Options{})
	topics := []stream.Topic{"a", "ab", "A", "a:b", "a/b", "b", "@a", "ä", stream.Everyone}
	followers := map[stream.Topic]*Follower{}
	for _, t := range topics {
		followers[t] = s.follow(b, t)
	}
	want := map[stream.Topic][]stream.ID{}
	for range 3 {
		for _, t := range topics {
			want[t] = append(want[t], s.publish(b, string(t), t)...)
		}
	}
	for _, t := range topics {
		for _, id := range want[t] {
			if e := s.next(followers[t]); e.ID != id || e.Data != string(t) {
				s.Fatalf("%s: got %v, want %v", t, e, id)
			}
		}
	}
}

func testRefusals(s *suite) {
	b := s.pod(broadcaster.Options{Limits: broadcaster.Limits{EntryBytes: 1000}})
	topics := []stream.Topic{"a", "b"}
	var followers []*Follower
	for _, t := range topics {
		followers = append(followers, s.follow(b, t))
	}
	for want, m := range map[stream.Fault]stream.Message{
		stream.FaultBadEvent:      {Event: "a\ndata: injected"},
		stream.FaultReservedEvent: {Event: stream.ControlPrefix + "reset"},
		stream.FaultNotUTF8:       {Data: "\xff"},
		stream.FaultTooLarge:      {Data: strings.Repeat("x", 1001)},
	} {
		ids, err := b.BroadcastTo(s.within(), m, topics...)
		var fault stream.Fault
		if !errors.As(err, &fault) || fault != want || len(ids) > 0 {
			s.Errorf("got ids %s and error %v, want none and %s", text(ids), err, want)
		}
		if _, err := b.Broadcast(s.within(), m); !errors.As(err, &fault) {
			s.Errorf("Broadcast: got error %v, want %s", err, want)
		}
	}
	ids := s.publish(b, "good", topics...)
	for i, f := range followers {
		s.want(f, ids[i])
	}
}

func testUnsendable(s *suite) {
	b := s.pod(broadcaster.Options{Limits: broadcaster.Limits{EntryBytes: 1000}})
	f := s.follow(b, topic)
	bad := []stream.ID{
		s.Add(topic, "data", "\xff\xfe"),
		s.Add(topic, "data", "x", "event", "gateway.open"),
		s.Add(topic, "data", "x", "event", "a\rb"),
		s.Add(topic, "image", "\x89PNG\xff"),
		s.Add(topic, "data", strings.Repeat("x", 1001)),
	}
	good := s.publish(b, "good", topic)
	for _, id := range bad {
		if e := s.next(f); e.Kind != Skipped || e.ID != id {
			s.Fatalf("got %v, want %v to be skipped", e, id)
		}
	}
	s.want(f, good...)
	if head := f.Log.State().Head.ID; head != good[0] {
		s.Errorf("the log's head is %v, want %v", head, good[0])
	}
}

func testClosing(s *suite) {
	b := s.pod(broadcaster.Options{})
	f := s.follow(b, topic)
	state := func(what string, want bool) {
		s.Helper()
		if got := f.Log.State().Closed; got != want {
			s.Errorf("%s: closed is %v", what, got)
		}
	}
	state("new topic", false)
	ids, err := b.BroadcastTo(s.within(), stream.Message{Data: "bye", Close: true}, topic)
	if err != nil {
		s.Fatal(err)
	}
	s.want(f, ids...)
	state("after a closing event", true)
	if late := s.closedWhenJoined(topic); !late {
		s.Error("who joins later does not see that the topic is closed")
	}
	s.want(f, s.publish(b, "again", topic)...)
	state("after a later event", false)
	if s.Features.Fields {
		s.want(f, s.Add(topic, "close", "1"))
		state("after a domain entry, in which no name is special", false)
	}
	s.want(f, s.Add(topic, "data", "", "close", "1"))
	state("after a raw closing event", true)
}

// closedWhenJoined tells whether a topic is closed for a pod that has just
// begun to follow it.
func (s *suite) closedWhenJoined(t stream.Topic) bool {
	s.Helper()
	return s.follow(s.pod(broadcaster.Options{}), t).Log.State().Closed
}

func testPods(s *suite) {
	pods := s.pods()
	var followers []*Follower
	for _, b := range pods {
		followers = append(followers, s.follow(b, topic))
	}
	var ids []stream.ID
	for range 10 {
		for _, b := range pods {
			ids = append(ids, s.publish(b, "x", topic)...)
			ids = append(ids, s.Add(topic, "data", "raw"))
		}
	}
	for _, f := range followers {
		s.want(f, ids...)
	}
	// Where nobody was when it was published.
	late := s.follow(pods[0], "late")
	s.want(late, s.publish(pods[len(pods)-1], "x", "late")...)
	s.count(pods[0], 2, 2)
	s.count(pods[1], 1, 1)
}

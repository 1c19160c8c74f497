package broadcastertest

import (
	"errors"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

func testJoin(s *suite) {
	b := s.pod(broadcaster.Options{})
	s.Add(topic, "data", "0")
	last := s.Add(topic, "data", "1")
	f := s.follow(b, topic)
	st := f.Log.State()
	if st.Head.ID != last || st.Start != last || f.Position() != last {
		s.Errorf("joined at %v with log %+v, want the newest entry %v", f.Position(), st, last)
	}
	s.want(f, s.publish(b, "2", topic)...)

	empty := s.follow(b, "empty")
	if !empty.Position().IsZero() {
		s.Errorf("joined an empty topic at %v", empty.Position())
	}
	s.want(empty, s.publish(b, "first", "empty")...)
}

func testSeek(s *suite) {
	b := s.pod(broadcaster.Options{})
	before := s.Add(topic, "data", "before")
	at := s.Add(topic, "data", "newest")
	f := s.follow(b, topic)
	ids := append([]stream.ID{at}, s.publishN(b, 5)...)
	s.want(f, ids[1:]...)
	for i, id := range ids {
		p, err := f.Log.Seek(id)
		if err != nil || p.ID != id {
			s.Fatalf("Seek %v in the window: got %+v, %v", id, p, err)
		}
		frames, err := f.Log.Read(p)
		if err != nil || text(frameIDs(frames)) != text(ids[i+1:]) {
			s.Errorf("Read after %v: got %s, %v, want %s", id, text(frameIDs(frames)), err, text(ids[i+1:]))
		}
	}
	for id, want := range map[stream.ID]error{
		{}:                  stream.ErrBehind,
		before:              stream.ErrBehind,
		ids[1].Prev():       stream.ErrBehind, // no entry: only the history tells whether there was one
		ids[5].Next():       stream.ErrAhead,
		stream.MaxID:        stream.ErrAhead,
		ids[5].Prev():       stream.ErrBehind,
		before.Prev():       stream.ErrBehind,
		{Ms: ids[5].Ms + 1}: stream.ErrAhead,
	} {
		if _, err := f.Log.Seek(id); !errors.Is(err, want) && !contains(ids, id) {
			s.Errorf("Seek %v: got error %v, want %v", id, err, want)
		}
	}
	// A position from before comes by way of the history.
	f.Resume(before)
	s.want(f, ids...)
	s.want(f, s.publish(b, "on", topic)...)
}

func contains(ids []stream.ID, id stream.ID) bool {
	for _, have := range ids {
		if have == id {
			return true
		}
	}
	return false
}

func frameIDs(frames []*stream.Frame) (ids []stream.ID) {
	for _, f := range frames {
		ids = append(ids, f.ID)
	}
	return ids
}

func testRead(s *suite) {
	b := s.pod(broadcaster.Options{})
	f := s.follow(b, topic)
	at := f.Log.State().Head
	ids := s.publishN(b, 10)
	s.want(f, ids...)

	all, err := f.Log.Read(at)
	if err != nil || text(frameIDs(all)) != text(ids) {
		s.Fatalf("got %s, %v, want %s", text(frameIDs(all)), err, text(ids))
	}
	// Each frame moves a position by one index.
	for i := range ids {
		p := stream.Position{ID: at.ID, Epoch: at.Epoch, Index: at.Index + uint64(i)}
		got, err := f.Log.Read(p)
		if err != nil || text(frameIDs(got)) != text(ids[i:]) {
			s.Errorf("Read at index %d: got %s, %v, want %s", i, text(frameIDs(got)), err, text(ids[i:]))
		}
	}
	// What was read is the reader's to look at for as long as it likes.
	s.want(f, s.publishN(b, 10)...)
	if text(frameIDs(all)) != text(ids) || len(all) < cap(all) {
		s.Errorf("frames that were read became %s", text(frameIDs(all)))
	}
	if got, err := f.Log.Read(f.Log.State().Head); err != nil || len(got) > 0 {
		s.Errorf("Read at the head: got %s, %v", text(frameIDs(got)), err)
	}
}

func testEviction(s *suite) {
	const window = 4000
	b := s.pod(broadcaster.Options{Limits: broadcaster.Limits{TopicBytes: window}})
	f, old := s.follow(b, topic), s.follow(b, topic)
	at := f.Log.State().Head
	var ids []stream.ID
	for range 40 {
		ids = append(ids, s.publish(b, strings.Repeat("x", 200), topic)...)
		s.want(f, ids[len(ids)-1])
	}
	if _, err := f.Log.Read(at); !errors.Is(err, stream.ErrBehind) {
		s.Errorf("Read before the window: got error %v, want ErrBehind", err)
	}
	for _, id := range ids[:10] {
		if _, err := f.Log.Seek(id); !errors.Is(err, stream.ErrBehind) {
			s.Errorf("Seek %v before the window: got error %v, want ErrBehind", id, err)
		}
	}
	st := f.Log.State()
	p, err := f.Log.Seek(st.Start)
	if err != nil {
		s.Fatalf("Seek the window's start %v: %v", st.Start, err)
	}
	frames, err := f.Log.Read(p)
	bytes := 0
	for _, fr := range frames {
		bytes += fr.Size()
	}
	if err != nil || len(frames) == 0 || frames[len(frames)-1].ID != ids[len(ids)-1] || bytes > window {
		s.Errorf("the window holds %s in %d bytes, %v", text(frameIDs(frames)), bytes, err)
	}
	s.want(old, ids...) // by way of the history, and then the log
}

func testWarm(s *suite) {
	b := s.pod(broadcaster.Options{Limits: broadcaster.Limits{Linger: time.Hour}})
	f := s.follow(b, topic)
	ids := s.publishN(b, 3)
	s.want(f, ids...)
	other := s.follow(b, "other")
	f.Leave()
	s.count(b, 1, 1)
	missed := s.publish(b, "while nobody follows", topic)
	s.want(other, s.publish(b, "x", "other")...)

	again, err := Follow(b, topic, nil)
	if err != nil {
		s.Fatal(err)
	}
	if !again.Log.State().Synced {
		s.Error("a topic that lingered has no position")
	}
	again.Resume(ids[0])
	s.want(again, ids[1], ids[2], missed[0])
	s.count(b, 2, 2)
}

func testCold(s *suite) {
	const linger = 20 * time.Millisecond
	b := s.pod(broadcaster.Options{Limits: broadcaster.Limits{Linger: linger}})
	f := s.follow(b, topic)
	ids := s.publishN(b, 2)
	s.want(f, ids...)
	f.Leave()
	// Looking makes a topic that still lingers linger again, so each look is
	// longer after the one before.
	for wait, ctx := linger, s.within(); ; wait *= 2 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			s.Fatal("the topic was not forgotten")
		}
		f = s.follow(b, topic)
		if _, err := f.Log.Seek(ids[0]); errors.Is(err, stream.ErrBehind) {
			break
		}
		f.Leave()
	}
	if f.Position() != ids[1] {
		s.Errorf("joined again at %v, want %v", f.Position(), ids[1])
	}
	s.want(f, s.publish(b, "again", topic)...)
}

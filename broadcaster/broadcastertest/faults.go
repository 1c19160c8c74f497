package broadcastertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// run is what a connection was given between joining and leaving.
type run struct {
	topic stream.Topic
	from  stream.ID
	ids   []stream.ID
}

// history is what was published while connections came and went.
type history struct {
	mu  sync.Mutex
	ids map[stream.Topic][]stream.ID
}

func (h *history) add(t stream.Topic, id stream.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids[t] = append(h.ids[t], id)
}

// check compares what connections were given with what was published.
func (s *suite) check(h *history, runs []run) {
	for _, ids := range h.ids {
		slices.SortFunc(ids, stream.ID.Compare)
	}
	for _, r := range runs {
		all := h.ids[r.topic]
		first, found := slices.BinarySearchFunc(all, r.from, stream.ID.Compare)
		if found {
			first++
		}
		if d := differ(r.ids, all[first:min(first+len(r.ids), len(all))]); d != "" {
			s.Errorf("%s after %v: %s", r.topic, r.from, d)
			return
		}
	}
}

func testChurn(s *suite) {
	const (
		publishers = 3
		events     = 200 // of each
		readers    = 12
	)
	pods := s.pods()
	topics := []stream.Topic{"a", "b"}
	h := &history{ids: map[stream.Topic][]stream.ID{}}
	ctx := s.within()
	done, stop := context.WithCancel(ctx)
	var publishing, reading sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range events {
				t := topics[(p+i)%len(topics)]
				if i%5 == 4 {
					h.add(t, s.Add(t, "data", "raw"))
					continue
				}
				ids, err := pods[i%len(pods)].BroadcastTo(ctx, stream.Message{Data: "x"}, t)
				if err != nil {
					s.Error(err)
					return
				}
				h.add(t, ids[0])
			}
		})
	}
	runs := make([][]run, readers)
	for i := range readers {
		reading.Go(func() {
			for n := 0; done.Err() == nil; n++ {
				r, err := s.visit(done, pods[(i+n)%len(pods)], topics[n%len(topics)], rand.IntN(20))
				if err != nil && done.Err() == nil {
					s.Error(err)
					return
				}
				runs[i] = append(runs[i], r)
			}
		})
	}
	publishing.Wait()
	stop()
	reading.Wait()
	s.check(h, slices.Concat(runs...))
	for _, b := range pods {
		s.count(b, 0, 0)
	}
}

// visit follows a topic for n events.
func (s *suite) visit(ctx context.Context, b broadcaster.Broadcaster, t stream.Topic, n int) (r run, err error) {
	f, err := Follow(b, t, s.Read)
	if err != nil {
		return r, err
	}
	defer f.Leave()
	r.topic = t
	if r.from, err = f.Joined(ctx); err != nil {
		return r, err
	}
	for range n {
		e, err := f.Next(ctx)
		if err != nil {
			return r, err
		}
		if e.Kind != Sent {
			return r, fmt.Errorf("%s: got %v", t, e)
		}
		r.ids = append(r.ids, e.ID)
	}
	return r, nil
}

func testWrongType(s *suite) {
	b := s.pod(broadcaster.Options{})
	before, after, fine := stream.Topic("spoilt/before"), stream.Topic("spoilt/after"), topic
	s.Spoil(before)
	good := s.follow(b, fine)
	late := s.follow(b, after)
	s.want(late, s.publish(b, "x", after)...)
	s.Drop(after)
	s.Spoil(after)
	early, err := Follow(b, before, s.Read)
	if err != nil {
		s.Fatal(err)
	}
	s.faulty(early)

	ids, err := b.BroadcastTo(s.within(), stream.Message{Data: "x"}, fine, before, fine)
	var wrong *stream.WrongTypeError
	if !errors.As(err, &wrong) || len(ids) != 1 {
		s.Fatalf("got ids %s, error %v, want those before the spoilt topic and a WrongTypeError", text(ids), err)
	}
	s.want(good, ids...)
	s.faulty(late)
	s.want(good, s.publish(b, "on", fine)...)

	s.Drop(before)
	s.Drop(after)
	if at, err := early.Joined(s.within()); err != nil || !at.IsZero() {
		s.Errorf("joined at %v, %v after the key was removed", at, err)
	}
	s.want(early, s.publish(b, "at last", before)...)
	if e := s.next(late); e.Kind != Reset {
		s.Errorf("got %v after the topic's history was replaced, want a reset", e)
	}
	s.want(late, s.publish(b, "again", after)...)
}

// faulty waits until a log says that its topic cannot be read.
func (s *suite) faulty(f *Follower) {
	s.Helper()
	ctx := s.within()
	for {
		st := f.Log.State()
		if st.Fault != "" {
			if _, err := f.Log.Read(st.Head); st.Synced && !errors.Is(err, stream.ErrUnavailable) {
				s.Errorf("Read of a faulty topic: got error %v, want ErrUnavailable", err)
			}
			return
		}
		if err := f.wait(ctx); err != nil {
			s.Fatalf("%s has no fault: %v", f.Topic, err)
		}
	}
}

func testInterrupt(s *suite) {
	const rounds = 5
	pods := s.pods()
	var followers []*Follower
	for _, b := range pods {
		followers = append(followers, s.follow(b, topic))
	}
	got := make([][]stream.ID, len(followers))
	take := func(i int) {
		e := s.next(followers[i])
		if e.Kind != Sent {
			s.Fatalf("got %v", e)
		}
		got[i] = append(got[i], e.ID)
	}
	done, stop := context.WithCancel(s.within())
	defer stop()
	var ids []stream.ID
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for done.Err() == nil {
			ids = append(ids, s.Add(topic, "data", fmt.Sprint(len(ids))))
			time.Sleep(time.Millisecond) // not to flood what has to catch up
		}
	})
	for range rounds {
		for i := range followers { // so that every interruption is in the midst of events
			for range 20 {
				take(i)
			}
		}
		s.Interrupt()
	}
	stop()
	publishing.Wait()
	for i, f := range followers {
		for f.Position().Less(ids[len(ids)-1]) {
			take(i)
		}
		if d := differ(got[i], ids); d != "" {
			s.Errorf("connection %d: %s", i, d)
		}
	}
}

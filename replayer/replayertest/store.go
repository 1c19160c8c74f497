package replayertest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

func testStore(s *suite) {
	messages := []stream.Message{
		{},
		{Data: "line 1\r\nline 2\n", Event: "paid", Retry: 1500 * time.Millisecond, Close: true, Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{Data: "ünïcode 🎈\x00", Event: "ünïcode"},
		{Data: strings.Repeat("x", stream.DefaultMaxEntry-len(stream.FieldData))},
	}
	var last stream.ID
	for i, m := range messages {
		id, err := s.Replayer.Store(s.Context(), topic, m)
		if err != nil {
			s.Fatalf("message %d: %v", i, err)
		}
		if !last.Less(id) {
			s.Errorf("message %d: id %v after %v", i, id, last)
		}
		last = id
	}
	p := s.read(topic, stream.ID{})
	if len(p.Entries) != len(messages) {
		s.Fatalf("stored %d messages, read %d", len(messages), len(p.Entries))
	}
	for i, e := range p.Entries {
		want, err := messages[i].Fields()
		if err != nil {
			s.Fatal(err)
		}
		if !slices.Equal(e.Fields, want) {
			s.Errorf("message %d came back as %.200q, want %.200q", i, e.Fields, want)
		}
	}
}

func testStoreRefuses(s *suite) {
	for want, m := range map[stream.Fault]stream.Message{
		stream.FaultBadEvent:      {Event: "a\nb"},
		stream.FaultReservedEvent: {Event: "gateway.open"},
		stream.FaultNotUTF8:       {Data: "\xff"},
		stream.FaultTooLarge:      {Data: strings.Repeat("x", stream.DefaultMaxEntry)},
	} {
		id, err := s.Replayer.Store(s.Context(), topic, m)
		var got stream.Fault
		if !errors.As(err, &got) || got != want || !id.IsZero() {
			s.Errorf("got %v, %v, want the fault %s", id, err, string(want))
		}
	}
	if info, err := s.Replayer.Bounds(s.Context(), topic); err != nil || info.Exists {
		s.Errorf("refused messages left %+v, %v", info, err)
	}
}

func testTopicsDoNotMix(s *suite) {
	topics := []stream.Topic{"a", "a/b", "A", "ä", "@user", "a,b", stream.Everyone}
	want := make(map[stream.Topic][]stream.ID)
	for range 3 {
		for _, t := range topics {
			want[t] = append(want[t], s.store(t, 1)...)
		}
	}
	for _, t := range topics {
		if got := idsOf(s.read(t, stream.ID{})); !slices.Equal(got, want[t]) {
			s.Errorf("topic %s: got %v, want %v", t, got, want[t])
		}
	}
}

func testPages(s *suite) {
	ids := s.store(topic, 20)
	for limit := 1; limit <= 22; limit++ {
		var got []stream.ID
		for at := ids[0]; ; {
			p, err := s.Replayer.Read(s.Context(), topic, at, stream.MaxID, limit)
			if err != nil {
				s.Fatal(err)
			}
			if p.Verdict != stream.Contiguous || p.Start != at || len(p.Entries) > limit {
				s.Fatalf("limit %d: a page with verdict %v, start %v, %d entries", limit, p.Verdict, p.Start, len(p.Entries))
			}
			got = append(got, idsOf(p)...)
			if !p.More {
				break
			}
			if len(p.Entries) == 0 {
				s.Fatalf("limit %d: an empty page with more to come", limit)
			}
			at = p.End()
		}
		if !slices.Equal(got, ids[1:]) {
			s.Errorf("limit %d: got %v, want %v", limit, got, ids[1:])
		}
	}
}

func testUpTo(s *suite) {
	ids := s.store(topic, 6)
	for i, at := range ids {
		for j, upTo := range ids {
			var want []stream.ID
			if i < j {
				want = ids[i+1 : j+1]
			}
			for name, bound := range map[string]stream.ID{"at": upTo, "after": upTo.Next()} {
				if j+1 < len(ids) && bound == ids[j+1] {
					continue
				}
				p, err := s.Replayer.Read(s.Context(), topic, at, bound, 100)
				if err != nil {
					s.Fatal(err)
				}
				if !slices.Equal(idsOf(p), want) || p.More || p.Verdict != stream.Contiguous || p.Start != at {
					s.Errorf("from entry %d up to %s entry %d: got %+v, want %v", i, name, j, p, want)
				}
			}
		}
	}
	// A bound before the position asks for nothing, whatever the position.
	p, err := s.Replayer.Read(s.Context(), topic, stream.MaxID, ids[0], 100)
	if err != nil || len(p.Entries) > 0 || p.More || p.Verdict != stream.Contiguous || p.Start != stream.MaxID {
		s.Errorf("a bound before the position: got %+v, %v", p, err)
	}
}

func testBounds(s *suite) {
	bounds := func() stream.Info {
		s.Helper()
		info, err := s.Replayer.Bounds(s.Context(), topic)
		if err != nil {
			s.Fatal(err)
		}
		return info
	}
	if info := bounds(); info != (stream.Info{}) {
		s.Errorf("a topic that is not there: %+v", info)
	}
	ids := s.store(topic, 4)
	want := stream.Info{Exists: true, First: ids[0], Last: ids[3], LastGenerated: ids[3], Length: 4}
	check := func(when string, added uint64, maxDeleted stream.ID) {
		s.Helper()
		if s.Features.Counters {
			want.Counters, want.Added, want.MaxDeleted = true, added, maxDeleted
		}
		if got := bounds(); got != want {
			s.Errorf("%s:\ngot  %+v\nwant %+v", when, got, want)
		}
	}
	check("four entries", 4, stream.ID{})
	id, err := s.Replayer.Store(s.Context(), topic, stream.Message{Close: true})
	if err != nil {
		s.Fatal(err)
	}
	want.Last, want.LastGenerated, want.Length, want.Closed = id, id, 5, true
	check("closed", 5, stream.ID{})
	added, deleted := uint64(6), stream.ID{}
	id = s.store(topic, 1)[0]
	want.Last, want.LastGenerated, want.Length, want.Closed = id, id, 6, false
	check("open again", added, deleted)
	if s.Features.Delete {
		s.Delete(topic, ids[2])
		want.Length, deleted = 5, ids[2]
		check("one deleted", added, deleted)
		s.Delete(topic, ids[1])
		want.Length = 4
		check("an earlier one deleted", added, deleted)
	}
	if s.Features.Trim {
		s.Trim(topic, 1)
		want.First, want.Length = id, 1
		check("trimmed", added, deleted)
		s.Trim(topic, 0)
		want.First, want.Last, want.Length = stream.ID{}, stream.ID{}, 0
		check("emptied", added, deleted)
	}
}

func testWrongType(s *suite) {
	if !s.Features.WrongType {
		return
	}
	s.Spoil(topic)
	check := func(call string, err error) {
		s.Helper()
		var wrong *stream.WrongTypeError
		if !errors.As(err, &wrong) || !strings.Contains(wrong.Key, string(topic)) {
			s.Errorf("%s: got %v, want a WrongTypeError that names the key", call, err)
		}
	}
	_, err := s.Replayer.Store(s.Context(), topic, stream.Message{})
	check("Store", err)
	for _, at := range []stream.ID{{}, {Ms: 1}} {
		_, err = s.Replayer.Read(s.Context(), topic, at, stream.MaxID, 1)
		check(fmt.Sprint("Read from ", at), err)
	}
	for _, since := range everySince {
		_, err = s.Replayer.Seek(s.Context(), topic, since)
		check(fmt.Sprintf("Seek %+v", since), err)
	}
	_, err = s.Replayer.Bounds(s.Context(), topic)
	check("Bounds", err)
}

func testCancel(s *suite) {
	ids := s.store(topic, 2)
	ctx := cancelled()
	_, err := s.Replayer.Store(ctx, topic, stream.Message{})
	wantCancelled(s, "Store", err)
	_, err = s.Replayer.Read(ctx, topic, ids[0], stream.MaxID, 1)
	wantCancelled(s, "Read", err)
	for _, since := range everySince {
		_, err = s.Replayer.Seek(ctx, topic, since)
		wantCancelled(s, fmt.Sprintf("Seek %+v", since), err)
	}
	_, err = s.Replayer.Bounds(ctx, topic)
	wantCancelled(s, "Bounds", err)
	_, _, err = replayer.Replay(ctx, s.Replayer, topic, ids[0], stream.MaxID, func(sse.Event) error { return nil })
	wantCancelled(s, "Replay", err)
	if got := idsOf(s.read(topic, ids[0].Prev())); !slices.Equal(got, ids) {
		s.Errorf("after cancelled calls there is %v, want %v", got, ids)
	}
}

func testConcurrent(s *suite) {
	const writers, readers, each = 4, 3, 150
	from, err := s.Replayer.Seek(s.Context(), topic, replayer.Since{})
	if err != nil {
		s.Fatal(err)
	}
	var stored [writers][]stream.ID
	var read [readers][]stream.ID
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id, err := s.Replayer.Store(s.Context(), topic, stream.Message{Data: fmt.Sprint(w, i)})
				if err != nil {
					s.Error(err)
					return
				}
				stored[w] = append(stored[w], id)
			}
		})
	}
	for r := range readers {
		wg.Go(func() {
			for at := from; len(read[r]) < writers*each && s.Context().Err() == nil; {
				p, err := s.Replayer.Read(s.Context(), topic, at, stream.MaxID, 7)
				if err != nil {
					s.Error(err)
					return
				}
				if p.Verdict != stream.Contiguous && (s.Features.Counters || !at.IsZero()) {
					s.Errorf("%v at %v", p.Verdict, at)
					return
				}
				read[r] = append(read[r], idsOf(p)...)
				at = p.End()
			}
		})
	}
	wg.Wait()
	var all []stream.ID
	for _, ids := range stored {
		if !slices.IsSortedFunc(ids, stream.ID.Compare) {
			s.Error("a writer got ids that do not increase")
		}
		all = append(all, ids...)
	}
	slices.SortFunc(all, stream.ID.Compare)
	for r, ids := range read {
		if !slices.Equal(ids, all) {
			s.Errorf("reader %d saw %d entries that are not the %d stored, in order, once", r, len(ids), len(all))
		}
	}
}

func testReplay(s *suite) {
	ids := s.store(topic, 600) // more than one page
	var got []sse.Event
	n, v, err := replayer.Replay(s.Context(), s.Replayer, topic, ids[9], ids[589], func(e sse.Event) error {
		got = append(got, e)
		return nil
	})
	if n != 580 || v != stream.Contiguous || err != nil || len(got) != n {
		s.Fatalf("got %d (%d sent), %v, %v", n, len(got), v, err)
	}
	for i, e := range got {
		if want := (sse.Event{ID: ids[10+i].String(), Data: fmt.Sprint(10 + i)}); e != want {
			s.Fatalf("event %d is %+v, want %+v", i, e, want)
		}
	}
	stop := errors.New("stop")
	n, _, err = replayer.Replay(s.Context(), s.Replayer, topic, ids[0], stream.MaxID, func(e sse.Event) error {
		if e.Data == "3" {
			return stop
		}
		return nil
	})
	if n != 2 || err != stop {
		s.Errorf("send's error: got %d, %v", n, err)
	}
}

func wantCancelled(s *suite, call string, err error) {
	s.Helper()
	if !errors.Is(err, cancelled().Err()) {
		s.Errorf("%s: got %v, want %v", call, err, cancelled().Err())
	}
}

package replayertest

import (
	"slices"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// everySince has each way to begin once.
var everySince = []replayer.Since{
	{},
	{Earliest: true},
	{Last: 1},
	{Ago: time.Hour},
	{Time: time.UnixMilli(1)},
}

func testSeek(s *suite) {
	s.run("no stream", func(s *suite) {
		for _, since := range everySince {
			s.wantSeek(since, nil)
			if at, _ := s.Replayer.Seek(s.Context(), topic, since); !at.IsZero() {
				s.Errorf("%+v: got %v, want 0-0", since, at)
			}
		}
	})
	s.run("entries", func(s *suite) {
		s.seekAll(s.store(topic, 5))
	})
	if s.Features.ExplicitIDs {
		s.run("entries in the past and the future", func(s *suite) {
			var ids []stream.ID
			for _, ms := range []uint64{1000, 1000, 2000, 3000, 1 << 60} {
				id := stream.ID{Ms: ms, Seq: uint64(len(ids))}
				s.Append(topic, id, "data", "x")
				ids = append(ids, id)
			}
			s.seekAll(ids)
			for ms, want := range map[int64]int{-5: 0, 0: 0, 999: 0, 1000: 0, 1001: 2, 2000: 2, 2001: 3, 3000: 3, 3001: 4} {
				s.wantSeek(replayer.Since{Time: time.UnixMilli(ms)}, ids[want:])
			}
			s.wantSeek(replayer.Since{Ago: time.Hour}, ids[4:])
		})
	}
	if s.Features.Trim {
		s.run("trimmed", func(s *suite) {
			ids := s.store(topic, 6)
			s.Trim(topic, 4)
			s.seekAll(ids[2:])
		})
		s.run("emptied", func(s *suite) {
			ids := s.store(topic, 3)
			s.Trim(topic, 0)
			s.seekAll(nil)
			for _, since := range everySince {
				if at, _ := s.Replayer.Seek(s.Context(), topic, since); at != ids[2] {
					s.Errorf("%+v: got %v, want the end %v", since, at, ids[2])
				}
			}
		})
	}
	if s.Features.Delete {
		s.run("deleted", func(s *suite) {
			ids := s.store(topic, 6)
			for _, i := range []int{0, 2, 5} {
				s.Delete(topic, ids[i])
			}
			s.seekAll([]stream.ID{ids[1], ids[3], ids[4]})
		})
	}
	s.run("many", func(s *suite) {
		ids := s.store(topic, 350)
		for _, n := range []int{1, 99, 100, 101, 250, 349, 350, 351} {
			s.wantSeek(replayer.Since{Last: n}, ids[max(len(ids)-n, 0):])
		}
	})
}

// seekAll seeks in every way in a history of these entries.
func (s *suite) seekAll(ids []stream.ID) {
	s.Helper()
	s.wantSeek(replayer.Since{}, nil)
	s.wantSeek(replayer.Since{Earliest: true}, ids)
	for n := 1; n <= len(ids)+2; n++ {
		s.wantSeek(replayer.Since{Last: n}, ids[max(len(ids)-n, 0):])
	}
	for _, id := range ids {
		for _, ms := range []uint64{id.Ms, id.Ms + 1} {
			from := slices.IndexFunc(ids, func(id stream.ID) bool { return id.Ms >= ms })
			if from < 0 {
				from = len(ids)
			}
			s.wantSeek(replayer.Since{Time: time.UnixMilli(int64(ms))}, ids[from:])
		}
	}
	s.wantSeek(replayer.Since{Time: time.UnixMilli(1)}, ids)
}

// wantSeek seeks and reads from the position found.
func (s *suite) wantSeek(since replayer.Since, want []stream.ID) {
	s.Helper()
	at, err := s.Replayer.Seek(s.Context(), topic, since)
	if err != nil {
		s.Errorf("%+v: %v", since, err)
		return
	}
	p := s.read(topic, at)
	if p.Verdict != stream.Contiguous || p.Start != at || !slices.Equal(idsOf(p), want) {
		s.Errorf("%+v found %v, which reads as %v from %v: %s\nwant contiguous: %s", since, at, p.Verdict, p.Start, text(idsOf(p)), text(want))
	}
}

func testSeekClock(s *suite) {
	old := s.store(topic, 2)
	// The clock is known by the ids that it gives.
	for s.store("clock", 1)[0].Ms < old[1].Ms+3 {
		continue
	}
	s.wantSeek(replayer.Since{Ago: time.Millisecond}, nil)
	s.wantSeek(replayer.Since{Ago: time.Hour}, old)
}

package replayertest

import (
	"github.com/ssegateway/sse-gateway/stream"
)

// testRule builds each situation that the resume rule tells apart, and reads
// from the position in question. See stream.Resume.
func testRule(s *suite) {
	f := s.Features
	doubt := func(v stream.Verdict) stream.Verdict {
		if f.Counters {
			return v
		}
		return stream.Gap
	}
	var zero stream.ID

	s.run("no stream, from the start", func(s *suite) {
		s.want(zero, stream.Contiguous, zero, nil)
	})
	s.run("no stream, from elsewhere", func(s *suite) {
		s.want(stream.ID{Ms: 7, Seq: 7}, stream.Reset, zero, nil)
	})
	s.run("an entry that is there", func(s *suite) {
		ids := s.store(topic, 5)
		for i, id := range ids {
			s.want(id, stream.Contiguous, id, ids[i+1:])
		}
	})
	s.run("beyond the end", func(s *suite) {
		ids := s.store(topic, 2)
		s.want(ids[1].Next(), stream.Reset, ids[1], nil)
		s.want(stream.MaxID, stream.Reset, ids[1], nil)
	})
	s.run("the start, nothing trimmed", func(s *suite) {
		ids := s.store(topic, 3)
		start := zero
		if !f.Counters {
			start = ids[0].Prev()
		}
		s.want(zero, doubt(stream.Contiguous), start, ids)
	})
	s.run("before the first, nothing ever there", func(s *suite) {
		ids := s.store(topic, 3)
		s.want(ids[0].Prev(), stream.Contiguous, ids[0].Prev(), ids)
		s.want(ids[0].Prev().Prev(), stream.Gap, ids[0].Prev(), ids)
	})
	s.run("between two entries, nothing ever there", func(s *suite) {
		ids := s.store(topic, 2)
		for ids[len(ids)-2].Next() == ids[len(ids)-1] {
			ids = append(ids, s.store(topic, 1)...)
		}
		at := ids[len(ids)-2].Next()
		s.want(at, doubt(stream.Reset), at, ids[len(ids)-1:])
	})
	if f.Trim {
		testRuleTrimmed(s)
	}
	if f.Delete {
		testRuleDeleted(s, doubt)
	}
	if f.Drop {
		s.run("the topic was removed", func(s *suite) {
			ids := s.store(topic, 2)
			s.Drop(topic)
			s.want(ids[0], stream.Reset, zero, nil)
			s.want(zero, stream.Contiguous, zero, nil)
		})
		s.run("the topic was removed and begun again", func(s *suite) {
			old := s.store(topic, 2)
			s.Drop(topic)
			ids := s.store(topic, 1)
			for ids[0].Prev() == old[1] || ids[0] == old[1] { // within the same millisecond
				s.Drop(topic)
				ids = s.store(topic, 1)
			}
			if old[1].Less(ids[0]) {
				s.want(old[1], stream.Gap, ids[0].Prev(), ids)
			} else {
				s.want(old[1], stream.Reset, ids[0], nil)
			}
		})
	}
	if f.Drop && f.ExplicitIDs {
		testRuleForked(s, doubt)
	}
}

func testRuleTrimmed(s *suite) {
	s.run("the start, something trimmed", func(s *suite) {
		ids := s.store(topic, 4)
		s.Trim(topic, 2)
		s.want(stream.ID{}, stream.Gap, ids[2].Prev(), ids[2:])
	})
	s.run("entries after it trimmed", func(s *suite) {
		ids := s.store(topic, 4)
		s.Trim(topic, 1)
		if ids[1].Next() == ids[2] && ids[2].Next() == ids[3] {
			s.want(ids[1], stream.Gap, ids[3].Prev(), ids[3:])
		}
		s.want(ids[0], stream.Gap, ids[3].Prev(), ids[3:])
	})
	s.run("its entry trimmed, and none after it", func(s *suite) {
		ids := s.store(topic, 3)
		s.Trim(topic, 1)
		// What was right before the first entry could be nothing else.
		s.want(ids[2].Prev(), stream.Contiguous, ids[2].Prev(), ids[2:])
	})
	s.run("all trimmed, from the end", func(s *suite) {
		ids := s.store(topic, 3)
		s.Trim(topic, 0)
		s.want(ids[2], stream.Contiguous, ids[2], nil)
	})
	s.run("all trimmed, from before the end", func(s *suite) {
		ids := s.store(topic, 3)
		s.Trim(topic, 0)
		s.want(ids[1], stream.Gap, ids[2], nil)
		s.want(stream.ID{}, stream.Gap, ids[2], nil)
		s.want(ids[2].Next(), stream.Reset, ids[2], nil)
	})
	s.run("all trimmed, then more", func(s *suite) {
		ids := s.store(topic, 3)
		s.Trim(topic, 0)
		ids = append(ids, s.store(topic, 1)...)
		if ids[3].Prev() != ids[2] {
			s.want(ids[2], stream.Gap, ids[3].Prev(), ids[3:])
		}
	})
	s.run("trimming is seen between pages", func(s *suite) {
		ids := s.store(topic, 6)
		p, err := s.Replayer.Read(s.Context(), topic, ids[0], stream.MaxID, 1)
		if err != nil || p.End() != ids[1] || !p.More {
			s.Fatalf("got %+v, %v", p, err)
		}
		s.Trim(topic, 2)
		s.want(p.End(), stream.Gap, ids[4].Prev(), ids[4:])
	})
}

func testRuleDeleted(s *suite, doubt func(stream.Verdict) stream.Verdict) {
	s.run("its entry deleted, at the end", func(s *suite) {
		ids := s.store(topic, 3)
		s.Delete(topic, ids[2])
		s.want(ids[2], stream.Contiguous, ids[2], nil)
		s.want(ids[1], stream.Contiguous, ids[1], nil)
	})
	s.run("its entry deleted, in the middle", func(s *suite) {
		ids := s.store(topic, 4)
		s.Delete(topic, ids[1])
		s.want(ids[1], doubt(stream.Contiguous), ids[1], ids[2:])
		s.want(ids[0], stream.Contiguous, ids[0], ids[2:])
	})
	s.run("its entry deleted, and a later one too", func(s *suite) {
		ids := s.store(topic, 5)
		s.Delete(topic, ids[3])
		s.Delete(topic, ids[1])
		s.want(ids[1], doubt(stream.Contiguous), ids[1], []stream.ID{ids[2], ids[4]})
	})
	s.run("the first deleted", func(s *suite) {
		ids := s.store(topic, 3)
		s.Delete(topic, ids[0])
		s.want(stream.ID{}, stream.Gap, ids[1].Prev(), ids[1:])
	})
	s.run("all deleted", func(s *suite) {
		ids := s.store(topic, 2)
		s.Delete(topic, ids[0])
		s.Delete(topic, ids[1])
		s.want(ids[1], stream.Contiguous, ids[1], nil)
		s.want(ids[0], stream.Gap, ids[1], nil)
	})
}

// testRuleForked makes histories that part from what a reader was sent: a
// fail-over to a replica that lagged, a copy that was restored.
func testRuleForked(s *suite, doubt func(stream.Verdict) stream.Verdict) {
	id := func(ms uint64) stream.ID { return stream.ID{Ms: ms} }
	appendAll := func(s *suite, ms ...uint64) (ids []stream.ID) {
		for _, n := range ms {
			s.Append(topic, id(n), "data", "x")
			ids = append(ids, id(n))
		}
		return ids
	}
	s.run("the history ends before it", func(s *suite) {
		appendAll(s, 1, 2, 3)
		s.Drop(topic)
		appendAll(s, 1, 2)
		s.want(id(3), stream.Reset, id(2), nil)
		s.want(id(2), stream.Contiguous, id(2), nil)
	})
	s.run("the history went on differently", func(s *suite) {
		appendAll(s, 1, 2, 3)
		s.Drop(topic)
		ids := appendAll(s, 1, 2, 4)
		s.want(id(3), doubt(stream.Reset), id(3), ids[2:])
		s.want(id(2), stream.Contiguous, id(2), ids[2:])
	})
	if s.Features.Delete {
		s.run("the history went on differently, and something was deleted before", func(s *suite) {
			appendAll(s, 1, 2, 3, 4)
			s.Drop(topic)
			ids := appendAll(s, 1, 2, 3, 5)
			s.Delete(topic, id(2))
			s.want(id(4), doubt(stream.Reset), id(4), ids[3:])
			s.want(id(2), doubt(stream.Contiguous), id(2), ids[2:])
		})
		s.run("nothing can be before the first id of all", func(s *suite) {
			first := stream.ID{Seq: 1}
			s.Append(topic, first, "data", "x")
			s.Append(topic, id(1), "data", "x")
			s.Delete(topic, id(1))
			s.want(stream.ID{}, stream.Contiguous, stream.ID{}, []stream.ID{first})
		})
	}
	s.run("ids that no clock gives", func(s *suite) {
		const future = 1 << 62
		ids := appendAll(s, 1, 2, future)
		s.want(id(1), stream.Contiguous, id(1), ids[1:])
		s.want(id(future), stream.Contiguous, id(future), nil)
		more := s.store(topic, 1)
		s.want(id(future), stream.Contiguous, id(future), more)
	})
}

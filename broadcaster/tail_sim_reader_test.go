package broadcaster

import (
	"errors"
	"fmt"

	"github.com/ssegateway/sse-gateway/stream"
)

// simReader is a connection: it reads the log, and what the log does not
// hold from the model, as the gateway does from the Replayer. It sleeps when
// there is nothing for it, until the tail wakes it.
type simReader struct {
	pos    stream.Position
	joined bool
	live   bool
	awake  bool
	since  stream.ID   // where its present run began
	told   bool        // since then nothing of its run was lost, or it was told
	got    []stream.ID // in this run

	// What it saw last.
	closed bool
	fault  string
}

func (s *simulation) join() {
	if len(s.readers) == 4 {
		s.readers = s.readers[1:]
	}
	r := &simReader{awake: true}
	switch all := s.redis.entries; {
	case len(all) > 0 && s.rnd.IntN(2) == 0:
		// One that comes back, with something it was sent before.
		r.joined = true
		r.start(all[s.rnd.IntN(len(all))].id, true)
	case len(s.lost) > 0 && s.rnd.IntN(2) == 0:
		// With something that was lost meanwhile.
		r.joined = true
		r.start(s.lost[s.rnd.IntN(len(s.lost))], false)
		s.saw(cameFromLost)
	}
	s.readers = append(s.readers, r)
}

// start begins a run. told says that it needs no word: either it was given, or
// the position is of the present history.
func (r *simReader) start(at stream.ID, told bool) {
	r.pos = stream.Position{ID: at}
	r.live = false
	r.since, r.told, r.got = at, told, nil
}

// step moves the reader on, if it is awake and can.
func (r *simReader) step(s *simulation) (moved bool) {
	if !r.awake {
		return false
	}
	if moved = r.move(s); !moved {
		r.awake = s.redis.spoilt && !r.live // who could not read history tries again
		st := s.t.State()
		r.closed, r.fault = st.Closed, st.Fault
	}
	return moved
}

func (r *simReader) move(s *simulation) (moved bool) {
	if !r.joined {
		st := s.t.State()
		if st.Synced {
			r.start(st.Head.ID, !s.isLost(st.Head.ID))
			r.pos, r.joined, r.live = st.Head, true, true
		}
		return st.Synced
	}
	if !r.live {
		return r.resume(s)
	}
	frames, err := s.t.Read(r.pos)
	frames = frames[:min(len(frames), 1+s.rnd.IntN(4))]
	switch {
	case errors.Is(err, stream.ErrBehind):
		s.saw(wasBehind)
		if s.d.skipEvicted {
			r.pos.Index = s.t.win.first
			return true
		}
		r.live = false
		return true
	case errors.Is(err, stream.ErrForked):
		if f := s.t.Fork(r.pos.Epoch); f.Common.Less(r.pos.ID) {
			r.start(stream.MinID(r.pos.ID, f.Restart), true)
			s.saw(wasForked)
		} else {
			s.saw(wasSpared)
		}
		r.live = false
		return true
	case len(frames) == 0:
		return false
	}
	for _, f := range frames {
		r.pos.ID, r.pos.Index = f.ID, r.pos.Index+1
		if f.Kind == stream.KindGap {
			r.since, r.told, r.got = f.ID, true, nil
			continue
		}
		r.take(s, f.ID)
	}
	return true
}

func (r *simReader) resume(s *simulation) (moved bool) {
	p, err := s.t.Seek(r.pos.ID)
	switch {
	case err == nil:
		r.pos, r.live = p, true
		return true
	case s.d.joinAtHead && errors.Is(err, stream.ErrBehind):
		r.pos, r.live = s.t.State().Head, true
		return true
	case errors.Is(err, stream.ErrUnsynced):
		return false
	case errors.Is(err, stream.ErrAhead):
		s.saw(wasAhead)
	}
	page, err := s.redis.read(r.pos.ID, stream.MaxID, 1+s.rnd.IntN(4))
	if err != nil {
		return false
	}
	if page.Verdict != stream.Contiguous {
		r.start(page.Start, true)
	}
	for _, e := range page.Entries {
		r.pos.ID = e.ID
		r.take(s, e.ID)
	}
	return len(page.Entries) > 0 || page.Verdict != stream.Contiguous
}

func (r *simReader) take(s *simulation, id stream.ID) {
	if n := len(r.got); n > 0 && !r.got[n-1].Less(id) {
		s.fault = fmt.Sprintf("entry %v after %v", id, r.got[n-1])
	}
	r.got = append(r.got, id)
}

// checkReader compares a reader's present run with the history.
func (s *simulation) checkReader(i int, r *simReader) string {
	switch {
	case !r.joined:
		return fmt.Sprintf("reader %d never got a position", i)
	case !r.told && !s.redis.has(r.since):
		return fmt.Sprintf("reader %d was at %v, which is of another history, and no reset said so", i, r.since)
	case r.awake || r.closed != s.t.closed || r.fault != s.t.fault:
		return fmt.Sprintf("reader %d was not woken: it saw closed %v, fault %q", i, r.closed, r.fault)
	}
	got := r.got
	for _, e := range s.redis.entries {
		switch {
		case len(got) > 0 && got[0].Less(e.id):
			return fmt.Sprintf("reader %d: entry %v is of another history, and no reset said so", i, got[0])
		case len(got) > 0 && got[0] == e.id:
			got = got[1:]
		case r.since.Less(e.id) && e.fate != deleted:
			return fmt.Sprintf("reader %d lost entry %v (run since %v: %v)", i, e.id, r.since, r.got)
		}
	}
	if len(got) > 0 {
		return fmt.Sprintf("reader %d: entry %v is of no history", i, got[0])
	}
	return ""
}

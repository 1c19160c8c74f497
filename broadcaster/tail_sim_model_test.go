package broadcaster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ssegateway/sse-gateway/stream"
)

var errSim = errors.New("simulated network error")

// model is a stream as Redis keeps it, and what became of each entry.
type model struct {
	clock   uint64
	lineage uint64 // makes the ids of different histories differ
	exists  bool
	last    stream.ID
	added   uint64
	maxDel  stream.ID
	entries []simEntry // all of this history, also those that are gone
}

type simEntry struct {
	id   stream.ID
	fate fate
}

type fate uint8

const (
	present fate = iota
	trimmed
	deleted // somebody asked for it by id
)

func (m *model) clone() model {
	c := *m
	c.entries = slices.Clone(m.entries)
	return c
}

func (m *model) add() {
	m.clock++
	id := stream.ID{Ms: m.clock, Seq: m.lineage}
	if !m.last.Less(id) {
		id = stream.ID{Ms: m.last.Ms + 1, Seq: m.lineage}
		m.clock = id.Ms
	}
	m.exists = true
	m.last = id
	m.added++
	m.entries = append(m.entries, simEntry{id: id})
}

func (m *model) live() (live []stream.ID) {
	for _, e := range m.entries {
		if e.fate == present {
			live = append(live, e.id)
		}
	}
	return live
}

func (m *model) ids() []stream.ID { return m.live() }

func (m *model) trim(keep int) {
	n := len(m.live()) - keep
	for i := range m.entries {
		if n > 0 && m.entries[i].fate == present {
			m.entries[i].fate = trimmed
			n--
		}
	}
}

func (m *model) remove(rnd *rand.Rand) {
	if live := m.live(); len(live) > 0 {
		id := live[rnd.IntN(len(live))]
		for i := range m.entries {
			if m.entries[i].id == id {
				m.entries[i].fate = deleted
			}
		}
		if m.maxDel.Less(id) {
			m.maxDel = id
		}
	}
}

// drop deletes the key: nothing of its history is owed to anybody.
func (m *model) drop() { *m = model{clock: m.clock, lineage: m.lineage} }

func (m *model) info() stream.Info {
	live := m.live()
	i := stream.Info{Exists: m.exists, LastGenerated: m.last, Length: uint64(len(live)), Counters: true, Added: m.added, MaxDeleted: m.maxDel}
	if len(live) > 0 {
		i.First, i.Last = live[0], live[len(live)-1]
	}
	return i
}

// read is Replayer.Read on the model.
func (m *model) read(at, upTo stream.ID, limit int) (p stream.Page) {
	live := m.live()
	p.Start = at
	if !slices.Contains(live, at) {
		info := m.info()
		if p.Verdict = stream.Resume(at, info); p.Verdict != stream.Contiguous {
			p.Start = stream.Start(at, info)
		}
		if p.Verdict == stream.Gap {
			if p.Start = info.LastGenerated; len(live) > 0 {
				p.Start = live[0].Prev()
			}
		}
	}
	for _, id := range live {
		if !p.Start.Less(id) || upTo.Less(id) {
			continue
		}
		if len(p.Entries) == limit {
			p.More = true
			break
		}
		p.Entries = append(p.Entries, stream.Entry{ID: id, Fields: []string{"data", ""}})
	}
	return p
}

// simReader is a connection: it reads the log, and what the log does not
// hold from the model, as the gateway does from the Replayer.
type simReader struct {
	pos    stream.Position
	joined bool
	live   bool
	since  stream.ID   // where its present run began
	got    []stream.ID // in this run
}

func (s *simulation) join() {
	if len(s.readers) == 4 {
		s.readers = s.readers[1:]
	}
	r := &simReader{}
	if all := s.redis.entries; len(all) > 0 && s.rnd.IntN(2) == 0 {
		// One that comes back, with something it was sent before.
		r.joined = true
		r.start(all[s.rnd.IntN(len(all))].id)
	}
	s.readers = append(s.readers, r)
}

func (r *simReader) start(at stream.ID) {
	r.pos = stream.Position{ID: at}
	r.live = false
	r.since, r.got = at, nil
}

// step moves the reader on, if it can.
func (r *simReader) step(s *simulation) (moved bool) {
	if !r.joined {
		if st := s.t.State(); st.Synced {
			r.start(st.Head.ID)
			r.pos, r.joined, r.live = st.Head, true, true
			return true
		}
		return false
	}
	if !r.live {
		return r.resume(s)
	}
	frames, err := s.t.Read(nil, r.pos, 300)
	switch {
	case errors.Is(err, stream.ErrBehind):
		if s.d.skipEvicted {
			r.pos.Index = s.t.win.first
			return true
		}
		r.live = false
		return true
	case errors.Is(err, stream.ErrForked):
		if f := s.t.Fork(r.pos.Epoch); f.Common.Less(r.pos.ID) {
			r.start(stream.MinID(r.pos.ID, f.Restart))
		}
		r.live = false
		return true
	case len(frames) == 0:
		return false
	}
	for _, f := range frames {
		r.pos.ID, r.pos.Index = f.ID, r.pos.Index+1
		if f.Kind == stream.KindGap {
			r.since, r.got = f.ID, nil
			continue
		}
		r.take(s, f.ID)
	}
	return true
}

func (r *simReader) resume(s *simulation) (moved bool) {
	p, err := s.t.Seek(r.pos.ID)
	if err == nil {
		r.pos, r.live = p, true
		return true
	}
	if s.d.joinAtHead && errors.Is(err, stream.ErrBehind) {
		r.pos, r.live = s.t.State().Head, true
		return true
	}
	if errors.Is(err, stream.ErrUnsynced) {
		return false
	}
	page := s.redis.read(r.pos.ID, stream.MaxID, 1+s.rnd.IntN(4))
	if page.Verdict != stream.Contiguous {
		r.start(page.Start)
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

// check compares a reader's present run with the history.
func (s *simulation) check(i int, r *simReader) {
	if !r.joined {
		s.fault = fmt.Sprintf("reader %d never got a position", i)
		return
	}
	got := r.got
	for _, e := range s.redis.entries {
		for len(got) > 0 && got[0].Less(e.id) {
			s.fault = fmt.Sprintf("reader %d: entry %v is of another history, and no reset said so", i, got[0])
			return
		}
		switch {
		case len(got) > 0 && got[0] == e.id:
			got = got[1:]
		case r.since.Less(e.id) && e.fate != deleted:
			s.fault = fmt.Sprintf("reader %d lost entry %v (run since %v: %v)", i, e.id, r.since, r.got)
			return
		}
	}
	if len(got) > 0 {
		s.fault = fmt.Sprintf("reader %d: entry %v is of no history", i, got[0])
	}
}

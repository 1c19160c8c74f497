package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// simStream is a topic's stream as Redis keeps it, and what became of each of
// its entries.
type simStream struct {
	topic    stream.Topic
	counters bool // as Redis 7 keeps them; without there is doubt
	wrong    bool // the key holds something else for now
	simHistory
	saved simHistory // what a fail-over goes back to

	forked  bool // a fail-over or a DEL has happened
	deleted bool // an XDEL has happened
}

type simHistory struct {
	clock   uint64
	lineage uint64 // makes the ids of different histories differ
	exists  bool
	last    stream.ID
	added   uint64
	maxDel  stream.ID
	entries []simEntry // all of this history, also those that are gone
}

type simEntry struct {
	id     stream.ID
	serial int
	fate   simFate
	fields []string

	// What a client gets of it; not sendable: nothing.
	sendable    bool
	event, data string
}

type simFate uint8

const (
	simPresent simFate = iota
	simTrimmed
	simDeleted // somebody asked for it by id
)

// entry makes the next entry. Its data names the topic and a serial number, so
// that it is known for what it is wherever it turns up.
func (s *simStream) entry(rnd *rand.Rand, serial int) simEntry {
	e := simEntry{serial: serial, sendable: true}
	label := fmt.Sprintf("#%s#%d#", s.topic, serial)
	switch rnd.IntN(10) {
	case 0: // not sendable
		e.sendable = false
		e.fields = [][]string{{"data", label + "\xff"}, {"data", label, "event", "gateway.open"}, {"n", "\xff"}}[rnd.IntN(3)]
	case 1: // a domain entry
		e.fields = []string{"label", label, "~own", "hidden"}
		e.data = `{"label":"` + label + `"}`
	case 2:
		e.fields = []string{"data", label + "\r\nid: 9-9\n\r: comment", "event", "lines", "retry", "77"}
		e.event, e.data = "lines", label+"\nid: 9-9\n\n: comment"
	case 3:
		long := strings.Repeat("long ", rnd.IntN(200))
		e.fields = []string{"data", label + long}
		e.data = label + long
	default:
		e.fields = []string{"data", label, "event", "x"}
		e.event, e.data = "x", label
	}
	return e
}

func (s *simStream) add(e simEntry) {
	s.clock++
	e.id = stream.ID{Ms: s.clock, Seq: s.lineage}
	if !s.last.Less(e.id) {
		e.id = stream.ID{Ms: s.last.Ms + 1, Seq: s.lineage}
		s.clock = e.id.Ms
	}
	s.exists, s.last = true, e.id
	s.added++
	s.entries = append(s.entries, e)
}

func (s *simHistory) live() (live []simEntry) {
	for _, e := range s.entries {
		if e.fate == simPresent {
			live = append(live, e)
		}
	}
	return live
}

func (s *simStream) trim(keep int) {
	n := len(s.live()) - keep
	for i := range s.entries {
		if n > 0 && s.entries[i].fate == simPresent {
			s.entries[i].fate = simTrimmed
			n--
		}
	}
}

func (s *simStream) remove(rnd *rand.Rand) {
	live := s.live()
	if len(live) == 0 {
		return
	}
	id := live[rnd.IntN(len(live))].id
	for i := range s.entries {
		if s.entries[i].id == id {
			s.entries[i].fate = simDeleted
		}
	}
	if s.maxDel.Less(id) {
		s.maxDel = id
	}
	s.deleted = true
}

func (s *simStream) save() {
	s.saved = s.simHistory
	s.saved.entries = slices.Clone(s.entries)
}

// failover goes back to the copy, on a machine whose clock may be late. What is
// added then has other ids than what was lost.
func (s *simStream) failover(lineage, late uint64) {
	clock := s.clock
	s.simHistory = s.saved
	s.entries = slices.Clone(s.saved.entries)
	s.clock = max(1000, clock-late)
	s.lineage = lineage
	s.forked = true
}

// drop deletes the key, everywhere: nothing of its history is owed to anybody.
func (s *simStream) drop() {
	s.simHistory = simHistory{clock: s.clock, lineage: s.lineage}
	s.forked = true
	s.save()
}

func (s *simStream) info() stream.Info {
	live := s.live()
	i := stream.Info{Exists: s.exists, LastGenerated: s.last, Length: uint64(len(live))}
	if s.counters {
		i.Counters, i.Added, i.MaxDeleted = true, s.added, s.maxDel
	}
	if len(live) > 0 {
		i.First, i.Last = live[0].id, live[len(live)-1].id
	}
	return i
}

func (s *simStream) wrongType() error {
	if !s.wrong {
		return nil
	}
	return &stream.WrongTypeError{Key: string(s.topic)}
}

// read is Replayer.Read on the model.
func (s *simStream) read(at, upTo stream.ID, limit int) (p stream.Page, err error) {
	if err := s.wrongType(); err != nil {
		return p, err
	}
	p.Start = at
	if upTo.Less(at) {
		return p, nil
	}
	live := s.live()
	if !slices.ContainsFunc(live, func(e simEntry) bool { return e.id == at }) {
		info := s.info()
		switch p.Verdict = stream.Resume(at, info); p.Verdict {
		case stream.Reset:
			p.Start = stream.Start(at, info)
		case stream.Gap:
			if p.Start = info.LastGenerated; len(live) > 0 {
				p.Start = live[0].id.Prev()
			}
			if p.Start.Less(at) {
				p.Start = at // a doubt in the middle
			}
		}
	}
	for _, e := range live {
		if !p.Start.Less(e.id) || upTo.Less(e.id) {
			continue
		}
		if len(p.Entries) == limit {
			p.More = true
			break
		}
		p.Entries = append(p.Entries, stream.Entry{ID: e.id, Fields: e.fields})
	}
	return p, nil
}

// seek is Replayer.Seek on the model.
func (s *simStream) seek(since replayer.Since) (stream.ID, error) {
	if err := s.wrongType(); err != nil {
		return stream.ID{}, err
	}
	live := s.live()
	switch n := len(live); {
	case n > since.Last && since.Last > 0:
		return live[n-1-since.Last].id, nil
	case n == 0:
		return s.last, nil
	case s.counters && s.added == uint64(n):
		return stream.ID{}, nil
	}
	return live[0].id.Prev(), nil
}

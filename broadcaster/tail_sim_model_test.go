package broadcaster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/ssegateway/sse-gateway/stream"
)

var errSim = errors.New("simulated network error")

// model is a stream as Redis keeps it, and what became of each entry.
type model struct {
	clock   uint64
	lineage uint64 // makes the ids of different histories differ
	exists  bool
	spoilt  bool // the key holds something else
	last    stream.ID
	added   uint64
	maxDel  stream.ID
	entries []simEntry // all of this history, also those that are gone
}

type simEntry struct {
	id    stream.ID
	close bool
	fate  fate
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

func (m *model) add(closes bool) {
	m.clock++
	id := stream.ID{Ms: m.clock, Seq: m.lineage}
	if !m.last.Less(id) {
		id = stream.ID{Ms: m.last.Ms + 1, Seq: m.lineage}
		m.clock = id.Ms
	}
	m.exists = true
	m.last = id
	m.added++
	m.entries = append(m.entries, simEntry{id: id, close: closes})
}

func (m *model) live() (live []simEntry) {
	for _, e := range m.entries {
		if e.fate == present {
			live = append(live, e)
		}
	}
	return live
}

// String returns the ids of what is there, with ! behind those that close.
func (m *model) String() string {
	var b strings.Builder
	for _, e := range m.live() {
		fmt.Fprintf(&b, " %v", e.id)
		if e.close {
			b.WriteByte('!')
		}
	}
	return "[" + strings.TrimPrefix(b.String(), " ") + "]"
}

func (m *model) has(id stream.ID) bool {
	return slices.ContainsFunc(m.entries, func(e simEntry) bool { return e.id == id })
}

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
	live := m.live()
	if len(live) == 0 {
		return
	}
	id := live[rnd.IntN(len(live))].id
	for i := range m.entries {
		if m.entries[i].id == id {
			m.entries[i].fate = deleted
		}
	}
	if m.maxDel.Less(id) {
		m.maxDel = id
	}
}

// forget takes back the newest n entries, as if they had never come, and so
// the one before was not trimmed yet.
func (m *model) forget(n int) {
	n = min(n, len(m.entries))
	m.entries = m.entries[:len(m.entries)-n]
	m.added -= uint64(n)
	m.last = stream.ID{}
	if len(m.entries) > 0 {
		newest := &m.entries[len(m.entries)-1]
		m.last, newest.fate = newest.id, present
	}
}

// dropped is the key deleted: nothing of its history is owed to anybody.
func (m *model) dropped() model { return model{clock: m.clock, lineage: m.lineage} }

// closed reports whether the newest entry closes the topic. Where that entry
// is gone nobody can tell.
func (m *model) closed() (closed, known bool) {
	if len(m.entries) == 0 {
		return false, true
	}
	newest := m.entries[len(m.entries)-1]
	return newest.close, newest.fate == present
}

func (m *model) info() stream.Info {
	i := stream.Info{Exists: m.exists, LastGenerated: m.last, Counters: true, Added: m.added, MaxDeleted: m.maxDel}
	for _, e := range m.entries {
		if e.fate != present {
			continue
		}
		if i.Length++; i.Length == 1 {
			i.First = e.id
		}
		i.Last, i.Closed = e.id, e.close
	}
	return i
}

// head is redisstream.Heads on the model.
func (m *model) head() (stream.Info, error) {
	if m.spoilt {
		return stream.Info{}, &stream.WrongTypeError{Key: "t"}
	}
	i := m.info()
	if i.Length > 0 {
		i.LastGenerated = i.Last
	}
	return i, nil
}

// read is Replayer.Read on the model.
func (m *model) read(at, upTo stream.ID, limit int) (p stream.Page, err error) {
	if m.spoilt {
		return p, &stream.WrongTypeError{Key: "t"}
	}
	p.Start = at
	if !slices.ContainsFunc(m.entries, func(e simEntry) bool { return e.id == at && e.fate == present }) {
		info := m.info()
		if p.Verdict = stream.Resume(at, info); p.Verdict != stream.Contiguous {
			p.Start = stream.Start(at, info)
		}
		if p.Verdict == stream.Gap {
			if p.Start = info.LastGenerated; info.Length > 0 {
				p.Start = info.First.Prev()
			}
		}
	}
	for _, e := range m.entries {
		if e.fate != present || !p.Start.Less(e.id) || upTo.Less(e.id) {
			continue
		}
		if len(p.Entries) == limit {
			p.More = true
			break
		}
		p.Entries = append(p.Entries, stream.Entry{ID: e.id, Fields: fields[e.close]})
	}
	return p, nil
}

var fields = map[bool][]string{
	false: {"data", ""},
	true:  {"data", "", "close", "1"},
}

package replayer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// Defaults of MemoryOptions and RedisOptions.
const (
	DefaultMaxEvents = 1000
	DefaultMaxBytes  = 64 << 20
)

// MemoryOptions bound a Memory. The zero value has the defaults.
type MemoryOptions struct {
	// MaxEvents is how many entries of a topic are kept; DefaultMaxEvents if 0.
	MaxEvents int
	// MaxBytes is how many bytes of names and values of a topic's entries are
	// kept, but always the newest entry; DefaultMaxBytes if 0.
	MaxBytes int
	// MaxEntry is the greatest size of an entry in bytes of names and values;
	// stream.DefaultMaxEntry if 0.
	MaxEntry int
	// TTL is how long an entry is kept, by the Ms of its id; 0 is for ever.
	TTL time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Memory is a Replayer within one process, for one pod or for tests. Ids are
// "ms-seq" of its clock, as Redis gives them, and always increase, even when
// the clock goes back. It keeps the counters that Redis 7 keeps, so that the
// resume rule is as exact. A topic whose entries are all gone takes about 200
// bytes until it is dropped.
type Memory struct {
	opts MemoryOptions

	mu     sync.Mutex
	topics map[stream.Topic]*memoryLog
}

// memoryLog is one topic. The array behind entries is written by append and
// by forgetting only; the entries themselves are never changed.
type memoryLog struct {
	entries []stream.Entry // in the order of their ids
	bytes   int            // of names and values
	last    stream.ID      // last generated
	added   uint64         // entries ever added
	maxDel  stream.ID      // greatest id given to Delete
}

// NewMemory returns an empty Memory.
func NewMemory(opts MemoryOptions) *Memory {
	if opts.MaxEvents <= 0 {
		opts.MaxEvents = DefaultMaxEvents
	}
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.MaxEntry <= 0 {
		opts.MaxEntry = stream.DefaultMaxEntry
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Memory{opts: opts, topics: make(map[stream.Topic]*memoryLog)}
}

var errIDsUsedUp = errors.New("replayer: the topic has an entry with the greatest possible id")

// Store implements Replayer.
func (m *Memory) Store(ctx context.Context, t stream.Topic, msg stream.Message) (stream.ID, error) {
	fields, err := fieldsOf(msg, m.opts.MaxEntry)
	if err != nil {
		return stream.ID{}, err
	}
	if err := ctx.Err(); err != nil {
		return stream.ID{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.topics[t]
	if l == nil {
		l = &memoryLog{}
	}
	now := m.opts.Now()
	e := stream.Entry{ID: stream.ID{Ms: uint64(max(now.UnixMilli(), 0))}, Fields: fields}
	if !l.last.Less(e.ID) {
		if e.ID = l.last.Next(); e.ID == l.last {
			return stream.ID{}, errIDsUsedUp
		}
	}
	m.topics[t] = l
	l.entries = append(l.entries, e)
	l.bytes += e.Size()
	l.last = e.ID
	l.added++
	m.bound(l, now)
	return e.ID, nil
}

// fieldsOf returns the fields of m's entry if it may be stored. The error is a
// stream.Fault.
func fieldsOf(m stream.Message, maxEntry int) ([]string, error) {
	fields, err := m.Fields()
	if err != nil {
		return nil, err
	}
	if (stream.Entry{Fields: fields}).Size() > maxEntry {
		return nil, stream.FaultTooLarge
	}
	return fields, nil
}

// bound forgets what is too old or too much.
func (m *Memory) bound(l *memoryLog, now time.Time) {
	n := max(len(l.entries)-m.opts.MaxEvents, 0)
	if m.opts.TTL > 0 {
		oldest := uint64(max(now.Add(-m.opts.TTL).UnixMilli(), 0))
		for n < len(l.entries) && l.entries[n].ID.Ms < oldest {
			n++
		}
	}
	l.forget(n)
	for l.bytes > m.opts.MaxBytes && len(l.entries) > 1 {
		l.forget(1)
	}
}

// forget trims the n oldest entries.
func (l *memoryLog) forget(n int) {
	for i := range l.entries[:n] {
		l.bytes -= l.entries[i].Size()
		l.entries[i] = stream.Entry{} // append makes a new array only now and then
	}
	if l.entries = l.entries[n:]; len(l.entries) == 0 {
		l.entries = nil
	}
}

// log returns a topic as it is now, nil if there is none. The caller holds mu.
func (m *Memory) log(t stream.Topic) *memoryLog {
	l := m.topics[t]
	if l != nil && m.opts.TTL > 0 {
		m.bound(l, m.opts.Now())
	}
	return l
}

// find returns the index of the first entry at or after id, and whether it is
// at id.
func (l *memoryLog) find(id stream.ID) (int, bool) {
	if l == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(l.entries, id, func(e stream.Entry, id stream.ID) int { return e.ID.Compare(id) })
}

// Read implements Replayer.
func (m *Memory) Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error) {
	if err := ctx.Err(); err != nil {
		return stream.Page{}, err
	}
	p := stream.Page{Start: at}
	if upTo.Less(at) {
		return p, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(t)
	i, found := l.find(at)
	if found {
		i++
	} else {
		info := l.info()
		p.Verdict = stream.Resume(at, info)
		switch p.Verdict {
		case stream.Gap:
			p.Start = gapEnd(info)
		case stream.Reset:
			p.Start = stream.Start(at, info)
		}
	}
	end, found := l.find(upTo)
	if found {
		end++
	}
	if limit = max(limit, 1); end-i > limit {
		end, p.More = i+limit, true
	}
	if i < end {
		p.Entries = slices.Clone(l.entries[i:end])
	}
	return p, nil
}

// gapEnd is where a gap ends: before the first entry that is left.
func gapEnd(s stream.Info) stream.ID {
	if s.Length == 0 {
		return s.LastGenerated
	}
	return s.First.Prev()
}

// Seek implements Replayer.
func (m *Memory) Seek(ctx context.Context, t stream.Topic, s Since) (stream.ID, error) {
	if err := ctx.Err(); err != nil {
		return stream.ID{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(t)
	info := l.info()
	switch {
	case l == nil:
		return stream.ID{}, nil
	case s.Earliest:
	case s.Last > 0:
		if i := len(l.entries) - 1 - s.Last; i >= 0 {
			return l.entries[i].ID, nil
		}
	case s.Ago > 0 || !s.Time.IsZero():
		i, _ := l.find(firstAt(s.moment(m.opts.Now())))
		if i > 0 {
			return l.entries[i-1].ID, nil
		}
	default:
		return endOf(info), nil
	}
	return earliest(info), nil
}

// Bounds implements Replayer.
func (m *Memory) Bounds(ctx context.Context, t stream.Topic) (stream.Info, error) {
	if err := ctx.Err(); err != nil {
		return stream.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(t)
	info := l.info()
	if info.Length > 0 {
		newest := l.entries[len(l.entries)-1]
		info.Closed = stream.Encode(newest, max(newest.Size(), 1)).Close
	}
	return info, nil
}

// info returns all but Closed; l may be nil.
func (l *memoryLog) info() stream.Info {
	if l == nil {
		return stream.Info{}
	}
	s := stream.Info{
		Exists: true, LastGenerated: l.last, Length: uint64(len(l.entries)),
		Counters: true, Added: l.added, MaxDeleted: l.maxDel,
	}
	if n := len(l.entries); n > 0 {
		s.First, s.Last = l.entries[0].ID, l.entries[n-1].ID
	}
	return s
}

// Delete removes the entry with this id, and reports whether there was one.
// Readers are not told: for them the history stays contiguous.
func (m *Memory) Delete(t stream.Topic, id stream.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.log(t)
	if l == nil {
		return false
	}
	i, found := l.find(id)
	if !found {
		return false
	}
	l.bytes -= l.entries[i].Size()
	l.entries = slices.Delete(l.entries, i, i+1)
	if l.maxDel.Less(id) {
		l.maxDel = id
	}
	return true
}

// Trim forgets all but the newest entries of a topic. Readers before those
// get a gap.
func (m *Memory) Trim(t stream.Topic, keep int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.log(t); l != nil {
		l.forget(max(len(l.entries)-max(keep, 0), 0))
	}
}

// Drop forgets a topic as if it had never been. Readers get a reset.
func (m *Memory) Drop(t stream.Topic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.topics, t)
}

package gateway

import (
	"sort"

	"github.com/ssegateway/sse-gateway/stream"
)

// simLog is a pod's window on a stream: a stream.Log to its contract, which
// reads when the schedule says so and is as far behind as it likes.
type simLog struct {
	of  *simStream
	max int // frames in the window

	synced bool
	sure   bool // start is a position of this history
	start  stream.ID
	head   stream.ID
	first  uint64 // index of frames[0]
	frames []*stream.Frame
	epoch  uint32
	forks  []stream.Fork
	fault  string

	blindToEviction bool // a defect: what is left of the window passes for all of it
}

var _ stream.Log = (*simLog)(nil)

// advance reads on from the head. It reports whether anything changed.
func (l *simLog) advance(limit int) bool {
	if err := l.of.wrongType(); err != nil {
		changed := l.fault != err.Error()
		l.fault = err.Error()
		return changed
	}
	changed := l.fault != ""
	l.fault = ""
	if !l.synced {
		l.synced = true
		l.reset(l.of.last, true)
		return true
	}
	p, _ := l.of.read(l.head, stream.MaxID, limit)
	switch p.Verdict {
	case stream.Reset:
		if l.fork(p) {
			return true
		}
	case stream.Gap:
		if p.Start == l.head && len(p.Entries) == 0 {
			return changed // a doubt about nothing, and the same the next time
		}
		l.frames = append(l.frames, stream.GapFrame(l.head, p.Start))
		l.head = p.Start
	}
	for _, e := range p.Entries {
		l.frames = append(l.frames, stream.Encode(e, 0))
		l.head = e.ID
	}
	l.evict(l.max)
	return changed || p.Verdict != stream.Contiguous || len(p.Entries) > 0
}

// fork goes over to another history, at the newest entry that both have. If
// there is nothing to compare, it is p's, and fork returns false.
func (l *simLog) fork(p stream.Page) (compared bool) {
	f := stream.Fork{Restart: p.Start}
	sure := p.Start != l.head
	if compared = len(l.frames) > 0; compared {
		again, _ := l.of.read(l.start, stream.MaxID, 1000)
		f.Restart, sure = again.Start, again.Start != l.start
		if again.Verdict == stream.Contiguous {
			f.Common, sure = l.start, true
		}
		for _, e := range again.Entries {
			i := sort.Search(len(l.frames), func(i int) bool { return !l.frames[i].ID.Less(e.ID) })
			if i == len(l.frames) || l.frames[i].ID != e.ID {
				break
			}
			f.Common, f.Restart, sure = e.ID, e.ID, true
		}
	}
	l.forks = append(l.forks, f)
	l.epoch++
	l.reset(f.Restart, sure)
	return compared
}

func (l *simLog) reset(at stream.ID, sure bool) {
	l.first += uint64(len(l.frames))
	l.frames = nil
	l.start, l.head, l.sure = at, at, sure
}

func (l *simLog) evict(keep int) {
	for len(l.frames) > keep {
		l.start, l.sure = l.frames[0].ID, !doubt(l.frames[0])
		l.frames = l.frames[1:]
		l.first++
	}
}

// Topic implements stream.Log.
func (l *simLog) Topic() stream.Topic { return l.of.topic }

// State implements stream.Log.
func (l *simLog) State() stream.LogState {
	return stream.LogState{
		Synced: l.synced,
		Head:   stream.Position{ID: l.head, Epoch: l.epoch, Index: l.first + uint64(len(l.frames))},
		Start:  l.start,
		Fault:  l.fault,
	}
}

// Seek implements stream.Log.
func (l *simLog) Seek(id stream.ID) (stream.Position, error) {
	p := stream.Position{ID: id, Epoch: l.epoch, Index: l.first}
	switch {
	case !l.synced:
		return p, stream.ErrUnsynced
	case id == l.start && l.sure:
		return p, nil
	case l.head.Less(id):
		return p, stream.ErrAhead
	}
	i := sort.Search(len(l.frames), func(i int) bool { return !l.frames[i].ID.Less(id) })
	if i == len(l.frames) || l.frames[i].ID != id {
		return p, stream.ErrBehind
	}
	p.Index += uint64(i)
	if !doubt(l.frames[i]) {
		p.Index++
	}
	return p, nil
}

// doubt reports whether a frame is a gap that ends where it begins, since
// nobody can tell whether there is one. Whoever is there must hear of it.
func doubt(f *stream.Frame) bool { return f.Kind == stream.KindGap && f.From == f.ID }

// Read implements stream.Log.
func (l *simLog) Read(p stream.Position) ([]*stream.Frame, error) {
	if l.blindToEviction && p.Epoch == l.epoch && p.Index < l.first {
		p.Index = l.first
	}
	switch {
	case !l.synced:
		return nil, stream.ErrUnsynced
	case p.Epoch != l.epoch:
		return nil, stream.ErrForked
	case p.Index < l.first:
		return nil, stream.ErrBehind
	}
	frames := l.frames[p.Index-l.first:]
	if len(frames) == 0 && l.fault != "" {
		return nil, stream.ErrUnavailable
	}
	return frames, nil
}

// Fork implements stream.Log.
func (l *simLog) Fork(epoch uint32) stream.Fork {
	all := stream.Fork{Common: stream.MaxID, Restart: stream.MaxID}
	for _, f := range l.forks[epoch:] {
		all.Common = stream.MinID(all.Common, f.Common)
		all.Restart = stream.MinID(all.Restart, f.Restart)
	}
	return all
}

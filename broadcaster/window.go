package broadcaster

import (
	"slices"
	"sort"

	"github.com/ssegateway/sse-gateway/stream"
)

// window is the newest part of a topic's log: frames in the order of their
// ids, bounded in bytes. It is data without a lock: the tail that owns it
// changes it under its own, and publishes copies, which share the frames. So
// what is in a slice once is never overwritten, only appended to.
//
//	start        frames                               head
//	  │   ┌───────┬───────┬───────┬───────┐            │
//	  └──►│ first │ +1    │ +2    │ …     │◄── last.ID ┘
//	      └───────┴───────┴───────┴───────┘
//
// Each frame has an index that is never used again, so a reader's position
// tells at once whether the window still holds what follows it.
type window struct {
	start  stream.ID // the position before the first frame
	sure   bool      // start is a position of this history, so readers can join there
	head   stream.ID // the position after the last
	first  uint64    // index of the first frame
	frames []*stream.Frame
	off    int // frames[:off] have been evicted
	bytes  int // of the frames
	dead   int // of those that have been evicted and are still in the slice

	epoch uint32        // of the history in the window
	forks []stream.Fork // how the epochs before it ended; the first may stand for many
}

// maxForks bounds what is known of former histories, for a key that is deleted
// again and again. No reader is that many behind.
const maxForks = 64

func (w *window) len() int        { return len(w.frames) - w.off }
func (w *window) next() uint64    { return w.first + uint64(w.len()) }
func (w *window) at(i int) *frame { return w.frames[w.off+i] }

type frame = stream.Frame

// reset empties the window and puts it at a position, which is sure if the
// history has it.
func (w *window) reset(at stream.ID, sure bool) {
	w.first = w.next()
	w.frames, w.off, w.bytes, w.dead = nil, 0, 0, 0
	w.start, w.head, w.sure = at, at, sure
}

// fork ends the history in the window. The next one is read from f.Restart on,
// which is a position of the new history unless it is where the read of p
// began and the entry was not there.
func (w *window) fork(f stream.Fork, at stream.ID, p stream.Page) {
	w.forks = append(w.forks, f)
	w.epoch++
	if len(w.forks) > maxForks {
		oldest := w.forks[0]
		w.forks = slices.Clone(w.forks[1:])
		w.forks[0] = both(oldest, w.forks[0])
	}
	w.reset(f.Restart, f.Restart != at || p.Verdict == stream.Contiguous)
}

// since returns what all forks since an epoch left in common.
func (w *window) since(epoch uint32) stream.Fork {
	all := stream.Fork{Common: stream.MaxID, Restart: stream.MaxID}
	for _, f := range w.forks[max(0, len(w.forks)-int(w.epoch-min(epoch, w.epoch))):] {
		all = both(all, f)
	}
	return all
}

// both returns what two forks left in common.
func both(a, b stream.Fork) stream.Fork {
	return stream.Fork{
		Common:  stream.MinID(a.Common, b.Common),
		Restart: stream.MinID(a.Restart, b.Restart),
	}
}

// append adds a frame behind all others.
func (w *window) append(f *frame) {
	w.frames = append(w.frames, f)
	w.bytes += f.Size()
	w.head = f.ID
}

// evict drops the oldest frames until at most max bytes are left.
func (w *window) evict(max int) {
	for w.bytes > max && w.len() > 0 {
		f := w.at(0)
		w.off++
		w.first++
		w.bytes -= f.Size()
		w.dead += f.Size()
		w.start, w.sure = f.ID, true
	}
	switch {
	case w.len() == 0:
		w.frames, w.off, w.dead = nil, 0, 0
	case w.dead > w.bytes/4:
		// Others may be reading the slice, so it gives way to another one.
		w.frames, w.off, w.dead = slices.Clone(w.frames[w.off:]), 0, 0
	}
}

// seek finds the position of an id from which everything follows.
func (w *window) seek(id stream.ID) (stream.Position, error) {
	p := stream.Position{ID: id, Epoch: w.epoch, Index: w.first}
	if id == w.start && w.sure {
		return p, nil
	}
	if w.head.Less(id) {
		return p, stream.ErrAhead
	}
	i := sort.Search(w.len(), func(i int) bool { return !w.at(i).ID.Less(id) })
	if i == w.len() || w.at(i).ID != id {
		return p, stream.ErrBehind
	}
	p.Index += uint64(i) + 1
	return p, nil
}

// read returns the frames after p.
func (w *window) read(p stream.Position) ([]*frame, error) {
	switch {
	case p.Epoch != w.epoch:
		return nil, stream.ErrForked
	case p.Index < w.first:
		return nil, stream.ErrBehind
	}
	skip := min(p.Index-w.first, uint64(w.len()))
	return slices.Clip(w.frames[w.off+int(skip):]), nil
}

// agree compares the window with a page of another history, read from the
// window's start, and returns how the two part.
func (w *window) agree(p stream.Page) stream.Fork {
	f := stream.Fork{Restart: p.Start}
	if p.Verdict == stream.Contiguous {
		f.Common = p.Start
	}
	for _, e := range p.Entries {
		i := sort.Search(w.len(), func(i int) bool { return !w.at(i).ID.Less(e.ID) })
		if i == w.len() || w.at(i).ID != e.ID {
			break
		}
		f.Common, f.Restart = e.ID, e.ID
	}
	return f
}

package gateway

import (
	"container/list"
	"sort"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// page is a run of frames after a position. It is immutable.
type page struct {
	at      stream.ID      // the position that was read from
	verdict stream.Verdict // of that position
	start   stream.ID      // the frames are after this
	frames  []*stream.Frame
	covers  stream.ID // everything up to here is in the page
	born    time.Time
	bytes   int64
	shelf   *shelf
	place   *list.Element
}

// after returns the index of the first frame after id.
func (p *page) after(id stream.ID) int {
	return sort.Search(len(p.frames), func(i int) bool { return id.Less(p.frames[i].ID) })
}

// has reports whether a reader at id gets on with this page: it says where
// reading goes on instead, there are frames, or it is known that there are
// none as far as upTo.
func (p *page) has(id, upTo stream.ID) bool {
	if id == p.at {
		if p.start != p.at {
			return true
		}
	} else if i := p.after(id); i == 0 || p.frames[i-1].ID != id {
		return false
	}
	return p.after(id) < len(p.frames) || !p.covers.Less(upTo)
}

// shelf holds the pages of one topic and the wishes for more.
type shelf struct {
	topic    stream.Topic
	epoch    uint32 // of the log; a fork empties the shelf
	pages    []*page
	wishes   list.List // of wish, in the order they came
	wishing  map[wishKey]*list.Element
	fetching bool
	lowest   bool // the next fetch is the lowest wish's, else the oldest's
	avg      int  // bytes of an entry
}

type wish struct {
	at, upTo stream.ID
	waker    stream.Waker
}

// wishKey lets a session that asks again wish only once.
type wishKey struct {
	at    stream.ID
	waker stream.Waker
}

func (s *shelf) wish(w wish) {
	key := wishKey{w.at, w.waker}
	if s.wishing[key] == nil {
		s.wishing[key] = s.wishes.PushBack(w)
	}
}

func (s *shelf) unwish(at stream.ID, w stream.Waker) {
	key := wishKey{at, w}
	if e := s.wishing[key]; e != nil {
		s.wishes.Remove(e)
		delete(s.wishing, key)
	}
}

// next returns the wish whose turn it is.
func (s *shelf) next() wish {
	next := s.wishes.Front().Value.(wish)
	if s.lowest {
		for e := s.wishes.Front(); e != nil; e = e.Next() {
			if w := e.Value.(wish); w.at.Less(next.at) {
				next = w
			}
		}
	}
	s.lowest = !s.lowest
	return next
}

func (h *history) find(s *shelf, at, upTo stream.ID) *page {
	now := time.Now()
	for i := 0; i < len(s.pages); i++ {
		p := s.pages[i]
		switch {
		case now.Sub(p.born) >= pageAge:
			h.drop(p)
			i--
		case p.has(at, upTo):
			h.recent.MoveToBack(p.place)
			return p
		}
	}
	return nil
}

func (h *history) newPage(s *shelf, w wish, behind *page, got stream.Page) *page {
	p := &page{at: w.at, verdict: got.Verdict, start: got.Start, covers: got.End(), born: time.Now(), shelf: s}
	if !got.More && p.covers.Less(w.upTo) {
		p.covers = w.upTo
	}
	p.bytes = 256
	p.frames = make([]*stream.Frame, len(got.Entries))
	for i, e := range got.Entries {
		p.frames[i] = stream.Encode(e, h.maxEntry)
		p.bytes += int64(p.frames[i].Size())
	}
	if behind != nil && len(p.frames) == 0 && p.start == p.at && p.verdict != stream.Reset {
		// Nothing is left in between, so what is behind it follows.
		p.frames, p.covers, p.bytes = behind.frames, behind.covers, behind.bytes
	}
	return p
}

// put adds a page in place of one that began at the same position, and drops
// those least recently read that are then too many.
func (h *history) put(p *page) {
	if p.verdict == stream.Reset {
		// All others may be of the history that is gone. A reader must not go
		// from this page to them, and from them to this page again.
		h.clear(p.shelf)
	}
	for _, old := range p.shelf.pages {
		if old.at == p.at {
			h.drop(old)
			break
		}
	}
	if h.recent.Len() == 0 && h.ctx.Err() == nil {
		h.expiry.Reset(pageAge)
	}
	p.shelf.pages = append(p.shelf.pages, p)
	p.place = h.recent.PushBack(p)
	h.bytes += p.bytes
	for h.bytes > h.max && h.recent.Len() > 1 {
		old := h.recent.Front().Value.(*page)
		h.drop(old)
		h.tidy(old.shelf)
	}
}

// expire drops the pages that are too old to be read, so that a rush of clients
// leaves nothing behind.
func (h *history) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for e := h.recent.Front(); e != nil; {
		p := e.Value.(*page)
		if e = e.Next(); now.Sub(p.born) >= pageAge {
			h.drop(p)
			h.tidy(p.shelf)
		}
	}
	if h.recent.Len() > 0 && h.ctx.Err() == nil {
		h.expiry.Reset(pageAge)
	}
}

func (h *history) drop(p *page) {
	pages := p.shelf.pages
	for i := range pages {
		if pages[i] == p {
			p.shelf.pages = append(pages[:i], pages[i+1:]...)
			break
		}
	}
	h.recent.Remove(p.place)
	h.bytes -= p.bytes
}

func (h *history) clear(s *shelf) {
	for len(s.pages) > 0 {
		h.drop(s.pages[0])
	}
}

// tidy forgets a shelf that holds nothing.
func (h *history) tidy(s *shelf) {
	if len(s.pages) == 0 && s.wishes.Len() == 0 && !s.fetching && h.shelves[s.topic] == s {
		delete(h.shelves, s.topic)
	}
}

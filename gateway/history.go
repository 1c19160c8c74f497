package gateway

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"sort"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// history reads what connections have missed: pages of frames, kept for a
// moment within a bound in bytes, and shared, so that a thousand clients that
// come back to a topic cost a few reads. It waits for the Replayer so that
// nobody else has to:
//
//	session ── page(at) ──► shelf of the topic ──► page ─► session
//	   ▲                        │ none
//	   └──── Wake ◄── fetch ◄───┘ one at a time for a topic
//
// While one fetch is under way the wishes for others gather. Then it is the
// turn of the lowest position wished for, whose page holds most of the others
// too, and next time of the one that has waited longest, so that a client far
// behind does not hold up the rest.
type history struct {
	replayer replayer.Replayer
	maxEntry int
	log      *slog.Logger

	mu      sync.Mutex
	shelves map[stream.Topic]*shelf
	recent  list.List // of *page, the least recently read first
	bytes   int64
	max     int64
	seeks   map[seekKey]*seek
	reads   int64 // fetches and seeks, for the metrics

	slots chan struct{} // reads under way
	ctx   context.Context
	stop  context.CancelFunc
	done  sync.WaitGroup
}

const (
	maxFetches  = 8                // reads under way at a time
	pageBytes   = 256 << 10        // that a page should have
	maxPage     = 1024             // entries of a page
	minPage     = 16               // the same, however large they are
	firstPage   = 128              // the same, when their size is not known
	pageAge     = 10 * time.Second // then a page is read again
	seekAge     = time.Second      // the same for the result of a seek
	readTimeout = 10 * time.Second
	retryMin    = 50 * time.Millisecond
	retryMax    = 2 * time.Second
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
	wishes   []wish // in the order they came
	wishing  map[wishKey]struct{}
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

func (w wish) key() wishKey { return wishKey{w.at, w.waker} }

func newHistory(r replayer.Replayer, max int64, maxEntry int, log *slog.Logger) *history {
	h := &history{
		replayer: r, maxEntry: maxEntry, log: log, max: max,
		shelves: map[stream.Topic]*shelf{}, seeks: map[seekKey]*seek{},
		slots: make(chan struct{}, maxFetches),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

func (h *history) close() {
	h.stop()
	h.done.Wait()
}

// page returns a page with which reading can go on after the position at, as
// far as upTo. If there is none it is fetched, and w is woken. Pages of an
// earlier epoch of the log are forgotten.
func (h *history) page(t stream.Topic, epoch uint32, at, upTo stream.ID, w stream.Waker) *page {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.shelves[t]
	if s == nil {
		s = &shelf{topic: t, epoch: epoch, wishing: map[wishKey]struct{}{}, avg: pageBytes / firstPage, lowest: true}
		h.shelves[t] = s
	}
	if s.epoch < epoch {
		s.epoch = epoch
		h.clear(s)
	}
	if p := h.find(s, at, upTo); p != nil {
		return p
	}
	wish := wish{at, upTo, w}
	if _, have := s.wishing[wish.key()]; have {
		return nil
	}
	s.wishing[wish.key()] = struct{}{}
	s.wishes = append(s.wishes, wish)
	h.fetchNext(s)
	return nil
}

func (h *history) find(s *shelf, at, upTo stream.ID) *page {
	now := time.Now()
	for i := 0; i < len(s.pages); i++ {
		p := s.pages[i]
		switch {
		case now.Sub(p.born) > pageAge:
			h.drop(p)
			i--
		case p.has(at, upTo):
			h.recent.MoveToBack(p.place)
			return p
		}
	}
	return nil
}

// fetchNext begins a fetch if there is a wish and none is under way.
func (h *history) fetchNext(s *shelf) {
	if s.fetching || h.ctx.Err() != nil {
		return
	}
	if len(s.wishes) == 0 {
		h.tidy(s)
		return
	}
	next := s.wishes[0]
	if s.lowest {
		for _, w := range s.wishes {
			if w.at.Less(next.at) {
				next = w
			}
		}
	}
	s.lowest = !s.lowest
	s.fetching = true
	// Not into a page that is there already: readers go over to it.
	var behind *page
	for _, p := range s.pages {
		if p.verdict == stream.Contiguous && len(p.frames) > 0 && next.at.Less(p.at) && p.at.Less(next.upTo) {
			next.upTo, behind = p.at, p
		}
	}
	epoch, limit := s.epoch, min(max(pageBytes/max(s.avg, 1), minPage), maxPage)
	h.done.Go(func() { h.fetch(s, epoch, next, behind, limit) })
}

// fetch reads a page, again and again if the Replayer does not answer. The
// page behind it may be nil.
func (h *history) fetch(s *shelf, epoch uint32, w wish, behind *page, limit int) {
	var got stream.Page
	ok := h.retry(func(ctx context.Context) (err error) {
		got, err = h.replayer.Read(ctx, s.topic, w.at, w.upTo, limit)
		return err
	})
	var p *page
	if ok {
		p = h.newPage(s, w, behind, got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.fetching = false
	if p != nil && s.epoch == epoch {
		if len(p.frames) > 0 {
			s.avg = max(64, int(p.bytes)/len(p.frames))
		}
		h.put(p)
	}
	// Those that can go on are woken. If nothing could be read (the key is not
	// a stream) all are: the log knows why.
	waiting := s.wishes[:0]
	for _, wish := range s.wishes {
		if p == nil || s.epoch != epoch || h.find(s, wish.at, wish.upTo) != nil {
			delete(s.wishing, wish.key())
			wish.waker.Wake()
		} else {
			waiting = append(waiting, wish)
		}
	}
	clear(s.wishes[len(waiting):])
	s.wishes = waiting
	h.fetchNext(s)
}

// retry calls read until it succeeds. It gives up, and returns false, if the
// key is not a stream, or when the history is closed.
func (h *history) retry(read func(context.Context) error) bool {
	backoff := retryMin
	for {
		select {
		case h.slots <- struct{}{}:
		case <-h.ctx.Done():
			return false
		}
		ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
		err := read(ctx)
		cancel()
		<-h.slots
		h.mu.Lock()
		h.reads++
		h.mu.Unlock()
		var wrong *stream.WrongTypeError
		switch {
		case err == nil:
			return true
		case errors.As(err, &wrong):
			backoff = retryMax // and then let the log say
		}
		h.log.Debug("reading history failed", "error", err)
		wait := time.NewTimer(between(backoff/2, backoff))
		select {
		case <-wait.C:
		case <-h.ctx.Done():
			wait.Stop()
			return false
		}
		if wrong != nil {
			return false
		}
		backoff = min(2*backoff, retryMax)
	}
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
		p.frames, p.covers = behind.frames, behind.covers
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
	p.shelf.pages = append(p.shelf.pages, p)
	p.place = h.recent.PushBack(p)
	h.bytes += p.bytes
	for h.bytes > h.max && h.recent.Len() > 1 {
		old := h.recent.Front().Value.(*page)
		h.drop(old)
		h.tidy(old.shelf)
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
	if len(s.pages) == 0 && len(s.wishes) == 0 && !s.fetching && h.shelves[s.topic] == s {
		delete(h.shelves, s.topic)
	}
}

// seekKey makes equal wishes share one seek.
type seekKey struct {
	topic stream.Topic
	since replayer.Since
}

type seek struct {
	done   bool
	ok     bool
	id     stream.ID
	born   time.Time
	wakers []stream.Waker
}

// seek returns the position that since stands for. If it is not known yet, w
// is woken when it is.
func (h *history) seek(t stream.Topic, since replayer.Since, w stream.Waker) (stream.ID, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := seekKey{t, since}
	k := h.seeks[key]
	if k == nil || k.done && (!k.ok || time.Since(k.born) > seekAge) {
		k = &seek{}
		h.seeks[key] = k
		h.done.Go(func() { h.runSeek(key, k) })
	}
	if k.done {
		return k.id, true
	}
	k.wakers = append(k.wakers, w)
	return stream.ID{}, false
}

func (h *history) runSeek(key seekKey, k *seek) {
	var id stream.ID
	ok := h.retry(func(ctx context.Context) (err error) {
		id, err = h.replayer.Seek(ctx, key.topic, key.since)
		return err
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	// A key that is not a stream has no positions: begin at 0-0, and the log
	// says what is wrong.
	k.done, k.ok, k.id, k.born = true, ok || h.ctx.Err() == nil, id, time.Now()
	for _, w := range k.wakers {
		w.Wake()
	}
	k.wakers = nil
	for old, s := range h.seeks {
		if s.done && time.Since(s.born) > seekAge {
			delete(h.seeks, old)
		}
	}
}

// stats returns the bytes of all pages and the number of reads so far.
func (h *history) stats() (bytes, reads int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes, h.reads
}

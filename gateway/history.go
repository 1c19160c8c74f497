package gateway

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
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
	recent  list.List   // of *page, the least recently read first
	expiry  *time.Timer // runs while there are pages
	bytes   int64
	max     int64
	seeks   map[seekKey]*seek
	sought  time.Time // when old seeks were last forgotten
	reads   int64     // fetches and seeks, for the metrics

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

func newHistory(r replayer.Replayer, max int64, maxEntry int, log *slog.Logger) *history {
	h := &history{
		replayer: r, maxEntry: maxEntry, log: log, max: max,
		shelves: map[stream.Topic]*shelf{}, seeks: map[seekKey]*seek{},
		slots: make(chan struct{}, maxFetches),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.expiry = time.AfterFunc(pageAge, h.expire)
	h.expiry.Stop()
	return h
}

// close ends all reads. Who still waits is not answered.
func (h *history) close() {
	h.mu.Lock()
	h.expiry.Stop()
	h.stop() // no read begins after this, since all begin under the lock
	h.mu.Unlock()
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
		s = &shelf{topic: t, epoch: epoch, wishing: map[wishKey]*list.Element{}, avg: pageBytes / firstPage, lowest: true}
		h.shelves[t] = s
	}
	if s.epoch < epoch {
		s.epoch = epoch
		h.clear(s)
	}
	if p := h.find(s, at, upTo); p != nil {
		return p
	}
	s.wish(wish{at, upTo, w})
	h.fetchNext(s)
	return nil
}

// forget takes back what w wished for at a position: it has gone.
func (h *history) forget(t stream.Topic, at stream.ID, w stream.Waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.shelves[t]; s != nil {
		s.unwish(at, w)
		h.tidy(s)
	}
}

// fetchNext begins a fetch if there is a wish and none is under way.
func (h *history) fetchNext(s *shelf) {
	if s.fetching || h.ctx.Err() != nil {
		return
	}
	if s.wishes.Len() == 0 {
		h.tidy(s)
		return
	}
	next := s.next()
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
	for e := s.wishes.Front(); e != nil; {
		wish := e.Value.(wish)
		e = e.Next()
		if p == nil || s.epoch != epoch || p.has(wish.at, wish.upTo) {
			s.unwish(wish.at, wish.waker)
			wish.waker.Wake()
		}
	}
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

// stats returns the bytes of all pages and the number of reads so far.
func (h *history) stats() (bytes, reads int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bytes, h.reads
}

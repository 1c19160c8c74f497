package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// historyTest runs f in a bubble with a history over a slowStore.
func historyTest(t *testing.T, max int64, f func(t *testing.T, h *history, s *slowStore)) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		h := newHistory(s, max, 0, slog.New(slog.NewTextHandler(io.Discard, nil)))
		defer h.close()
		f(t, h, s)
	})
}

// sleeper is a session that waits for history.
type sleeper chan struct{}

func (w sleeper) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func newSleeper() sleeper { return make(sleeper, 1) }

func (w sleeper) woken() bool {
	synctest.Wait()
	select {
	case <-w:
		return true
	default:
		return false
	}
}

// page waits for a page as a session does.
func (w sleeper) page(h *history, t stream.Topic, epoch uint32, at, upTo stream.ID) *page {
	for {
		if p := h.page(t, epoch, at, upTo, w); p != nil {
			return p
		}
		<-w
	}
}

func TestOneReadServesAllWhoWishForAPosition(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		s.gate = make(chan struct{})
		sleepers := make([]sleeper, 1000)
		for i := range sleepers {
			sleepers[i] = newSleeper()
			for range 3 { // asking again is not asking for more
				if p := h.page("a", 0, ids[0], ids[9], sleepers[i]); p != nil {
					t.Fatal("a page before anything was read")
				}
			}
		}
		s.gate <- struct{}{}
		synctest.Wait()
		first := h.page("a", 0, ids[0], ids[9], sleepers[0])
		for i, w := range sleepers {
			if !w.woken() {
				t.Fatalf("session %d was not woken", i)
			}
			if p := h.page("a", 0, ids[0], ids[9], w); p == nil || p != first || len(p.frames) != 9 {
				t.Fatalf("session %d has page %+v", i, p)
			}
		}
		if n := s.reads.Load(); n != 1 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestReadersInsideAPageNeedNoOther(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 100, 10)
		w := newSleeper()
		w.page(h, "a", 0, ids[0], ids[99])
		for i, id := range ids[1:] {
			if h.page("a", 0, id, ids[99], w) == nil {
				t.Fatalf("no page for entry %d", i+1)
			}
		}
		if h.page("a", 0, stream.ID{Ms: ids[50].Ms, Seq: 1 << 40}, ids[99], w) != nil {
			t.Error("a page for a position that is not in it")
		}
	})
}

// A page that is there is not read again: the one before it ends where it
// begins.
func TestAReadStopsWhereAnotherPageBegins(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 100, 10)
		w := newSleeper()
		w.page(h, "a", 0, ids[60], ids[99])
		if p := w.page(h, "a", 0, ids[20], ids[99]); len(p.frames) != 40 || p.covers != ids[60] {
			t.Errorf("%d frames up to %v", len(p.frames), p.covers)
		}
		// Nothing is left between these two.
		s.Delete("a", ids[59])
		s.Delete("a", ids[60])
		if p := w.page(h, "a", 0, ids[58], ids[99]); len(p.frames) == 0 {
			t.Error("a page without frames, though there are some behind it")
		}
		if p := w.page(h, "a", 0, ids[58].Next(), ids[99]); p == nil {
			t.Error("no page")
		}
	})
}

func TestPagesExpire(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		s.fill(t, "b", 10, 10)
		w := newSleeper()
		w.page(h, "a", 0, ids[0], ids[9])
		time.Sleep(pageAge - time.Second)
		w.page(h, "a", 0, ids[0], ids[9])
		if n := s.reads.Load(); n != 1 {
			t.Errorf("a young page was read again: %d reads", n)
		}
		w.page(h, "b", 0, stream.ID{}, ids[9])
		time.Sleep(time.Second)
		w.page(h, "a", 0, ids[0], ids[9])
		if n := s.reads.Load(); n != 3 {
			t.Errorf("an old page was read: %d reads", n)
		}
		// And they go when nobody comes any more.
		time.Sleep(2 * pageAge)
		if bytes, _ := h.stats(); bytes != 0 || len(h.shelves) != 0 {
			t.Errorf("%d bytes and %d shelves are left", bytes, len(h.shelves))
		}
	})
}

func TestPagesAreBoundedInBytes(t *testing.T) {
	const max = 50_000
	historyTest(t, max, func(t *testing.T, h *history, s *slowStore) {
		w := newSleeper()
		for i := range 20 {
			topic := stream.Topic(fmt.Sprint("t", i))
			ids := s.fill(t, topic, 10, 1000)
			w.page(h, topic, 0, ids[0], ids[9])
			if i > 0 { // t0 is read again and again
				w.page(h, "t0", 0, ids[0], ids[9])
			}
			if bytes, _ := h.stats(); bytes > max {
				t.Fatalf("%d bytes", bytes)
			}
		}
		if n := len(h.shelves); n < 2 || n > 6 {
			t.Errorf("%d shelves", n)
		}
		if h.shelves["t0"] == nil {
			t.Error("the page that is read most was dropped")
		}
		// One page is always allowed, or nobody would get on.
		ids := s.fill(t, "big", 10, 100_000)
		if p := w.page(h, "big", 0, ids[0], ids[9]); len(p.frames) == 0 || len(h.shelves) != 1 {
			t.Errorf("%d frames, %d shelves", len(p.frames), len(h.shelves))
		}
	})
}

// Large entries are read a few at a time, small ones many.
func TestPagesAreAsLongAsEntriesAreSmall(t *testing.T) {
	historyTest(t, 64<<20, func(t *testing.T, h *history, s *slowStore) {
		small := s.fill(t, "small", 2000, 10)
		large := s.fill(t, "large", 200, 100_000)
		for _, c := range []struct {
			topic stream.Topic
			ids   []stream.ID
			want  int
		}{{"small", small, maxPage}, {"large", large, minPage}} {
			w := newSleeper()
			p := w.page(h, c.topic, 0, c.ids[0], c.ids[len(c.ids)-1])
			if len(p.frames) != firstPage {
				t.Errorf("%s: the first page has %d frames", c.topic, len(p.frames))
			}
			if p = w.page(h, c.topic, 0, p.covers, c.ids[len(c.ids)-1]); len(p.frames) != c.want {
				t.Errorf("%s: the second page has %d frames, want %d", c.topic, len(p.frames), c.want)
			}
		}
	})
}

func TestPagesOfAnEarlierHistoryAreForgotten(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		w := newSleeper()
		w.page(h, "a", 1, ids[0], ids[9])
		s.gate = make(chan struct{})
		if h.page("a", 2, ids[0], ids[9], w) != nil {
			t.Fatal("a page of epoch 1 in epoch 2")
		}
		// The read that is under way is of epoch 2 when the log is at 3.
		synctest.Wait()
		late := newSleeper()
		h.page("a", 3, ids[0], ids[9], late)
		s.gate <- struct{}{}
		if !late.woken() {
			t.Fatal("nobody was told that the read was for nothing")
		}
		if h.page("a", 3, ids[0], ids[9], late) != nil {
			t.Error("a page that was read in epoch 2 in epoch 3")
		}
		s.gate <- struct{}{}
		if !late.woken() || h.page("a", 3, ids[0], ids[9], late) == nil {
			t.Error("no page of epoch 3")
		}
	})
}

// Whoever goes from a page that says reset to others must not come back to it.
func TestAResetForgetsTheOtherPages(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		w := newSleeper()
		w.page(h, "a", 0, stream.ID{}, ids[9])
		s.Drop("a")
		if p := w.page(h, "a", 0, ids[9].Next(), ids[9].Next()); p.verdict != stream.Reset || p.start != (stream.ID{}) {
			t.Fatalf("%v from %v", p.verdict, p.start)
		}
		if p := w.page(h, "a", 0, stream.ID{}, ids[9]); len(p.frames) > 0 {
			t.Error("a page of the history that is gone")
		}
	})
}

func TestReadsAreRetried(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		s.fail(errNetwork)
		w := newSleeper()
		h.page("a", 0, ids[0], ids[9], w)
		time.Sleep(time.Minute)
		if w.woken() {
			t.Error("woken, though there is nothing")
		}
		// Backing off to 2 s, at least half of it at random.
		if n := s.reads.Load(); n < 30 || n > 70 {
			t.Errorf("%d reads in a minute", n)
		}
		s.fail(nil)
		time.Sleep(retryMax)
		if !w.woken() || h.page("a", 0, ids[0], ids[9], w) == nil {
			t.Error("no page after Redis was back")
		}
	})
}

func TestAReadThatHangsIsGivenUp(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		s.gate = make(chan struct{})
		w := newSleeper()
		h.page("a", 0, ids[0], ids[9], w)
		time.Sleep(readTimeout + time.Second)
		if n := s.reads.Load(); n != 2 {
			t.Fatalf("%d reads", n)
		}
		s.gate <- struct{}{}
		if !w.woken() {
			t.Error("the second read brought nothing")
		}
	})
}

// Of a key that is not a stream the log knows more than the history: the
// session is woken to look there, and does not make Redis busy by it.
func TestAKeyThatIsNoStream(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		s.fail(&stream.WrongTypeError{Key: "sse:a"})
		w := newSleeper()
		start := time.Now()
		for range 10 {
			if h.page("a", 0, stream.ID{}, stream.MaxID, w) != nil {
				t.Fatal("a page")
			}
			<-w
		}
		if d := time.Since(start); d < 10*retryMax/2 {
			t.Errorf("ten reads within %v", d)
		}
		if id, ok := h.seek("a", replayer.Since{Earliest: true}, w); ok {
			t.Errorf("found %v at once", id)
		}
		<-w
		if id, ok := h.seek("a", replayer.Since{Earliest: true}, w); !ok || !id.IsZero() {
			t.Errorf("found %v, %v", id, ok)
		}
	})
}

func TestEqualSeeksAreShared(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		last3, earliest := replayer.Since{Last: 3}, replayer.Since{Earliest: true}
		s.gate = make(chan struct{})
		var sleepers []sleeper
		for range 500 {
			w := newSleeper()
			sleepers = append(sleepers, w)
			h.seek("a", last3, w)
			h.seek("a", earliest, w)
		}
		close(s.gate)
		for _, w := range sleepers {
			if !w.woken() {
				t.Fatal("not woken")
			}
			if id, ok := h.seek("a", last3, w); !ok || id != ids[6] {
				t.Fatalf("last 3 begin after %v", id)
			}
		}
		if n := s.seeks.Load(); n != 2 {
			t.Errorf("%d seeks", n)
		}
		// What was found is soon no longer true.
		more := s.fill(t, "a", 1, 10)
		time.Sleep(seekAge + time.Millisecond)
		w := newSleeper()
		h.seek("a", last3, w)
		if id, ok := h.seek("a", last3, w); w.woken() && ok || id == ids[6] {
			t.Errorf("an old answer, %v", id)
		}
		if id, _ := h.seek("a", last3, w); id != ids[7] {
			t.Errorf("last 3 before %v begin after %v", more[0], id)
		}
		time.Sleep(2 * seekAge)
		h.seek("b", last3, w)
		synctest.Wait()
		if len(h.seeks) != 1 {
			t.Errorf("%d answers are kept", len(h.seeks))
		}
	})
}

func TestClosingEndsReads(t *testing.T) {
	historyTest(t, 1<<20, func(t *testing.T, h *history, s *slowStore) {
		ids := s.fill(t, "a", 10, 10)
		w := newSleeper()
		w.page(h, "a", 0, ids[0], ids[9])
		s.gate = make(chan struct{})
		for i := range 2 * maxFetches { // more than may read at a time
			h.page(stream.Topic(fmt.Sprint("t", i)), 0, ids[0], ids[9], w)
			h.seek(stream.Topic(fmt.Sprint("t", i)), replayer.Since{Earliest: true}, w)
		}
		synctest.Wait()
		if n := s.reads.Load() + s.seeks.Load(); n != maxFetches+1 {
			t.Errorf("%d reads under way", n-1)
		}
		h.close()
		n := s.reads.Load() + s.seeks.Load()
		// Nothing begins any more, and nobody spins.
		for range 100 {
			h.page("b", 0, ids[0], ids[9], w)
			h.seek("b", replayer.Since{Earliest: true}, w)
		}
		time.Sleep(time.Minute)
		if now := s.reads.Load() + s.seeks.Load(); now != n {
			t.Errorf("%d reads after close", now-n)
		}
	})
}

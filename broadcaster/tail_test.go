package broadcaster

import (
	"errors"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

// synced returns a tail that has read the entries 1-0 to n-0 after 0-0.
func synced(t *testing.T, maxBytes int, n uint64) *tail {
	t.Helper()
	tl := &tail{topic: "t", maxBytes: maxBytes}
	tl.wake()
	tl.finish(tl.begin(), result{})
	if e := feed(tl, 1, n); e.events != int(n) {
		t.Fatalf("%d events of %d", e.events, n)
	}
	return tl
}

// feed lets a tail read the entries from first-0 to last-0, after what it has.
func feed(t *tail, first, last uint64) effect {
	t.wake()
	p := t.begin()
	return t.finish(p, result{page: stream.Page{Start: p.at, Entries: numbered(first, last)}})
}

func numbered(first, last uint64) (list []stream.Entry) {
	for n := first; n <= last; n++ {
		list = append(list, stream.Entry{ID: stream.ID{Ms: n}, Fields: []string{"data", "some data"}})
	}
	return list
}

var errSpoilt = &stream.WrongTypeError{Key: "t"}

func TestATailThatCannotBeReadAndGetsNoAnswerIsReadAgainAfterAPause(t *testing.T) {
	tl := synced(t, 1<<20, 1)
	tl.wake()
	if e := tl.finish(tl.begin(), result{err: errSpoilt}); e.unanswered || e.again || e.failed == "" || !e.changed {
		t.Errorf("a key of another type: %+v", e)
	}
	tl.wake()
	if e := tl.finish(tl.begin(), result{err: errSpoilt}); e.unanswered || e.again || e.failed != "" || e.changed {
		t.Errorf("a key that is still of another type: %+v", e)
	}
	tl.wake()
	if e := tl.finish(tl.begin(), result{err: errSim}); !e.unanswered || !e.again || e.changed {
		t.Errorf("no answer: %+v", e)
	}
	if _, err := tl.Read(tl.State().Head); !errors.Is(err, stream.ErrUnavailable) {
		t.Errorf("got error %v, want ErrUnavailable", err)
	}
	p := tl.begin()
	if e := tl.finish(p, result{page: stream.Page{Start: p.at}}); !e.changed || e.again {
		t.Errorf("readable again, with nothing new: %+v", e)
	}
	if _, err := tl.Read(tl.State().Head); err != nil {
		t.Error(err)
	}
}

// Entries of one size push each other out of a full window, which then has as
// many bytes as before.
func TestAFullWindowThatIsAsLargeAsBeforeHasChanged(t *testing.T) {
	tl := synced(t, 1000, 20)
	before := tl.size()
	e := feed(tl, 21, 22)
	if tl.size() != before {
		t.Fatalf("the window had %d bytes and has %d", before, tl.size())
	}
	if !e.window || !e.changed {
		t.Errorf("nothing has changed: %+v", e)
	}
}

// The window may be emptied while the read that compares two histories is
// under way. Where that began is no position of the new one.
func TestAWindowEmptiedDuringAForkDoesNotVouchForItsOldStart(t *testing.T) {
	tl := synced(t, 1<<20, 5)
	reset := func() stream.Page {
		return stream.Page{Verdict: stream.Reset, Start: stream.ID{Ms: 3}, Entries: []stream.Entry{{ID: stream.ID{Ms: 7}}}}
	}
	tl.mu.Lock()
	tl.win.evict(tl.win.bytes - tl.win.at(0).Size()*3) // the window begins after 3-0
	tl.publish()
	tl.mu.Unlock()
	if at := tl.State().Start; at != (stream.ID{Ms: 3}) {
		t.Fatalf("the window begins after %v", at)
	}
	tl.wake()
	tl.finish(tl.begin(), result{page: reset()})
	p := tl.begin()
	if p.at != (stream.ID{Ms: 3}) {
		t.Fatalf("compares from %v on", p.at)
	}
	tl.evictAll()
	if e := tl.finish(p, result{page: reset()}); !e.reset {
		t.Fatalf("no fork: %+v", e)
	}
	if _, err := tl.Seek(stream.ID{Ms: 3}); err == nil {
		t.Error("3-0 is of the history that was lost, and nobody is told")
	}
}

func TestForksOfLongAgoAreKeptTogether(t *testing.T) {
	var w window
	for n := range uint64(1000) {
		w.fork(stream.Fork{Common: stream.ID{Ms: 2000 - n}, Restart: stream.ID{Ms: 3000 - n}}, stream.ID{}, stream.Page{})
	}
	if n := len(w.forks); n > maxForks {
		t.Errorf("%d forks are kept", n)
	}
	for _, epoch := range []uint32{0, 1, 500, 1000 - maxForks, 998, 999} {
		if f := w.since(epoch); f.Common != (stream.ID{Ms: 1001}) || f.Restart != (stream.ID{Ms: 2001}) {
			t.Errorf("since epoch %d: %+v", epoch, f)
		}
	}
	for _, epoch := range []uint32{1000, 1001} { // this one, and one that is not yet
		if f := w.since(epoch); f.Common != stream.MaxID || f.Restart != stream.MaxID {
			t.Errorf("since epoch %d: %+v", epoch, f)
		}
	}
	// The newest are told apart.
	w = window{}
	for n := range uint64(1000) {
		w.fork(stream.Fork{Common: stream.ID{Ms: n}, Restart: stream.ID{Ms: n}}, stream.ID{}, stream.Page{})
	}
	for _, epoch := range []uint32{999, 990, 1001 - maxForks} {
		if f := w.since(epoch); f.Common.Ms != uint64(epoch) {
			t.Errorf("since epoch %d: %+v", epoch, f)
		}
	}
	if f := w.since(3); !f.Common.IsZero() {
		t.Errorf("since epoch 3: %+v, which is more than is known", f)
	}
}

func TestTailsOfMuchTheSameLoadShareACommand(t *testing.T) {
	limits := map[int]bool{}
	for avg := 200; avg < 400; avg++ {
		limits[pageLimit(500, avg)] = true
	}
	if len(limits) > 2 {
		t.Errorf("%d different limits", len(limits))
	}
	for _, n := range []int{1, 10, maxBatch} {
		for _, avg := range []int{0, 64, 1 << 10, 4 << 20} {
			if got := pageLimit(n, avg); got < 8 || got > maxPage || n*got*avg > batchBytes && got != 8 {
				t.Errorf("%d tails of %d bytes an entry read %d each", n, avg, got)
			}
		}
	}
}

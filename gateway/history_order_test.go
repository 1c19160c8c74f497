package gateway

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// onePerPage is a Replayer of an endless history whose pages have one entry.
// Each read is announced and waits for its turn.
type onePerPage struct {
	replayer.Replayer
	asked chan stream.ID
	turn  chan struct{}
}

func (o onePerPage) Read(ctx context.Context, _ stream.Topic, at, _ stream.ID, _ int) (stream.Page, error) {
	select {
	case o.asked <- at:
	case <-ctx.Done():
		return stream.Page{}, ctx.Err()
	}
	select {
	case <-o.turn:
	case <-ctx.Done():
		return stream.Page{}, ctx.Err()
	}
	next := stream.ID{Ms: at.Ms + 1}
	return stream.Page{Start: at, Entries: []stream.Entry{{ID: next, Fields: []string{"data", ""}}}, More: true}, nil
}

// However many others wish, a reader far behind gets every second read, since
// its position is the lowest; and who is not the lowest becomes the oldest.
func TestNobodyStarves(t *testing.T) {
	const others = 50
	synctest.Test(t, func(t *testing.T) {
		r := onePerPage{asked: make(chan stream.ID), turn: make(chan struct{})}
		h := newHistory(r, 1<<20, 0, slog.New(slog.NewTextHandler(io.Discard, nil)))
		defer h.close()
		far, near := newSleeper(), newSleeper()
		at := stream.ID{} // of the one far behind
		wish := func(w sleeper, ms uint64) bool { return h.page("a", 0, stream.ID{Ms: ms}, stream.MaxID, w) != nil }
		fresh := uint64(1_000_000)
		for range others {
			fresh += 2
			wish(newSleeper(), fresh)
		}
		wish(far, at.Ms)
		nearAt := uint64(2_000_000)
		wish(near, nearAt)
		served, waited, nearWaited := 0, 0, 0
		for range 400 {
			<-r.asked
			r.turn <- struct{}{}
			synctest.Wait()
			fresh += 2
			wish(newSleeper(), fresh) // another one every time
			if waited++; far.woken() {
				if waited > 3 {
					t.Errorf("the one far behind waited for %d reads", waited)
				}
				served, waited = served+1, 0
				at.Ms++
				wish(far, at.Ms)
			}
			if nearWaited++; near.woken() {
				nearAt = 0
			}
			if nearAt > 0 && nearWaited > 2*others+10 {
				t.Fatalf("one that came early still waits after %d reads", nearWaited)
			}
		}
		if served < 190 {
			t.Errorf("the one far behind was served %d times in 400 reads", served)
		}
	})
}

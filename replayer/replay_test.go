package replayer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// history is a Replayer that holds pages, one after the other.
type history struct {
	replayer.Replayer
	pages []stream.Page
	reads []stream.ID // positions it was read from
}

func (h *history) Read(_ context.Context, _ stream.Topic, at, _ stream.ID, _ int) (stream.Page, error) {
	h.reads = append(h.reads, at)
	p := h.pages[0]
	h.pages = h.pages[1:]
	return p, nil
}

func entry(ms uint64, fields ...string) stream.Entry {
	return stream.Entry{ID: stream.ID{Ms: ms}, Fields: fields}
}

func replay(t *testing.T, h *history) (got []sse.Event, n int, v stream.Verdict) {
	t.Helper()
	n, v, err := replayer.Replay(context.Background(), h, "t", stream.ID{Ms: 1}, stream.MaxID, func(e sse.Event) error {
		got = append(got, e)
		return nil
	})
	if err != nil || n != len(got) {
		t.Fatalf("%d events, count %d, %v", len(got), n, err)
	}
	return got, n, v
}

func TestReplaySendsEntriesAsAClientGetsThem(t *testing.T) {
	big := strings.Repeat("\x01", stream.DefaultMaxEntry/2) // six times as long in JSON
	got, _, _ := replay(t, &history{pages: []stream.Page{{Start: stream.ID{Ms: 1}, Entries: []stream.Entry{
		entry(2, "data", "a\r\nb\rc", "event", "paid", "retry", "1500", "close", "1"),
		entry(3, "b", "1", "a", "2", "~x", "3"),
		entry(4, "data", "x", "event", "gateway.open"),
		entry(5, "data", "\xff"),
		entry(6, "n", big),
		entry(7, "data", strings.Repeat("x", stream.DefaultMaxEntry)),
		entry(8, "data", ""),
	}}}})
	want := []sse.Event{
		{ID: "2-0", Type: "paid", Data: "a\nb\nc", Retry: 1500 * time.Millisecond},
		{ID: "3-0", Data: `{"b":"1","a":"2"}`},
		{ID: "6-0", Data: `{"n":"` + strings.Repeat(`\u0001`, len(big)) + `"}`},
		{ID: "8-0"},
	}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d: got %.300v, want %.300v", i, got[i], want[i])
		}
	}
}

func TestReplayGoesOnWhereAPageEndedAndTellsTheWorst(t *testing.T) {
	h := &history{pages: []stream.Page{
		{Start: stream.ID{Ms: 1}, Entries: []stream.Entry{entry(2, "data", "")}, More: true},
		{Verdict: stream.Gap, Start: stream.ID{Ms: 6}, Entries: []stream.Entry{entry(7, "data", "")}, More: true},
		{Start: stream.ID{Ms: 7}, Entries: []stream.Entry{entry(8, "data", "\xff")}, More: true},
		{Start: stream.ID{Ms: 8}, Entries: []stream.Entry{entry(9, "data", "")}},
	}}
	_, n, v := replay(t, h)
	if n != 3 || v != stream.Gap {
		t.Errorf("%d events, %v", n, v)
	}
	for i, ms := range []uint64{1, 2, 7, 8} {
		if h.reads[i] != (stream.ID{Ms: ms}) {
			t.Errorf("page %d was read from %v, want %d-0", i, h.reads[i], ms)
		}
	}
}

// A Replayer that says there is more and has nothing must not be asked for ever.
func TestReplayEndsWithoutProgress(t *testing.T) {
	replay(t, &history{pages: []stream.Page{{Start: stream.ID{Ms: 1}, More: true}}})
}

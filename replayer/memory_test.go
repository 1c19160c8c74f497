package replayer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// clock is a clock that a test moves by hand.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func store(t *testing.T, r replayer.Replayer, data string) stream.ID {
	t.Helper()
	id, err := r.Store(context.Background(), "t", stream.Message{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func read(t *testing.T, r replayer.Replayer, at stream.ID) stream.Page {
	t.Helper()
	p, err := r.Read(context.Background(), "t", at, stream.MaxID, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMemoryIDsIncreaseWhateverTheClockDoes(t *testing.T) {
	c := &clock{time.UnixMilli(1000)}
	m := replayer.NewMemory(replayer.MemoryOptions{Now: c.time})
	for _, step := range []struct {
		now  int64
		want string
	}{
		{1000, "1000-0"}, {1000, "1000-1"}, {1001, "1001-0"}, {500, "1001-1"}, {-7, "1001-2"}, {2000, "2000-0"},
	} {
		c.now = time.UnixMilli(step.now)
		if id := store(t, m, ""); id.String() != step.want {
			t.Errorf("at %d: got %v, want %s", step.now, id, step.want)
		}
	}
	c.now = time.UnixMilli(-7)
	m = replayer.NewMemory(replayer.MemoryOptions{Now: c.time})
	if id := store(t, m, ""); id.String() != "0-1" {
		t.Errorf("the least id is %v, want 0-1", id)
	}
}

func TestMemoryForgetsWhatIsTooOldBeforeItIsRead(t *testing.T) {
	c := &clock{time.UnixMilli(1_000_000)}
	m := replayer.NewMemory(replayer.MemoryOptions{Now: c.time, TTL: time.Minute})
	first := store(t, m, "1")
	c.now = c.now.Add(40 * time.Second)
	second := store(t, m, "2")
	c.now = c.now.Add(20 * time.Second)
	if p := read(t, m, first); p.Verdict != stream.Contiguous || len(p.Entries) != 1 {
		t.Errorf("an entry as old as the TTL is gone: %+v", p)
	}
	c.now = c.now.Add(time.Millisecond)
	if p := read(t, m, first); p.Verdict != stream.Gap || p.Start != second.Prev() || len(p.Entries) != 1 {
		t.Errorf("after the first expired: %+v", p)
	}
	if at, err := m.Seek(context.Background(), "t", replayer.Since{Earliest: true}); err != nil || at != second.Prev() {
		t.Errorf("earliest is %v, %v", at, err)
	}
	c.now = c.now.Add(time.Hour)
	info, err := m.Bounds(context.Background(), "t")
	want := stream.Info{Exists: true, LastGenerated: second, Counters: true, Added: 2}
	if err != nil || info != want {
		t.Errorf("after all expired: %+v, %v", info, err)
	}
	if p := read(t, m, second); p.Verdict != stream.Contiguous {
		t.Errorf("one who has had everything got %v", p.Verdict)
	}
}

func TestMemoryIsBoundedInEventsAndBytes(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{MaxEvents: 10, MaxBytes: 1000})
	var last stream.ID
	for range 500 {
		last = store(t, m, "x")
	}
	if p := read(t, m, stream.ID{}); len(p.Entries) != 10 || p.Verdict != stream.Gap || p.End() != last {
		t.Errorf("%v, %d entries up to %v", p.Verdict, len(p.Entries), p.End())
	}
	for range 5 {
		last = store(t, m, strings.Repeat("x", 296)) // 300 with the name
	}
	if p := read(t, m, stream.ID{}); len(p.Entries) != 3 || p.End() != last {
		t.Errorf("%d entries of 300 bytes in 1000", len(p.Entries))
	}
	last = store(t, m, strings.Repeat("x", 5000))
	if p := read(t, m, last.Prev()); len(p.Entries) != 1 || p.End() != last {
		t.Errorf("an entry over the limit of the topic: %+v", p.Verdict)
	}
	if p := read(t, m, stream.ID{}); len(p.Entries) != 1 {
		t.Errorf("%d entries are left beside it", len(p.Entries))
	}
}

func TestMemoryKeepsAThousandEventsByDefault(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{})
	for i := range 1100 {
		store(t, m, fmt.Sprint(i))
	}
	if p, err := m.Read(context.Background(), "t", stream.ID{}, stream.MaxID, 5000); err != nil || len(p.Entries) != 1000 {
		t.Errorf("%d entries, %v", len(p.Entries), err)
	}
}

func TestPagesStayAsTheyWereRead(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{MaxEvents: 4})
	first := store(t, m, "0")
	for i := range 3 {
		store(t, m, fmt.Sprint(i+1))
	}
	p := read(t, m, first)
	m.Delete("t", p.Entries[0].ID)
	for i := range 100 {
		store(t, m, fmt.Sprint("later", i))
	}
	for i, e := range p.Entries {
		if want := fmt.Sprint(i + 1); len(e.Fields) != 2 || e.Fields[1] != want {
			t.Errorf("entry %d became %q", i, e.Fields)
		}
	}
}

func TestMaxEntryLimitsWhatIsStored(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{MaxEntry: 10})
	if _, err := m.Store(context.Background(), "t", stream.Message{Data: "123456"}); err != nil {
		t.Errorf("10 bytes with the name: %v", err)
	}
	if _, err := m.Store(context.Background(), "t", stream.Message{Data: "1234567"}); !errors.Is(err, stream.FaultTooLarge) {
		t.Errorf("11 bytes: %v", err)
	}
}

func TestTheEarliestPositionIsTheStartUntilSomethingIsTrimmed(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{})
	store(t, m, "1")
	second := store(t, m, "2")
	since := replayer.Since{Earliest: true}
	if at, err := m.Seek(context.Background(), "t", since); err != nil || !at.IsZero() {
		t.Errorf("got %v, %v", at, err)
	}
	m.Trim("t", 1)
	if at, err := m.Seek(context.Background(), "t", since); err != nil || at != second.Prev() {
		t.Errorf("after trimming: got %v, %v, want %v", at, err, second.Prev())
	}
}

func TestMemoryForgetsWhatItIsToldTo(t *testing.T) {
	m := replayer.NewMemory(replayer.MemoryOptions{})
	if m.Delete("t", stream.ID{Ms: 1}) {
		t.Error("deleted from a topic that is not there")
	}
	m.Trim("t", 0)
	m.Drop("t")
	id := store(t, m, "x")
	if m.Delete("t", id.Next()) || !m.Delete("t", id) || m.Delete("t", id) {
		t.Error("Delete does not tell what it did")
	}
	m.Trim("t", -1)
}

func BenchmarkMemoryStore(b *testing.B) {
	m := replayer.NewMemory(replayer.MemoryOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Store(context.Background(), "t", stream.Message{Data: "x"}); err != nil {
			b.Fatal(err)
		}
	}
}

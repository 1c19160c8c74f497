package sse_test

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

func TestAppendLaysOutEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		in   sse.Event
		want string
	}{
		{"id, type and data", sse.Event{ID: "1", Type: "Add", Data: "text"}, "id: 1\nevent: Add\ndata: text\n\n"},
		{"every field in its order", sse.Event{ID: "1", Type: "Add", Data: "text", Retry: time.Second}, "id: 1\nevent: Add\nretry: 1000\ndata: text\n\n"},
		{"the zero event", sse.Event{}, "data: \n\n"},
		{"a final LF is a second line", sse.Event{Data: "x\n"}, "data: x\ndata: \n\n"},
		{"LF splits lines", sse.Event{Data: "a\nb\n\nc"}, "data: a\ndata: b\ndata: \ndata: c\n\n"},
		{"CR splits lines", sse.Event{Data: "a\rb\r\rc\r"}, "data: a\ndata: b\ndata: \ndata: c\ndata: \n\n"},
		{"CRLF splits lines once", sse.Event{Data: "a\r\nb\r\n\r\nc\r\n"}, "data: a\ndata: b\ndata: \ndata: c\ndata: \n\n"},
		{"LF CR splits lines twice", sse.Event{Data: "a\n\rb"}, "data: a\ndata: \ndata: b\n\n"},
		{"mixed line ends", sse.Event{Data: "a\rb\nc\r\nd\r\r\ne"}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"},
		{"leading spaces survive", sse.Event{ID: " 1", Type: " a", Data: " x\n  y"}, "id:  1\nevent:  a\ndata:  x\ndata:   y\n\n"},
		{"fields in data stay data", sse.Event{Data: "a\n\nid: 9\nevent: b"}, "data: a\ndata: \ndata: id: 9\ndata: event: b\n\n"},
		{"colons need no care", sse.Event{ID: ":", Type: "a:b", Data: ":"}, "id: :\nevent: a:b\ndata: :\n\n"},
		{"NUL in type and data", sse.Event{Type: "\x00", Data: "\x00"}, "event: \x00\ndata: \x00\n\n"},
		{"retry -1", sse.Event{Retry: -1}, "data: \n\n"},
		{"retry -1 s", sse.Event{Retry: -time.Second}, "data: \n\n"},
		{"retry 1 µs", sse.Event{Retry: time.Microsecond}, "data: \n\n"},
		{"retry 1 ms", sse.Event{Retry: time.Millisecond}, "retry: 1\ndata: \n\n"},
		{"retry in whole ms", sse.Event{Retry: 1999 * time.Microsecond}, "retry: 1\ndata: \n\n"},
		{"the longest retry", sse.Event{Retry: math.MaxInt64}, "retry: 9223372036854\ndata: \n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := sse.Append([]byte("before"), c.in)
			if err != nil || string(got) != "before"+c.want {
				t.Errorf("got %q, %v\nwant %q", got, err, "before"+c.want)
			}
		})
	}
}

func TestAppendRefusesWhatWouldBeginAnotherField(t *testing.T) {
	for _, c := range []struct {
		name string
		in   sse.Event
		want sse.FieldError
	}{
		{"CR in id", sse.Event{ID: "1\rdata: x"}, sse.FieldError{Field: "id", Offset: 1, Byte: '\r'}},
		{"LF in id", sse.Event{ID: "12\ndata: x"}, sse.FieldError{Field: "id", Offset: 2, Byte: '\n'}},
		{"NUL in id", sse.Event{ID: "\x00"}, sse.FieldError{Field: "id", Offset: 0, Byte: 0}},
		{"CR in type", sse.Event{ID: "1", Type: "a\r"}, sse.FieldError{Field: "event", Offset: 1, Byte: '\r'}},
		{"LF in type", sse.Event{ID: "1", Type: "\na"}, sse.FieldError{Field: "event", Offset: 0, Byte: '\n'}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := sse.Append([]byte("before"), c.in)
			var field *sse.FieldError
			if !errors.As(err, &field) || *field != c.want || field.Error() == "" {
				t.Errorf("got %v, want %v", err, &c.want)
			}
			if string(got) != "before" {
				t.Errorf("%q was appended", got)
			}
			if sse.ValidID(c.in.ID) && sse.ValidType(c.in.Type) {
				t.Error("ValidID and ValidType let it pass")
			}
		})
	}
}

func TestFieldsAreAppendedAlone(t *testing.T) {
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return b
	}
	for _, c := range []struct{ name, want, got string }{
		{"id", "id: 1-0\n", string(must(sse.AppendID(nil, "1-0")))},
		{"id from bytes", "id: 1-0\n", string(must(sse.AppendID(nil, []byte("1-0"))))},
		{"an empty id is a reset", "id: \n", string(must(sse.AppendID(nil, "")))},
		{"type", "event: a\n", string(must(sse.AppendType(nil, "a")))},
		{"type from bytes", "event: a\n", string(must(sse.AppendType(nil, []byte("a"))))},
		{"data", "data: a\ndata: b\n", string(sse.AppendData(nil, "a\nb"))},
		{"retry", "retry: 2000\n", string(sse.AppendRetry(nil, 2*time.Second))},
		{"no retry", "", string(sse.AppendRetry(nil, 999*time.Microsecond))},
		{"comment", ": a\n", string(sse.AppendComment(nil, "a"))},
		{"heartbeat", ":\n", string(sse.AppendComment(nil, ""))},
		{"a comment cannot become a field", ": a\n: data: x\n:\n: id: 1\n: b\n", string(sse.AppendComment(nil, "a\ndata: x\r\rid: 1\r\nb"))},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if b, err := sse.AppendID([]byte("x"), []byte("1\n")); err == nil || string(b) != "x" {
		t.Errorf("AppendID: %q, %v", b, err)
	}
	if b, err := sse.AppendType([]byte("x"), "a\r"); err == nil || string(b) != "x" {
		t.Errorf("AppendType: %q, %v", b, err)
	}
}

// writes records each Write.
type writes struct {
	each []string
	err  error
}

func (w *writes) Write(p []byte) (int, error) {
	w.each = append(w.each, string(p))
	return len(p), w.err
}

func TestEncoderWritesEachEventOnce(t *testing.T) {
	var w writes
	enc := sse.NewEncoder(&w)
	for _, err := range []error{
		enc.Encode(sse.Event{ID: "1", Data: "a\nb"}),
		enc.Comment(""),
		enc.Comment("a\nb"),
		enc.Encode(sse.Event{Data: "c"}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"id: 1\ndata: a\ndata: b\n\n", ":\n", ": a\n: b\n", "data: c\n\n"}
	if len(w.each) != len(want) {
		t.Fatalf("%d writes: %q", len(w.each), w.each)
	}
	for i := range want {
		if w.each[i] != want[i] {
			t.Errorf("write %d: got %q, want %q", i, w.each[i], want[i])
		}
	}
}

func TestEncoderWritesNothingOfAnInvalidEvent(t *testing.T) {
	var w writes
	enc := sse.NewEncoder(&w)
	var field *sse.FieldError
	if err := enc.Encode(sse.Event{ID: "1\n", Data: "a"}); !errors.As(err, &field) || len(w.each) != 0 {
		t.Errorf("got %v, wrote %q", err, w.each)
	}
	if err := enc.Encode(sse.Event{Data: "b"}); err != nil || len(w.each) != 1 {
		t.Errorf("the encoder is not usable after it: %v, %q", err, w.each)
	}
}

func TestEncoderPassesOnTheWritersErrors(t *testing.T) {
	gone := errors.New("gone")
	enc := sse.NewEncoder(&writes{err: gone})
	if err := enc.Encode(sse.Event{}); err != gone {
		t.Error(err)
	}
	if err := enc.Comment(""); err != gone {
		t.Error(err)
	}
}

func TestEncoderSurvivesALargeEvent(t *testing.T) {
	var b bytes.Buffer
	enc := sse.NewEncoder(&b)
	large := string(bytes.Repeat([]byte("x"), 4<<20))
	for _, data := range []string{"a", large, "b"} {
		if err := enc.Encode(sse.Event{Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := decodeAll(&b)
	if err != nil || len(got.events) != 3 || got.events[1].Data != large || got.events[2].Data != "b" {
		t.Errorf("%d events, %v", len(got.events), err)
	}
}

func TestAppendAllocatesNothingWhereThereIsRoom(t *testing.T) {
	e := sse.Event{ID: "1712000000000-0", Type: "order.added", Data: "{\n\"n\": 1,\r\n\"m\": 2\r}", Retry: 3 * time.Second}
	id := []byte("1712000000000-0")
	buf := make([]byte, 0, 1024)
	for name, f := range map[string]func() error{
		"Append":     func() error { _, err := sse.Append(buf, e); return err },
		"AppendID":   func() error { _, err := sse.AppendID(buf, id); return err },
		"AppendType": func() error { _, err := sse.AppendType(buf, e.Type); return err },
		"the rest": func() error {
			_ = sse.AppendComment(sse.AppendRetry(sse.AppendData(buf, e.Data), e.Retry), e.Data)
			return nil
		},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

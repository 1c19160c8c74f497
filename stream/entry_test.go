package stream_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

func frame(fields ...string) *stream.Frame {
	return stream.Encode(stream.Entry{ID: stream.ID{Ms: 7, Seq: 1}, Fields: fields}, 0)
}

// decodeFrame reads a frame with a decoder, and checks that it is one event.
func decodeFrame(t testing.TB, f *stream.Frame, form stream.Form, topic stream.Topic) sse.Event {
	t.Helper()
	all := slices.Concat(f.IDLine(), f.Rest(form, topic))
	d := sse.NewDecoder(bytes.NewReader(all), sse.MaxEventSize(len(all)))
	e, err := d.Decode()
	if err != nil {
		t.Fatalf("%.300q: %v", all, err)
	}
	if more, err := d.Decode(); err != io.EOF {
		t.Fatalf("%.300q holds a second event %+v, %v", all, more, err)
	}
	return e
}

func TestEntriesWithDataAreEvents(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   sse.Event
		close  bool
	}{
		{"data alone", []string{"data", "x"}, sse.Event{Data: "x"}, false},
		{"empty data", []string{"data", ""}, sse.Event{}, false},
		{"every field", []string{"event", "paid", "data", "x", "retry", "1500", "close", "1", "traceparent", "00-1", "~by", "me"},
			sse.Event{Type: "paid", Data: "x", Retry: 1500 * time.Millisecond}, true},
		{"any order", []string{"close", "1", "retry", "2", "data", "x", "event", "e"}, sse.Event{Type: "e", Data: "x", Retry: 2 * time.Millisecond}, true},
		{"empty type", []string{"data", "x", "event", ""}, sse.Event{Data: "x"}, false},
		{"unknown fields", []string{"data", "x", "other", "y", "id", "9", "Data", "z", "DATA", "z"}, sse.Event{Data: "x"}, false},
		{"the last of duplicates", []string{"data", "1", "event", "a", "data", "2", "event", "b", "close", "1", "close", "0", "retry", "5", "retry", "6"},
			sse.Event{Type: "b", Data: "2", Retry: 6 * time.Millisecond}, false},
		{"a last duplicate that is no number", []string{"data", "", "retry", "5", "retry", "x"}, sse.Event{}, false},
		{"close is 1 or nothing", []string{"data", "x", "close", "true"}, sse.Event{Data: "x"}, false},
		{"close with a space", []string{"data", "x", "close", " 1"}, sse.Event{Data: "x"}, false},
		{"a name without its value", []string{"data", "x", "event"}, sse.Event{Data: "x"}, false},
		{"line ends", []string{"data", "a\nb\rc\r\nd\n\ne\n"}, sse.Event{Data: "a\nb\nc\nd\n\ne\n"}, false},
		{"a line end alone", []string{"data", "\n"}, sse.Event{Data: "\n"}, false},
		{"leading and trailing spaces", []string{"data", "  x \n y ", "event", " e "}, sse.Event{Type: " e ", Data: "  x \n y "}, false},
		{"what looks like fields", []string{"data", "data: x\nevent: y\nid: 1\n: z\n\nretry: 5", "event", "data: x"},
			sse.Event{Type: "data: x", Data: "data: x\nevent: y\nid: 1\n: z\n\nretry: 5"}, false},
		{"NUL and others", []string{"data", "\x00\u0085\u2028\ufeff", "event", "\x00"}, sse.Event{Type: "\x00", Data: "\x00\u0085\u2028\ufeff"}, false},
		{"a type that is nearly reserved", []string{"data", "", "event", "gateway"}, sse.Event{Type: "gateway"}, false},
		{"a type that is reserved in capitals", []string{"data", "", "event", "Gateway.open"}, sse.Event{Type: "Gateway.open"}, false},
		{"binary beside the event", []string{"data", "x", "traceparent", "\xff", "~n", "\xff", "other", "\xff"}, sse.Event{Data: "x"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := frame(c.fields...)
			if f.Kind != stream.KindEvent || f.Fault != "" {
				t.Fatalf("kind %v, fault %v", f.Kind, f.Fault)
			}
			c.want.ID = "7-1"
			if got := decodeFrame(t, f, stream.FormEvent, ""); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if f.Close != c.close {
				t.Errorf("close is %v", f.Close)
			}
		})
	}
}

func TestRetryIsDigitsOnly(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "1": time.Millisecond, "00100": 100 * time.Millisecond, "9223372036854": 9223372036854 * time.Millisecond,
		"9223372036855": 0, "18446744073709551616": 0, "": 0, "+7": 0, "-7": 0, "7 ": 0, " 7": 0, "7.0": 0, "1e3": 0, "0x1": 0, "7_0": 0, "٧": 0, "7\n": 0,
	} {
		if got := decodeFrame(t, frame("data", "", "retry", text), stream.FormEvent, "").Retry; got != want {
			t.Errorf("retry %q is %v, want %v", text, got, want)
		}
	}
}

func TestEntriesWithoutDataAreSentAsJSON(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"in the order of the fields", []string{"z", "1", "a", "2", "m", "3"}, `{"z":"1","a":"2","m":"3"}`},
		{"no name is special", []string{"event", "e\n", "retry", "x", "close", "1", "id", "9", "traceparent", "t"}, `{"event":"e\n","retry":"x","close":"1","id":"9","traceparent":"t"}`},
		{"reserved types are values like others", []string{"event", "gateway.open"}, `{"event":"gateway.open"}`},
		{"the last of duplicates at the place of the first", []string{"a", "1", "b", "2", "a", "3"}, `{"a":"3","b":"2"}`},
		{"the gateway's own fields are left out", []string{"~by", "me", "a", "1", "~", "x", "a~", "2"}, `{"a":"1","a~":"2"}`},
		{"own fields may be binary", []string{"~sum", "\xff", "\x7e\xff", "", "a", "1"}, `{"a":"1"}`},
		{"none", nil, `{}`},
		{"own fields alone", []string{"~by", "me"}, `{}`},
		{"names that are odd", []string{"", "1", `"`, "2", "\\", "3", "\n", "4"}, `{"":"1","\"":"2","\\":"3","\n":"4"}`},
		{"HTML is left as it is", []string{"<a>", "&\u2028"}, `{"<a>":"&\u2028"}`},
		{"values are text", []string{"n", "1", "b", "true", "o", `{"x":1}`}, `{"n":"1","b":"true","o":"{\"x\":1}"}`},
		{"unicode", []string{"größe", "日本🎈"}, `{"größe":"日本🎈"}`},
		{"a name without its value", []string{"a", "1", "b"}, `{"a":"1"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := frame(c.fields...)
			if f.Kind != stream.KindEvent || f.Close {
				t.Fatalf("kind %v, fault %v, close %v", f.Kind, f.Fault, f.Close)
			}
			if got, want := decodeFrame(t, f, stream.FormEvent, ""), (sse.Event{ID: "7-1", Data: c.want}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestEntriesThatCannotBeSentAreSkippedWithAReason(t *testing.T) {
	for _, c := range []struct {
		fault  stream.Fault
		fields []string
	}{
		{stream.FaultNotUTF8, []string{"data", "\xff"}},
		{stream.FaultNotUTF8, []string{"data", "x", "event", "\xff"}},
		{stream.FaultNotUTF8, []string{"data", "\xed\xa0\x80"}},
		{stream.FaultNotUTF8, []string{"a", "\xff"}},
		{stream.FaultNotUTF8, []string{"\xff", "a"}},
		{stream.FaultNotUTF8, []string{"a", "\xff", "a", "x"}},
		{stream.FaultBadEvent, []string{"data", "x", "event", "a\nb"}},
		{stream.FaultBadEvent, []string{"data", "x", "event", "a\r"}},
		{stream.FaultBadEvent, []string{"data", "x", "event", "gateway.\n"}},
		{stream.FaultReservedEvent, []string{"data", "x", "event", "gateway."}},
		{stream.FaultReservedEvent, []string{"data", "x", "event", "gateway.open", "close", "1"}},
		{stream.FaultTooLarge, []string{"data", strings.Repeat("x", stream.DefaultMaxEntry-3)}},
		{stream.FaultTooLarge, []string{strings.Repeat("x", stream.DefaultMaxEntry), "y"}},
	} {
		f := frame(c.fields...)
		if f.Kind != stream.KindSkip || f.Fault != c.fault || f.Close || f.ID != (stream.ID{Ms: 7, Seq: 1}) {
			t.Errorf("%.60q: kind %v, fault %q, close %v; want %q", c.fields, f.Kind, string(f.Fault), f.Close, string(c.fault))
		}
	}
	if f := frame("data", strings.Repeat("x", stream.DefaultMaxEntry-4)); f.Kind != stream.KindEvent {
		t.Error("an entry of just the limit was skipped")
	}
	for max, want := range map[int]stream.Kind{5: stream.KindEvent, 4: stream.KindSkip, -1: stream.KindEvent} {
		if f := stream.Encode(stream.Entry{Fields: []string{"data", "x"}}, max); f.Kind != want {
			t.Errorf("5 bytes with a limit of %d: kind %v", max, f.Kind)
		}
	}
}

func TestFaultsSayWhatToDo(t *testing.T) {
	for _, f := range []stream.Fault{stream.FaultNotUTF8, stream.FaultBadEvent, stream.FaultReservedEvent, stream.FaultTooLarge} {
		err := &stream.UnsendableError{Topic: "orders", ID: stream.ID{Ms: 1}, Fault: f}
		if f.Error() == string(f) || !strings.Contains(err.Error(), f.Error()) || !strings.Contains(err.Error(), "orders") || !strings.Contains(err.Error(), "1-0") {
			t.Errorf("%s: %v", string(f), err)
		}
	}
	if stream.Fault("new").Error() != "new" {
		t.Error("an unknown fault says nothing")
	}
}

func TestMessagesBecomeTheEntriesThatCarryThem(t *testing.T) {
	for _, c := range []struct {
		m    stream.Message
		want []string
	}{
		{stream.Message{}, []string{"data", ""}},
		{stream.Message{Data: "a\nb"}, []string{"data", "a\nb"}},
		{stream.Message{Event: "e", Data: "x", Retry: 1999 * time.Microsecond, Close: true, Traceparent: "00-1"},
			[]string{"event", "e", "data", "x", "retry", "1", "close", "1", "traceparent", "00-1"}},
		{stream.Message{Retry: 999 * time.Microsecond}, []string{"data", ""}},
		{stream.Message{Retry: -time.Second}, []string{"data", ""}},
	} {
		got, err := c.m.Fields()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: got %q, %v, want %q", c.m, got, err, c.want)
		}
	}
	for want, m := range map[stream.Fault]stream.Message{
		stream.FaultBadEvent:      {Event: "a\rb"},
		stream.FaultReservedEvent: {Event: "gateway.closed"},
		stream.FaultNotUTF8:       {Data: "\xc3"},
	} {
		if _, err := m.Fields(); !errors.Is(err, want) {
			t.Errorf("%+v: got %v", m, err)
		}
	}
	if _, err := (stream.Message{Event: "\xff"}).Fields(); !errors.Is(err, stream.FaultNotUTF8) {
		t.Errorf("a type that is not UTF-8: got %v", err)
	}
}

func TestTheSizeOfAnEntryIsItsBytes(t *testing.T) {
	if n := (stream.Entry{Fields: []string{"ä", "xy", "", "z"}}).Size(); n != 5 {
		t.Error(n)
	}
}

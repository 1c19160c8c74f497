package stream_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// lineEnds is what a client makes of line ends within data.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// Whatever an entry holds, a client gets one event with what the entry says,
// or the entry is not sent: none can write another field, or a second event.
func FuzzEncode(f *testing.F) {
	f.Add("data", "x", "event", "paid", "retry", "1500", uint64(1), uint64(2))
	f.Add("data", "a\nid: 9\n\ndata: b", "event", "e\nid: 9", "close", "1", uint64(0), uint64(0))
	f.Add("n", "1", "event", "gateway.open", "~x", "y", uint64(1<<63), uint64(1<<63))
	f.Add("data", "\r\r\n\n\x00", "event", "", "data", "z\u2028", uint64(5), uint64(0))
	f.Add("\xff", "\xfe", "data", "\ufeff", "retry", "+5", uint64(5), uint64(0))
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string, ms, seq uint64) {
		fields := []string{n1, v1, n2, v2, n3, v3}
		e := stream.Entry{ID: stream.ID{Ms: ms, Seq: seq}, Fields: fields}
		last := make(map[string]string)
		for i := 0; i < len(fields); i += 2 {
			last[fields[i]] = fields[i+1]
		}
		frame := stream.Encode(e, 0)
		data, isEvent := last["data"]
		if frame.Kind == stream.KindSkip {
			if sendable(fields, last, isEvent) {
				t.Fatalf("%q is not sent: %v", fields, frame.Fault)
			}
			return
		}
		want := sse.Event{ID: e.ID.String()}
		if isEvent {
			want.Type, want.Data = last["event"], lineEnds.Replace(data)
		}
		got := decodeFrame(t, frame, stream.FormEvent, "")
		if got.Retry != 0 && last["retry"] == "" {
			t.Fatalf("%q: a retry field from nowhere: %v", fields, got.Retry)
		}
		got.Retry = 0
		if !isEvent {
			var object map[string]string
			if err := json.Unmarshal([]byte(got.Data), &object); err != nil {
				t.Fatalf("%q: %v", got.Data, err)
			}
			for name, v := range last {
				if w, ok := object[name]; ok != !strings.HasPrefix(name, "~") || ok && w != v {
					t.Fatalf("%q: field %q is %q", fields, name, w)
				}
			}
			got.Data = ""
		}
		if got != want {
			t.Fatalf("%q:\ngot  %+v\nwant %+v", fields, got, want)
		}
		envelope := decodeFrame(t, frame, stream.FormEnvelope, "t")
		var members struct{ Topic, ID, Event, Data string }
		if err := json.Unmarshal([]byte(envelope.Data), &members); err != nil || envelope.Type != "" || envelope.ID != want.ID {
			t.Fatalf("%q: %+v, %v", fields, envelope, err)
		}
		if members.Topic != "t" || members.ID != want.ID || members.Event != want.Name() || isEvent && members.Data != want.Data {
			t.Fatalf("%q: %+v", fields, members)
		}
		if unchunk(t, frame.Chunks(stream.FormEvent, "")) != string(frame.IDLine())+string(frame.Rest(stream.FormEvent, "")) {
			t.Fatalf("%q: the chunks differ", fields)
		}
	})
}

// sendable says what must be sent. Of a domain entry every field is looked at,
// also those that a later one of the same name replaces.
func sendable(fields []string, last map[string]string, isEvent bool) bool {
	if isEvent {
		event := last["event"]
		return utf8.ValidString(last["data"]) && utf8.ValidString(event) && !strings.ContainsAny(event, "\r\n") && !strings.HasPrefix(event, "gateway.")
	}
	for i := 0; i < len(fields); i += 2 {
		if !strings.HasPrefix(fields[i], "~") && !(utf8.ValidString(fields[i]) && utf8.ValidString(fields[i+1])) {
			return false
		}
	}
	return true
}

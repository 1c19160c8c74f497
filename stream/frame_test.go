package stream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// unchunk reads a body in HTTP/1.1 chunked framing that goes on.
func unchunk(t *testing.T, chunks []byte) string {
	t.Helper()
	body, err := io.ReadAll(httputil.NewChunkedReader(io.MultiReader(bytes.NewReader(chunks), strings.NewReader("0\r\n\r\n"))))
	if err != nil {
		t.Fatalf("%.200q: %v", chunks, err)
	}
	return string(body)
}

func TestFramesAreWrittenAsTheyGoOverTheWire(t *testing.T) {
	f := stream.Encode(stream.Entry{ID: id("1700000000000-0"), Fields: []string{"event", "paid", "data", "{}"}}, 0)
	if got := string(f.Chunks(stream.FormEvent, "")); got != "14\r\nid: 1700000000000-0\n\r\n16\r\nevent: paid\ndata: {}\n\n\r\n" {
		t.Errorf("%q", got)
	}
	f = stream.Encode(stream.Entry{ID: id("1-0"), Fields: []string{"data", "a\r\nb", "retry", "10"}}, 0)
	if got := string(f.IDLine()) + string(f.Rest(stream.FormEvent, "")); got != "id: 1-0\nretry: 10\ndata: a\ndata: b\n\n" {
		t.Errorf("%q", got)
	}
}

func TestChunksHoldTheIDLineAndTheRest(t *testing.T) {
	for _, at := range []stream.ID{{}, {Ms: 1700000000000}, stream.MaxID} {
		for _, n := range []int{0, 1, 5, 6, 7, 8, 9, 200, 245, 246, 247, 248, 249, 4085, 4086, 4087, 4088, 4089, 65528, 1 << 20} {
			f := stream.Encode(stream.Entry{ID: at, Fields: []string{"data", strings.Repeat("x", n)}}, 0)
			for _, form := range []stream.Form{stream.FormEvent, stream.FormEnvelope} {
				id, rest := string(f.IDLine()), string(f.Rest(form, "t"))
				if id != "id: "+at.String()+"\n" || !strings.HasSuffix(rest, "\n\n") {
					t.Fatalf("id line %q, rest %.100q", id, rest)
				}
				if got := unchunk(t, f.Chunks(form, "t")); got != id+rest {
					t.Fatalf("%d bytes of data: chunks hold %.200q, want %.200q", n, got, id+rest)
				}
				if got := unchunk(t, f.RestChunk(form, "t")); got != rest {
					t.Fatalf("%d bytes of data: the rest's chunk holds %.200q, want %.200q", n, got, rest)
				}
			}
			if f.Size() < len(f.Chunks(stream.FormEvent, "")) {
				t.Errorf("a frame of %d bytes says it has %d", len(f.Chunks(stream.FormEvent, "")), f.Size())
			}
		}
	}
}

func TestAppendChunkFramesABodyAndLeavesOutAnEmptyOne(t *testing.T) {
	var out []byte
	out = stream.AppendChunk(out, []byte("one"))
	out = stream.AppendChunk(out, nil)
	out = stream.AppendChunk(out, bytes.Repeat([]byte("x"), 300))
	if got := unchunk(t, out); got != "one"+strings.Repeat("x", 300) {
		t.Errorf("%q", got)
	}
	if !bytes.HasPrefix(out, []byte("3\r\none\r\n12c\r\n")) {
		t.Errorf("%.30q", out)
	}
}

func TestTheEnvelopeHasTopicIDEventAndData(t *testing.T) {
	for _, c := range []struct {
		fields      []string
		event, data string
		retry       time.Duration
	}{
		{[]string{"data", ""}, "message", "", 0},
		{[]string{"data", "x", "event", "paid", "retry", "20"}, "paid", "x", 20 * time.Millisecond},
		{[]string{"data", "a\r\nb\rc\n\n", "event", " e: f "}, " e: f ", "a\nb\nc\n\n", 0},
		{[]string{"data", "data: x\nevent: y\n\n: z"}, "message", "data: x\nevent: y\n\n: z", 0},
		{[]string{"data", `<a href="&">` + "\u2028\x00🎈\\"}, "message", `<a href="&">` + "\u2028\x00🎈\\", 0},
		{[]string{"data", "\n"}, "message", "\n", 0},
		{[]string{"data", " : "}, "message", " : ", 0},
		{[]string{"n", "1", "event", "x"}, "message", `{"n":"1","event":"x"}`, 0},
		{[]string{"data", "", "event", "retry: 5"}, "retry: 5", "", 0},
	} {
		f := frame(c.fields...)
		e := decodeFrame(t, f, stream.FormEnvelope, "orders/ä")
		if e.ID != "7-1" || e.Type != "" || e.Retry != c.retry {
			t.Errorf("%q: the event is %+v", c.fields, e)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(e.Data), &got); err != nil {
			t.Fatalf("%q: %v", e.Data, err)
		}
		want := map[string]any{"topic": "orders/ä", "id": "7-1", "event": c.event, "data": c.data}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q:\ngot  %q\nwant %q", c.fields, got, want)
		}
		// Making it must leave the event as it was.
		if again := frame(c.fields...); !bytes.Equal(again.Chunks(stream.FormEvent, ""), f.Chunks(stream.FormEvent, "")) {
			t.Errorf("%q: the event has changed", c.fields)
		}
	}
	if got := decodeFrame(t, frame("data", "<&>"), stream.FormEnvelope, "t").Data; got != `{"topic":"t","id":"7-1","event":"message","data":"<&>"}` {
		t.Error(got)
	}
}

func TestFormsAreMadeOnceForAllReaders(t *testing.T) {
	f := frame("data", "x")
	forms := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range forms {
		wg.Go(func() { forms[i] = f.Chunks(stream.FormEnvelope, "t") })
	}
	wg.Wait()
	for _, b := range forms {
		if &b[0] != &forms[0][0] {
			t.Fatal("two readers got two copies")
		}
	}
}

func TestFramesThatAreNotSentHaveNoBytes(t *testing.T) {
	for _, f := range []*stream.Frame{stream.GapFrame(id("1-0"), id("5-0")), frame("data", "\xff")} {
		if n := len(f.IDLine()) + len(f.Rest(stream.FormEvent, "")) + len(f.Chunks(stream.FormEvent, "")); n != 0 {
			t.Errorf("kind %v has %d bytes", f.Kind, n)
		}
		if f.Size() <= 0 {
			t.Errorf("kind %v takes no memory", f.Kind)
		}
	}
	f := stream.GapFrame(id("1-0"), id("5-0"))
	if f.Kind != stream.KindGap || f.From != id("1-0") || f.ID != id("5-0") {
		t.Errorf("%+v", f)
	}
}

func TestEncodingKeepsTheEntry(t *testing.T) {
	fields := []string{"data", "a\r\nb", "event", "e"}
	before := slices.Clone(fields)
	frame(fields...)
	if !slices.Equal(fields, before) {
		t.Errorf("%q", fields)
	}
}

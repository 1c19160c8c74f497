package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

var framingCases = []transportCase{
	{"the head of HTTP/1.1", headOf11},
	{"the head of HTTP/1.0", headOf10},
	{"events in HTTP/1.1 are chunks", eventsIn11},
	{"events in HTTP/1.0 are bare", eventsIn10},
	{"chunks hold whole lines", chunksHoldWholeLines},
	{"an event larger than all buffers", largeEvent},
	{"events larger and smaller by turns", mixedEvents},
	{"several topics", severalTopics},
	{"envelope=json", envelope},
	{"control=off", controlOff},
	{"the first block comes before all events", firstBlockFirst},
	{"the head does not wait for a silent store", silentStore},
}

// headLines reads a response's status line and its headers, as they were sent.
func headLines(r *raw) (status string, headers []string) {
	r.t.Helper()
	tr := textproto.NewReader(r.r)
	status, err := tr.ReadLine()
	for err == nil {
		var line string
		if line, err = tr.ReadLine(); line == "" {
			break
		}
		headers = append(headers, line)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return status, headers
}

// checkHead compares headers in any order, Date apart.
func checkHead(t testing.TB, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	i := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, "Date: ") })
	if i < 0 {
		t.Fatalf("no Date: %q", got)
	}
	date, err := time.Parse(http.TimeFormat, got[i][len("Date: "):])
	if age := time.Since(date); err != nil || age < -time.Second || age > patience {
		t.Errorf("%s, %v", got[i], err)
	}
	if got = slices.Delete(got, i, i+1); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

var streamHead = []string{
	"Content-Type: text/event-stream",
	"Cache-Control: no-cache, no-transform",
	"X-Accel-Buffering: no",
	"X-Content-Type-Options: nosniff",
}

// The head has what was set before the stream, each header once and as net/http
// writes it. A direct stream says that it is the last answer on its connection;
// a portable one keeps to that without saying so.
func headOf11(t testing.TB, r *rig) {
	o := quiet
	o.AllowedOrigins = []string{"https://page"}
	s := r.start(t, o)
	for _, connection := range []string{"Connection: keep-alive", "connection: Close", "X: y"} {
		w := s.dial(ask("topic=a", "Origin: https://page", connection))
		status, got := headLines(w)
		if status != "HTTP/1.1 200 OK" {
			t.Errorf("status line %q", status)
		}
		want := append(slices.Clone(streamHead), "Vary: Origin", "Access-Control-Allow-Origin: https://page",
			"Access-Control-Allow-Credentials: true", "Transfer-Encoding: chunked")
		if r.direct || strings.HasSuffix(connection, "Close") {
			want = append(want, "Connection: close")
		}
		checkHead(t, got, want...)
		w.exactly(chunk(openBlock))
	}
}

// In HTTP/1.0 the end of the connection is the end of the stream, also for a
// client that would rather keep it.
func headOf10(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	for _, connection := range []string{"Connection: keep-alive", "X: y"} {
		w := s.dial(askBy("HTTP/1.0", "topic=a", connection))
		status, got := headLines(w)
		if status != "HTTP/1.0 200 OK" {
			t.Errorf("status line %q", status)
		}
		want := slices.Clone(streamHead)
		if r.direct {
			want = append(want, "Connection: close")
		}
		checkHead(t, got, want...)
		w.exactly(openBlock)
	}
}

// What comes by itself is a chunk by itself. A stream that is cut lacks the last
// chunk, and so nobody takes its end for the end of what there is to say.
func eventsIn11(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(ask("topic=a"))
	w.exactly(chunk(openBlock))
	for _, data := range []string{"x", "", "two\nlines", "ünïcode", strings.Repeat("y", 10_000)} {
		id := s.publish(t, "a", data)
		w.exactly(r.frame("id: "+id.String()+"\n", dataLines(data)+"\n"))
	}
	drained(t, s.pod)
	if got := w.quietly(); got != chunk("retry: 1500\n") {
		t.Errorf("ends with %q", got)
	}
	s.expectEnd(endDrain)
}

// frame is an event as it is chunked. The gateway's own framing makes the line
// that differs from client to client a chunk of its own.
func (r *rig) frame(id, rest string) string {
	if r.direct {
		return chunk(id) + chunk(rest)
	}
	return chunk(id + rest)
}

func dataLines(data string) (lines string) {
	for line := range strings.SplitSeq(data, "\n") {
		lines += "data: " + line + "\n"
	}
	return lines
}

func eventsIn10(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(askBy("HTTP/1.0", "topic=a"))
	w.exactly(openBlock)
	for _, data := range []string{"x", "", "two\nlines", strings.Repeat("y", 100_000)} {
		id := s.publish(t, "a", data)
		w.exactly("id: " + id.String() + "\n" + dataLines(data) + "\n")
	}
	drained(t, s.pod)
	if got := w.quietly(); got != "retry: 1500\n" {
		t.Errorf("ends with %q", got)
	}
	s.expectEnd(endDrain)
}

// Many events that are there at once go out together, and a reader of lines
// never waits inside one. Of more than a slice only the direct transport keeps
// lines together.
func chunksHoldWholeLines(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	n := 100
	if r.direct {
		n = 1000
	}
	var want strings.Builder
	want.WriteString(openBlock)
	for i := range n {
		id := s.publish(t, "a", fmt.Sprint(i))
		fmt.Fprintf(&want, "id: %v\ndata: %d\n\n", id, i)
	}
	w := s.open(ask("topic=a&since=earliest"))
	await(t, "all sent", func() bool { return s.meters.deliveries.Load() == int64(n) })
	drained(t, s.pod)
	got, complete := chunks(t, w.quietly())
	if strings.Join(got, "") != want.String()+"retry: 1500\n" || complete {
		t.Errorf("%d chunks, complete %v", len(got), complete)
	}
	for _, c := range got {
		if !strings.HasSuffix(c, "\n") {
			t.Fatalf("a chunk ends inside a line: %q", c)
		}
	}
}

func largeEvent(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	data := strings.Repeat("0123456789abcdef", stream.DefaultMaxEntry/16-1)
	id := s.publish(t, "a", data)
	want := openBlock + "id: " + id.String() + "\ndata: " + data + "\n\n"
	w := s.open(ask("topic=a&since=earliest"))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(httputil.NewChunkedReader(w.r), got); err != nil || string(got) != want {
		t.Errorf("%v, first difference at %d of %d", err, difference(string(got), want), len(want))
	}
}

// difference returns where two texts begin to differ.
func difference(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// What does not fit into a batch is begun in one and finished in others, with
// what is small before and behind it.
func mixedEvents(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	var want strings.Builder
	want.WriteString(openBlock)
	for i, size := range []int{0, directBatchSize - 60, 1, directBatchSize, 1, 2*directBatchSize - 30, 3 * directBatchSize, 0, 0, 500_000, 7} {
		data := strings.Repeat(string(rune('a'+i)), size)
		id := s.publish(t, "a", data)
		want.WriteString("id: " + id.String() + "\ndata: " + data + "\n\n")
	}
	for version, body := range map[string]func(io.Reader) io.Reader{
		"HTTP/1.0": func(r io.Reader) io.Reader { return r },
		"HTTP/1.1": httputil.NewChunkedReader,
	} {
		w := s.open(askBy(version, "topic=a&since=earliest"))
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(body(w.r), got); err != nil || string(got) != want.String() {
			t.Errorf("%s: %v, first difference at %d of %d", version, err, difference(string(got), want.String()), want.Len())
		}
	}
}

// directBatchSize is where a batch is full.
const directBatchSize = portableBatch

// With several topics an id names the position in each.
func severalTopics(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	topics := []stream.Topic{"a", "b", "c"}
	at := []stream.ID{{}, s.publish(t, "b", "before"), {}}
	v := stream.NewVector(topics)
	line := func(i int) string {
		return "id: " + string(v.AppendSuffix(at[i].AppendTo(nil), i, at)) + "\n"
	}
	w := s.open(ask("topic=a&topic=b&topic=c"))
	w.exactly(chunk("retry: 1500\n" + line(0) + "event: gateway.open\ndata: {}\n\n"))
	for n, i := range []int{0, 0, 2, 1, 0, 2, 2} {
		data := fmt.Sprint(n)
		at[i] = s.publish(t, topics[i], data)
		w.exactly(r.frame(line(i), "data: "+data+"\n\n"))
	}
}

func envelope(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(ask("topic=a&envelope=json"))
	w.exactly(chunk(openBlock))
	id := s.publish(t, "a", "x\n\"y\"")
	w.exactly(r.frame("id: "+id.String()+"\n", `data: {"topic":"a","id":"`+id.String()+`","event":"message","data":"x\n\"y\""}`+"\n\n"))
}

func controlOff(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	w := s.open(ask("topic=a&control=off"))
	w.exactly(chunk("retry: 1500\n:\n"))
	id := s.publish(t, "a", "x")
	w.exactly(r.frame("id: "+id.String()+"\n", "data: x\n\n"))
}

func firstBlockFirst(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	first, second := s.publish(t, "a", "1"), s.publish(t, "a", "2")
	w := s.open(ask("topic=a", "Last-Event-ID: "+first.String()))
	drainedAfter(t, s, 1)
	got, _ := chunks(t, w.quietly())
	want := "retry: 1500\nid: " + first.String() + "\nevent: gateway.open\ndata: {}\n\n" +
		"id: " + second.String() + "\ndata: 2\n\nretry: 1500\n"
	if strings.Join(got, "") != want {
		t.Errorf("got %q", got)
	}
}

// drainedAfter drains a pod that has delivered n events.
func drainedAfter(t testing.TB, s *served, n int64) {
	t.Helper()
	await(t, "deliveries", func() bool { return s.meters.deliveries.Load() >= n })
	drained(t, s.pod)
}

// When the store does not answer, the head comes all the same, with a sign of
// life, and the first block when there is a position.
func silentStore(t testing.TB, r *rig) {
	store := newSlowStore()
	store.silence = make(chan struct{})
	o := quiet
	o.FirstWait = 20 * time.Millisecond
	s := r.startOver(t, store, o, noLimits)
	w := s.open(ask("topic=a"))
	w.exactly(chunk(":\n"))
	close(store.silence)
	w.exactly(chunk(openBlock))
}

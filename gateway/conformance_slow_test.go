package gateway

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// Clients that read slowly, or no longer.
var slowCases = []transportCase{
	{"a client that stops reading is ended", stopsReading},
	{"others do not wait for one that stops", othersDoNotWait},
	{"a short stop goes on byte for byte, HTTP/1.0", shortStops("HTTP/1.0")},
	{"a short stop goes on byte for byte, HTTP/1.1", shortStops("HTTP/1.1")},
	{"a slow client that gets on is not ended", slowButSteady},
	{"the stalest gives way", stalestGivesWay},
	{"one that gave way resumes exactly", resumesAfterOverload},
}

// fill publishes more than all buffers on the way to a client hold.
func (s *served) fill(topic stream.Topic) (want string) {
	s.t.Helper()
	for i := range 4 {
		data := strings.Repeat(fmt.Sprint(i), s.rig.large())
		want += "id: " + s.publish(s.t, topic, data).String() + "\ndata: " + data + "\n\n"
	}
	return want
}

// wide is a window in which all that a test publishes stays.
var wide = broadcaster.Limits{TopicBytes: 64 << 20}

// sendBufferSize is sendBuffer, which there is on Linux only.
const sendBufferSize = 32 << 10

// It is cut, and what was not sent does not stay in the kernel.
func stopsReading(t testing.TB, r *rig) {
	o := quiet
	o.WriteTimeout = 200 * time.Millisecond
	s := r.startOver(t, newSlowStore(), o, wide)
	w := s.dial(askBy("HTTP/1.0", "topic=a"))
	if err := w.conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	opened(w).exactly(openBlock)
	start := time.Now()
	want := s.fill("a")
	s.expectEnd(endTimeout)
	if d := time.Since(start); d < o.WriteTimeout*8/10 {
		t.Errorf("ended after %v", d)
	}
	if !r.direct {
		return // of what the kernel has taken it still gets what it reads
	}
	if got := w.rest(); !strings.HasPrefix(want, got) || len(got) > 10*sendBufferSize {
		t.Errorf("got %d bytes, first difference at %d", len(got), difference(got, want))
	}
}

// However long one stops: here for ever.
func othersDoNotWait(t testing.TB, r *rig) {
	o := quiet
	o.WriteTimeout = time.Hour
	s := r.startOver(t, newSlowStore(), o, wide)
	var stopped, reading []*raw
	for range 20 {
		stopped = append(stopped, s.open(askBy("HTTP/1.0", "topic=a")))
		reading = append(reading, s.open(askBy("HTTP/1.0", "topic=a")))
	}
	for _, w := range append(stopped, reading...) {
		w.exactly(openBlock)
	}
	want := s.fill("a")
	for _, w := range reading[:4] {
		w.exactly(want)
	}
	for _, w := range reading[4:] {
		w.conn.Close()
	}
	for range 100 {
		id := s.publish(t, "a", "x")
		for _, w := range reading[:4] {
			w.exactly("id: " + id.String() + "\ndata: x\n\n")
		}
	}
	// Those that stopped are still there, and go on where they were.
	stopped[7].exactly(want)
	for _, w := range stopped {
		w.reset() // or Close would wait for them
	}
	await(t, "those gone that stopped", func() bool { return s.Connections() == 4 })
}

// pausing is a client that reads in pieces of any size, and now and then not.
type pausing struct{ r io.Reader }

func (p pausing) Read(b []byte) (int, error) {
	switch rand.IntN(10) {
	case 0:
		time.Sleep(rand.N(20 * time.Millisecond))
	case 1, 2, 3:
		b = b[:min(len(b), 1+rand.IntN(1000))]
	}
	return p.r.Read(b[:min(len(b), 1+rand.IntN(64<<10))])
}

func shortStops(version string) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{TopicBytes: 300_000})
		var clients []*raw
		for i := range 6 {
			w := s.dial(askBy(version, "topic=a"))
			if i%2 == 0 {
				if err := w.conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
					t.Fatal(err)
				}
			}
			clients = append(clients, opened(w))
		}
		await(t, "first blocks", func() bool {
			open := 0
			s.each(func(*session) { open++ })
			return open == len(clients)
		})
		type result struct {
			n   int
			got string
			err error
		}
		results := make(chan result, len(clients))
		sizes := []int{0, 1, 10, 100, 1000, 10_000, 30_000, 70_000, 200_000}
		var want strings.Builder
		want.WriteString(openBlock)
		total := make(chan int)
		for i, w := range clients {
			go func() {
				var body io.Reader = pausing{w.r}
				if version == "HTTP/1.1" {
					body = httputil.NewChunkedReader(body)
				}
				var got strings.Builder
				_, err := io.CopyN(&got, body, int64(len(openBlock)))
				if err == nil {
					results <- result{n: i}
					_, err = io.CopyN(&got, body, int64(<-total))
				}
				results <- result{i, got.String(), err}
			}()
		}
		for range clients {
			if res := <-results; res.err != nil {
				t.Fatal(res.err)
			}
		}
		for i := range 60 {
			data := strings.Repeat(string(rune('a'+i%26)), rand.IntN(1+sizes[rand.IntN(len(sizes))]))
			id := s.publish(t, "a", data)
			want.WriteString("id: " + id.String() + "\ndata: " + data + "\n\n")
		}
		for range clients {
			total <- want.Len() - len(openBlock)
		}
		for range clients {
			if res := <-results; res.err != nil || res.got != want.String() {
				t.Errorf("client %d: %v, %d of %d bytes, first difference at %d", res.n, res.err,
					len(res.got), want.Len(), difference(res.got, want.String()))
			}
		}
		if n := s.endings(); len(n) > 0 {
			t.Errorf("ends: %v", n)
		}
	}
}

// Who takes something within each time-out may take longer in all.
func slowButSteady(t testing.TB, r *rig) {
	o := quiet
	o.WriteTimeout = 2 * time.Second
	s := r.startOver(t, newSlowStore(), o, wide)
	w := s.open(askBy("HTTP/1.0", "topic=a"))
	w.exactly(openBlock)
	want := s.fill("a")
	got := make([]byte, len(want))
	for n := 0; n < len(got); n += len(got) / 40 {
		time.Sleep(60 * time.Millisecond) // 2.4 s in all
		if _, err := io.ReadFull(w.r, got[n:min(len(got), n+len(got)/40)]); err != nil {
			t.Fatalf("after %d bytes: %v, %v", n, err, s.endings())
		}
	}
	if string(got) != want {
		t.Errorf("first difference at %d", difference(string(got), want))
	}
}

// overloaded is a pod on which four of five clients stop reading, one after the
// other, when there is room for two or three. It returns those four.
func (r *rig) overloaded(t testing.TB) (s *served, stopped []*raw, want []string) {
	o := quiet
	o.WriteTimeout = time.Hour
	o.SendBytes = 170 << 10
	s = r.startOver(t, newSlowStore(), o, wide)
	other := s.open(askBy("HTTP/1.0", "topic=other"))
	other.exactly(openBlock)
	for i := range 4 {
		topic := stream.Topic(fmt.Sprint("t", i))
		w := s.open(askBy("HTTP/1.0", "topic="+string(topic)))
		w.exactly(openBlock)
		stopped = append(stopped, w)
		want = append(want, s.fill(topic))
		await(t, "a full socket", func() bool {
			n := 0
			s.each(func(o *session) {
				if o.writing.since.Load() != 0 {
					n++
				}
			})
			return n >= min(i+1, 2)
		})
	}
	await(t, "some gave way", func() bool { return s.endings()[endOverload] > 0 })
	id := s.publish(t, "other", "x")
	other.exactly("id: " + id.String() + "\ndata: x\n\n")
	return s, stopped, want
}

func stalestGivesWay(t testing.TB, r *rig) {
	s, stopped, want := r.overloaded(t)
	n := s.endings()
	if len(n) != 1 {
		t.Errorf("ends: %v", n)
	}
	// The last one to stop is not the stalest, and only takes its time.
	stopped[3].exactly(want[3])
	stopped[3].conn.Close()
	got := stopped[0].rest()
	if !strings.HasPrefix(want[0], strings.TrimSuffix(got, "retry: 1500\n")) || len(got) >= len(want[0]) {
		t.Errorf("the first: %d of %d bytes", len(got), len(want[0]))
	}
	for _, w := range stopped[1:3] {
		w.reset()
	}
	await(t, "all but one gone", func() bool { return s.Connections() == 1 })
}

// Being ended loses nothing: the client comes back with the last id it has.
func resumesAfterOverload(t testing.TB, r *rig) {
	s, stopped, want := r.overloaded(t)
	got := stopped[0].rest()
	for _, w := range stopped[1:] {
		w.reset()
	}
	whole := ""
	for event := range strings.SplitAfterSeq(got, "\n\n") {
		if strings.HasSuffix(event, "\n\n") {
			whole += event
		}
	}
	if len(whole) >= len(want[0]) {
		t.Fatal("it got all")
	}
	cursor := "0-0"
	if i := strings.LastIndex(whole, "id: "); i >= 0 {
		cursor, _, _ = strings.Cut(whole[i+len("id: "):], "\n")
	}
	w := s.open(askBy("HTTP/1.0", "topic=t0", "Last-Event-ID: "+cursor))
	w.exactly("retry: 1500\nid: " + cursor + "\nevent: gateway.open\ndata: {}\n\n" + want[0][len(whole):])
	w.conn.Close()
	await(t, "all but one gone", func() bool { return s.Connections() == 1 })
}

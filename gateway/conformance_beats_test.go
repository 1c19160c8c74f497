package gateway

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httputil"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
)

// Signs of life: a client, and all on the way to it, see that the connection is
// not dead.
var beatCases = []transportCase{
	{"heartbeats come after silence", beatsAfterSilence},
	{"heartbeats do not come between events", noBeatsBetweenEvents},
	{"no heartbeat stands inside an event", noBeatInsideAnEvent},
	{"heartbeats find out who is gone", beatsFindTheDead},
}

const beat = 40 * time.Millisecond

func beating() Options {
	o := quiet
	o.Heartbeat = beat
	return o
}

// They may come up to half of the time early, for who looks does not look all the time.
func beatsAfterSilence(t testing.TB, r *rig) {
	s := r.start(t, beating())
	w, bare := s.open(ask("topic=a")), s.open(askBy("HTTP/1.0", "topic=a"))
	w.exactly(chunk(openBlock))
	start := time.Now()
	const n = 12
	for range n {
		w.exactly(chunk(":\n"))
	}
	// The first one may follow a first block that was sent before start.
	if d := time.Since(start); d < (n-1)*beat*4/10 {
		t.Errorf("%d heartbeats in %v", n, d)
	}
	bare.exactly(openBlock + ":\n:\n:\n")
	id := s.publish(t, "a", "x")
	drainedAfter(t, s, 2) // to both
	list, _ := chunks(t, w.quietly())
	if got, want := betweenEvents.ReplaceAllString(strings.Join(list, ""), "$1"), fmt.Sprintf("id: %v\ndata: x\n\nretry: 1500\n", id); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// betweenEvents are heartbeats where they may stand, $1 being what is before.
var betweenEvents = regexp.MustCompile(`(\A|\n\n)(?::\n)+`)

// While there are events nobody needs them. A machine so busy that there was
// silence all the same is asked again.
func noBeatsBetweenEvents(t testing.TB, r *rig) {
	o := quiet
	o.Heartbeat = time.Second
	s := r.start(t, o)
	for range 20 {
		if withoutSilence(t, s, o.Heartbeat/2) {
			return
		}
	}
	t.Error("the machine is too busy to say")
}

// withoutSilence reads events that are published one after the other for longer
// than a heartbeat's time, and fails if anything else comes. It reports false
// if there was more than some silence.
func withoutSilence(t testing.TB, s *served, some time.Duration) bool {
	w := s.open(askBy("HTTP/1.0", "topic=a"))
	defer w.close()
	for line := ""; line != "\n"; { // the first block
		var err error
		if line, err = w.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	start, last := time.Now(), time.Now()
	for n := 0; time.Since(start) < 1300*time.Millisecond; n++ {
		id := s.publish(t, "a", fmt.Sprint(n))
		want := fmt.Sprintf("id: %v\ndata: %d\n\n", id, n)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(w.r, got); err != nil {
			t.Fatal(err)
		}
		if time.Since(last) > some {
			return false
		}
		if last = time.Now(); string(got) != want {
			t.Fatalf("got %q, want %q", got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return true
}

// Also while the rest of an event waits for room, or has to be read anew from a
// history that takes its time, there is none.
func noBeatInsideAnEvent(t testing.TB, r *rig) {
	o := beating()
	o.Heartbeat = 10 * time.Millisecond
	s := r.startOver(t, newSlowStore(), o, broadcaster.Limits{TopicBytes: 500_000})
	w := s.open(ask("topic=a"))
	body := httputil.NewChunkedReader(w.r)
	want := openBlock
	letters := []string{"a", "d"}
	if r.direct {
		letters = []string{"a", "b", "c", "d"}
	}
	for _, letter := range letters {
		data := strings.Repeat(letter, r.large())
		want += "id: " + s.publish(t, "a", data).String() + "\ndata: " + data + "\n\n"
	}
	if r.relay == nil { // which has room for all of it
		s.stalled()
	}
	var got strings.Builder
	tail := ""
	for piece := make([]byte, 16<<10); !strings.Contains(tail, "ddd\n\n"); {
		n, err := body.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		tail = tail[max(0, len(tail)-10):] + string(piece[:n])
		if got.Write(piece[:n]); rand.IntN(100) == 0 {
			time.Sleep(15 * time.Millisecond) // more than a heartbeat
		}
	}
	if got := betweenEvents.ReplaceAllString(got.String(), "$1"); got != want {
		t.Errorf("%d of %d bytes, first difference at %d", len(got), len(want), difference(got, want))
	}
}

// A client that is gone without a word is one that a heartbeat cannot be sent to.
func beatsFindTheDead(t testing.TB, r *rig) {
	s := r.start(t, beating())
	for range 10 {
		w := s.open(ask("topic=a"))
		w.exactly(chunk(openBlock))
		w.reset()
	}
	await(t, "all gone", func() bool { return s.Connections() == 0 })
}

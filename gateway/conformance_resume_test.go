package gateway

import (
	"fmt"
	"net"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

var resumeCases = []transportCase{
	{"resuming in the log", resumeInLog},
	{"resuming in the history", resumeInHistory},
	{"resuming on the other transport", resumeAcross},
	{"trimmed history is a gap", trimmedIsAGap},
	{"a cursor that is none is a reset", brokenCursor},
	{"a cursor of another history is a reset", foreignCursor},
}

func resumeInLog(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	var ids []stream.ID
	for i := range 10 {
		ids = append(ids, s.publish(t, "a", fmt.Sprint(i)))
	}
	for i, id := range ids {
		want := "retry: 1500\nid: " + id.String() + "\nevent: gateway.open\ndata: {}\n\n"
		for n, id := range ids[i+1:] {
			want += fmt.Sprintf("id: %v\ndata: %d\n\n", id, i+1+n)
		}
		s.open(askBy("HTTP/1.0", "topic=a", "Last-Event-ID: "+id.String())).exactly(want)
		s.open(askBy("HTTP/1.0", "topic=a&last_event_id="+id.String())).exactly(want)
	}
}

// What the log no longer has comes from the history, page by page, and then the
// stream goes on live without a seam.
func resumeInHistory(t testing.TB, r *rig) {
	s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{TopicBytes: 2000})
	first := s.open(askBy("HTTP/1.0", "topic=a"))
	var ids []stream.ID
	want := ""
	for i := range 2000 {
		ids = append(ids, s.publish(t, "a", fmt.Sprint(i)))
		if i > 0 {
			want += fmt.Sprintf("id: %v\ndata: %d\n\n", ids[i], i)
		}
	}
	want = "retry: 1500\nid: " + ids[0].String() + "\nevent: gateway.open\ndata: {}\n\n" + want
	w := s.open(askBy("HTTP/1.0", "topic=a", "Last-Event-ID: "+ids[0].String()))
	w.exactly(want)
	id := s.publish(t, "a", "live")
	w.exactly("id: " + id.String() + "\ndata: live\n\n")
	if n := s.store.reads.Load(); n == 0 {
		t.Error("nothing was read from the history")
	}
	first.exactly(openBlock)
}

// A client that is cut at any byte goes on at the next event, on whichever
// transport: the cursors are the same.
func resumeAcross(t testing.TB, r *rig) {
	s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{TopicBytes: 20_000})
	addrs := []net.Addr{s.addr, s.other()}
	const events = 300
	for i := range events {
		s.publish(t, stream.Topic([]string{"a", "b"}[i%2]), fmt.Sprintf("%d %s", i, strings.Repeat("x", i%97)))
	}
	cursor, got := "", map[byte]int{'a': -2, 'b': -1}
	for turn := 0; got['a'] < events-2 || got['b'] < events-1; turn++ {
		w := opened(dial(t, addrs[turn%2], ask("since=earliest&topic=a&topic=b&last_event_id="+cursor)))
		for _, e := range w.events(httputil.NewChunkedReader(w.r), min(1+turn, events-got['a']/2-got['b']/2-1)) {
			cursor = e.ID
			if e.Type == controlOpen {
				continue
			}
			n := 0
			if _, err := fmt.Sscan(e.Data, &n); err != nil {
				t.Fatal(err)
			}
			topic := "ab"[n%2]
			if n != got[topic]+2 {
				t.Fatalf("after %d came %d in turn %d", got[topic], n, turn)
			}
			got[topic] = n
		}
		w.conn.Close()
		if turn > 2*events {
			t.Fatal("it does not get on")
		}
	}
	if n := directStreams(s.Gateway); n == 0 || n == s.meters.accepted.Load() {
		t.Errorf("%d of %d streams were direct", n, s.meters.accepted.Load())
	}
}

func trimmedIsAGap(t testing.TB, r *rig) {
	s := r.startOver(t, newSlowStore(), quiet, broadcaster.Limits{})
	var ids []stream.ID
	for i := range 10 {
		ids = append(ids, s.publish(t, "a", fmt.Sprint(i)))
	}
	s.store.Trim("a", 2)
	w := s.open(askBy("HTTP/1.0", "topic=a", "Last-Event-ID: "+ids[2].String()))
	to := ids[8].Prev()
	w.exactly("retry: 1500\nid: " + ids[2].String() + "\nevent: gateway.open\ndata: {}\n\n" +
		fmt.Sprintf("id: %v\nevent: gateway.gap\ndata: {\"topic\":\"a\",\"from\":\"%v\",\"to\":\"%v\"}\n\n", to, ids[2], to) +
		fmt.Sprintf("id: %v\ndata: 8\n\nid: %v\ndata: 9\n\n", ids[8], ids[9]))
}

func brokenCursor(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	id := s.publish(t, "a", "old")
	for _, cursor := range []string{"x", "1-1-1", "%00"} {
		w := s.open(askBy("HTTP/1.0", "since=earliest&topic=a&last_event_id="+cursor))
		events := w.events(w.r, 2)
		if events[1].Type != controlReset || events[1].ID != id.String() {
			t.Errorf("%q: %+v", cursor, events)
		}
		id = s.publish(t, "a", "new")
		if e := w.events(w.r, 1)[0]; e.Data != "new" || e.ID != id.String() {
			t.Errorf("%q: %+v", cursor, e)
		}
	}
}

// A position beyond the newest entry is of a history that is no more.
func foreignCursor(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	id := s.publish(t, "a", "old")
	w := s.open(askBy("HTTP/1.0", "topic=a", "Last-Event-ID: 99999999999999-7"))
	events := w.events(w.r, 2)
	if events[0].ID != "99999999999999-7" || events[1].Type != controlReset || events[1].ID != id.String() {
		t.Errorf("got %+v", events)
	}
}

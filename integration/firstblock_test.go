package integration

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// wire keeps what came over the wire.
type wire struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *wire) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func TestFirstBlockComesAtOnceAndHasItsExactShape(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_RETRY_MIN=2s", "SSE_RETRY_MAX=4s")
	last := r.Add(t, "full", "data", "1")
	for _, tt := range []struct {
		name, topic, cursor string
		id                  string
	}{
		{"a topic that nobody has used", "empty", "", "0-0"},
		{"a topic with a history", "full", "", last},
		{"resuming", "full", "0-0", "0-0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w wire
			f := rig.Follow(t, pod, rig.Ask{Topics: []string{tt.topic}, LastEventID: tt.cursor, Copy: &w})
			if id := f.Opened(); id != tt.id {
				t.Errorf("want id %s, got %s", tt.id, id)
			}
			block, _, _ := strings.Cut(w.String(), "\n\n")
			want := `^retry: (2|3)\d\d\d\nid: ` + tt.id + `\nevent: gateway\.open\ndata: \{\}$`
			if !regexp.MustCompile(want).MatchString(block) {
				t.Errorf("want %s, got\n%s", want, block)
			}
		})
	}
}

func TestFirstBlockOfSeveralTopicsCarriesOneShortCursor(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	ask := rig.Ask{}
	for i := range 32 {
		topic := strings.Repeat("x", 190) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		r.Data(t, topic, "1")
		ask.Topics = append(ask.Topics, topic)
	}
	id := rig.Follow(t, pod, ask).Opened()
	if len(id) > 400 || strings.ContainsAny(id, ", \t") {
		t.Errorf("a cursor of 32 topics of one day has at most 400 bytes and no comma or space, got %d: %s", len(id), id)
	}
}

func TestControlOffSendsOnlyEvents(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "orders", "1", "2")
	f := rig.Follow(t, pod, orders("control=off", "since=earliest"))
	f.Want("1", "2")
}

func TestStreamHeadersKeepProxiesAndCachesAway(t *testing.T) {
	t.Parallel()
	pod := rig.StartPod(t, rig.StartRedis(t).URL())
	f := rig.Follow(t, pod, orders())
	for name, want := range map[string]string{
		"Content-Type":      "text/event-stream",
		"Cache-Control":     "no-cache, no-transform",
		"X-Accel-Buffering": "no",
	} {
		if got := f.Header().Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: want %q, got %q", name, want, got)
		}
	}
	f.Opened()
}

package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestKeyOfAnotherTypeStopsItsOwnTopicOnly(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Do(t, "SET", "sse:bad", "not a stream")
	r.Data(t, "good", "old")
	neighbour := rig.Follow(t, pod, rig.Ask{Topics: []string{"good"}})
	neighbour.Opened()
	f := rig.Follow(t, pod, rig.Ask{Topics: []string{"bad", "good"}})
	f.Opened()

	e := f.Control("unavailable")
	var said struct{ Topic, Reason string }
	if err := json.Unmarshal([]byte(e.Data), &said); err != nil || said.Topic != "bad" {
		t.Errorf("want topic bad, got %s (%v)", e.Data, err)
	}
	if !strings.Contains(said.Reason, "TYPE sse:bad") {
		t.Errorf("want a reason that says what to do about the key, got %q", said.Reason)
	}
	r.Data(t, "good", "1", "2")
	f.Want("1", "2")
	neighbour.Want("1", "2")

	// It is told once, and over when the key is gone.
	r.Do(t, "DEL", "sse:bad")
	r.Data(t, "bad", "mended")
	f.Want("mended")
	r.Data(t, "good", "3")
	f.Want("3")
}

func TestEntriesThatCannotBeSentAreSkipped(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_MAX_ENTRY_BYTES=1KiB")
	f := rig.Follow(t, pod, orders())
	f.Opened()
	bad := [][]string{
		{"data", strings.Repeat("x", 2000)},
		{"data", "\xff\xfe"},
		{"event", "line\nend", "data", "1"},
		{"event", "gateway.open", "data", "{}"},
		{"field", "\xff"},
	}
	for _, values := range bad {
		r.Add(t, "orders", values...)
	}
	r.Data(t, "orders", "live")
	f.Want("live")
	for _, values := range bad {
		r.Add(t, "orders", values...)
	}
	r.Data(t, "orders", "missed")
	f.Want("missed")

	// The same where they are read from the history.
	f = rig.Follow(t, pod, orders("since=earliest"))
	f.Opened()
	f.Want("live", "missed")

	said := 0
	for _, line := range pod.Log.Lines() {
		if strings.Contains(line, "orders") && strings.Contains(line, "skip") {
			said++
		}
	}
	if said == 0 {
		t.Error("the pod's log does not say that entries of the topic orders were skipped")
	}
	if said > 3 {
		t.Errorf("the pod's log says it %d times, once a minute is enough", said)
	}
}

func TestEntriesOfAllKindsArriveAsTheContractSays(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, orders())
	f.Opened()
	for _, tt := range []struct {
		values      []string
		event, data string
	}{
		{[]string{"data", ""}, "", ""},
		{[]string{"data", "a\nb\n"}, "", "a\nb\n"},
		{[]string{"data", "a\r\nb\rc"}, "", "a\nb\nc"}, // line ends are what the format cannot keep
		{[]string{"data", " leading space: kept"}, "", " leading space: kept"},
		{[]string{"data", "id: 7\n\ndata: forged"}, "", "id: 7\n\ndata: forged"},
		{[]string{"data", "häßlich 🦊"}, "", "häßlich 🦊"},
		{[]string{"event", "paid", "data", `{"n":1}`, "~own", "never sent"}, "paid", `{"n":1}`},
		{[]string{"order", "17", "event", "a field like any other"}, "", `{"order":"17","event":"a field like any other"}`},
		{[]string{"data", strings.Repeat("long ", 100_000)}, "", strings.Repeat("long ", 100_000)},
	} {
		id := r.Add(t, "orders", tt.values...)
		if e := f.Next(); e.ID != id || e.Type != tt.event || e.Data != tt.data {
			t.Errorf("entry %.80q: want id %s, event %q, data %.80q, got %.200v", tt.values, id, tt.event, tt.data, e)
		}
	}
}

func TestIDsThatAreNoClocks(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	one, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
	f := rig.Follow(t, one, orders())
	f.Opened()
	ids := []string{"0-1", "5-0", "5-18446744073709551615", "99999999999999-1"}
	for _, id := range ids[:2] {
		r.Do(t, "XADD", "sse:orders", id, "data", id)
		f.Want(id)
	}
	f = f.Again(other)
	f.Opened()
	for _, id := range ids[2:] {
		r.Do(t, "XADD", "sse:orders", id, "data", id)
		f.Want(id)
	}
}

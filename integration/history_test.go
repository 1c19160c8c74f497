package integration

import (
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/integration/rig"
	"github.com/ssegateway/sse-gateway/sse"
)

// Where history is really gone, a control event says so, and the stream goes
// on. No cursor makes an answer that ends an EventSource for good.

func TestCursorThatCannotBeReadIsAResetAndThenLive(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "orders", "old")
	for _, cursor := range []string{"garbage", "1-2-3", "18446744073709551616-0", "1-0.!!!", "-", "42"} {
		t.Run(cursor, func(t *testing.T) {
			ask := orders()
			ask.LastEventID = cursor
			f := rig.Follow(t, pod, ask)
			f.Opened()
			f.Control("reset")
			r.Data(t, "orders", "live")
			f.Want("live")
			cursor := f.LastEventID
			f = f.Again(pod) // healed: the loop ends here
			if id := f.Opened(); id != cursor {
				t.Errorf("want %s, got %s", cursor, id)
			}
			r.Data(t, "orders", "next")
			f.Want("next")
		})
	}
}

func TestCursorBeyondTheEndIsAResetAndThenLive(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "orders", "old")
	ask := orders()
	ask.LastEventID = "9999999999999-7"
	f := rig.Follow(t, pod, ask)
	f.Opened()
	f.Control("reset")
	r.Data(t, "orders", "live")
	f.Want("live")
}

func TestTrimmedHistoryIsAGapThatNamesWhatIsGone(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	var ids []string
	for _, d := range []string{"0", "1", "2", "3", "4", "5"} {
		ids = append(ids, r.Add(t, "orders", "data", d))
	}
	r.Do(t, "XTRIM", "sse:orders", "MAXLEN", "2")
	ask := orders()
	ask.LastEventID = ids[1]
	f := rig.Follow(t, pod, ask)
	f.Opened()
	gap := f.Control("gap")
	var said struct{ From, To string }
	if err := json.Unmarshal([]byte(gap.Data), &said); err != nil || said.From != ids[1] || said.To == "" {
		t.Errorf("want from %s and to, got %s (%v)", ids[1], gap.Data, err)
	}
	f.Want("4", "5")

	// A client that is told once and cut right then is not told again.
	ask.LastEventID = gap.ID
	f = rig.Follow(t, pod, ask)
	f.Opened()
	f.Want("4", "5")
}

func TestHistoryTrimmedBeforeThePodCouldReadIt(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, orders())
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	// In one transaction, so that no read can come in between.
	if _, err := r.Client().TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
		for _, d := range []string{"2", "3", "4", "5"} {
			tx.XAdd(t.Context(), &redis.XAddArgs{Stream: "sse:orders", Values: []string{"data", d}})
		}
		tx.XTrimMaxLen(t.Context(), "sse:orders", 2)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	f.Control("gap")
	f.Want("4", "5")
	cursor := f.LastEventID
	f = f.Again(pod)
	if id := f.Opened(); id != cursor {
		t.Errorf("want %s, got %s", cursor, id)
	}
	r.Data(t, "orders", "6")
	f.Want("6")
}

func TestDeletedEntryIsNoGap(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	first := r.Add(t, "orders", "data", "1")
	cursor := r.Add(t, "orders", "data", "2")
	r.Data(t, "orders", "3")
	r.Do(t, "XDEL", "sse:orders", cursor)
	ask := orders()
	ask.LastEventID = cursor
	f := rig.Follow(t, pod, ask)
	f.Opened()
	f.Want("3")
	ask.LastEventID = first
	f = rig.Follow(t, pod, ask)
	f.Opened()
	f.Want("3")
}

func TestFlushedHistoryIsAReset(t *testing.T) {
	t.Parallel()
	t.Run("for those who come back", func(t *testing.T) {
		t.Parallel()
		r := rig.StartRedis(t)
		pod, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
		r.Data(t, "orders", "1")
		f := rig.Follow(t, pod, orders("since=earliest"))
		f.Opened()
		f.Want("1")
		f.Close()
		r.Do(t, "FLUSHALL")
		f = f.Again(other)
		f.Opened()
		f.Control("reset")
		r.Data(t, "orders", "2")
		f.Want("2")
	})
	t.Run("for those who are there", func(t *testing.T) {
		t.Parallel()
		r := rig.StartRedis(t)
		pod := rig.StartPod(t, r.URL())
		r.Data(t, "orders", "1")
		f := rig.Follow(t, pod, orders("since=earliest"))
		f.Opened()
		f.Want("1")
		// A history that begins again with lower ids, which a plain XREAD
		// would never show.
		r.Do(t, "FLUSHALL")
		r.Do(t, "XADD", "sse:orders", "1-1", "data", "anew")
		f.Control("reset")
		r.Do(t, "XADD", "sse:orders", "1-2", "data", "live")
		// The stream goes on at the end of what the pod found, which usually,
		// but not always, was the new history with its first entry.
		if e := f.Next(); e.Data != "anew" {
			if e.Data != "live" {
				t.Errorf("want event live, got %+v", e)
			}
			return
		}
		f.Want("live")
	})
}

func TestControlEventsNameTheirTopic(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, rig.Ask{Topics: []string{"a", "b"}})
	f.Opened()
	for _, topic := range []string{"a", "b"} {
		r.Data(t, topic, topic)
		f.Want(topic)
	}
	cursor := f.LastEventID
	f.Close()
	r.Do(t, "DEL", "sse:b")
	r.Data(t, "a", "a again")
	f = rig.Follow(t, pod, rig.Ask{Topics: []string{"b", "a"}, LastEventID: cursor})
	f.Opened()
	var reset, event *sse.Event
	for range 2 { // between topics no order is promised
		e := f.Next()
		if e.Type == "gateway.reset" {
			reset = &e
		} else {
			event = &e
		}
	}
	if reset == nil || event == nil || event.Data != "a again" {
		t.Fatalf("want a reset of b and an event of a, got %+v and %+v", reset, event)
	}
	var said struct{ Topic string }
	if err := json.Unmarshal([]byte(reset.Data), &said); err != nil || said.Topic != "b" {
		t.Errorf("want topic b, got %s (%v)", reset.Data, err)
	}
}

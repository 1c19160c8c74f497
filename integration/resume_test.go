package integration

import (
	"fmt"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// orders asks for the topic that most tests use.
func orders(params ...string) rig.Ask {
	ask := rig.Ask{Topics: []string{"orders"}}
	for _, p := range params {
		ask.Params += p + "&"
	}
	return ask
}

func TestResumeOnAnotherPodContinuesAtTheNextEvent(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	one, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
	f := rig.Follow(t, one, orders())
	f.Opened()
	r.Data(t, "orders", "1", "2")
	f.Want("1", "2")

	one.Kill()
	f.Abort()
	r.Data(t, "orders", "3", "4")
	cursor := f.LastEventID
	f = f.Again(other)
	if id := f.Opened(); id != cursor {
		t.Errorf("the first block of a stream that resumes repeats the cursor: want %s, got %s", cursor, id)
	}
	f.Want("3", "4")
	r.Data(t, "orders", "5")
	f.Want("5")
}

func TestResumeWithNothingReceivedContinuesWhereTheStreamBegan(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{"empty topic": nil, "topic with a history": {"old"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rig.StartRedis(t)
			one, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
			r.Data(t, "orders", before...)
			f := rig.Follow(t, one, orders())
			f.Opened()
			one.Kill()
			f.Abort()
			r.Data(t, "orders", "1", "2")
			f = f.Again(other)
			f.Opened()
			f.Want("1", "2")
		})
	}
}

func TestSeveralTopicsResumeInAnyOrder(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	one, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
	f := rig.Follow(t, one, rig.Ask{Topics: []string{"a", "b", "c"}})
	f.Opened()
	for _, topic := range []string{"b", "a", "b"} {
		r.Data(t, topic, topic)
		f.Want(topic)
	}
	r.Data(t, "a", "a, missed") // never delivered: the pod may or may not have it in its buffers
	one.Kill()
	f.Close()
	r.Data(t, "b", "b, missed")
	r.Data(t, "c", "c, missed")
	r.Data(t, "d", "d, from before it was asked for")

	// Another order, and one topic more: that one joins now.
	f = rig.Follow(t, other, rig.Ask{Topics: []string{"d", "c", "b", "a"}, LastEventID: f.LastEventID})
	f.Opened()
	wantAll(t, f, "a, missed", "b, missed", "c, missed")

	// One topic less.
	cursor := f.LastEventID
	f.Close()
	r.Data(t, "a", "a, again")
	r.Data(t, "b", "b, nobody asked")
	f = rig.Follow(t, other, rig.Ask{Topics: []string{"c", "a"}, LastEventID: cursor})
	f.Opened()
	f.Want("a, again")
	r.Data(t, "c", "c, live")
	f.Want("c, live")
}

// wantAll reads events that may come in any order, because they are of
// different topics.
func wantAll(t *testing.T, f *rig.Follower, data ...string) {
	t.Helper()
	missing := make(map[string]bool, len(data))
	for _, d := range data {
		missing[d] = true
	}
	for range data {
		e := f.Next()
		if !missing[e.Data] {
			t.Fatalf("want one of %v, got %+v", missing, e)
		}
		delete(missing, e.Data)
	}
}

func TestResumeFromFarBehind(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	// A window that holds a fraction of what was missed.
	small := "SSE_RING_BYTES=64KiB"
	one, other := rig.StartPod(t, r.URL(), small), rig.StartPod(t, r.URL(), small)
	f := rig.Follow(t, one, orders())
	f.Opened()
	warm := rig.Follow(t, other, orders()) // the other pod has a window of its own by then
	warm.Opened()

	one.Kill()
	f.Abort()
	const n = 3000
	data := make([]string, n)
	for i := range data {
		data[i] = fmt.Sprintf("%d %0200d", i, i)
	}
	r.Data(t, "orders", data...)
	warm.Want(data...)
	f = f.Again(other)
	f.Opened()
	f.Want(data...)
}

func TestResumeThroughALoadBalancer(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pods := []*rig.Pod{rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())}
	lb := rig.StartBalancer(t, pods...)
	ask := orders()
	for i, p := range pods {
		f := rig.FollowAddr(t, lb.Addr, ask)
		f.Opened()
		if i > 0 {
			f.Want(fmt.Sprint("missed ", i))
		}
		r.Data(t, "orders", fmt.Sprint("live ", i))
		f.Want(fmt.Sprint("live ", i))
		p.Kill() // turns are taken in this order, so the stream is on this pod
		f.Abort()
		r.Data(t, "orders", fmt.Sprint("missed ", i+1))
		ask.LastEventID = f.LastEventID
	}
}

package integration

import (
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// inBrowsers runs a test in each browser, with a Redis of its own.
func inBrowsers(t *testing.T, test func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front)) {
	t.Parallel()
	for _, b := range rig.Browsers {
		t.Run(b.Name, func(t *testing.T) {
			t.Parallel()
			test(t, b, rig.StartRedis(t), rig.NewFront(t))
		})
	}
}

// promptly makes browsers come back soon. Firefox waits 500 ms at least.
var promptly = []string{"SSE_RETRY_MIN=50ms", "SSE_RETRY_MAX=100ms"}

func TestBrowserReceivesAndResumesOnAnotherPod(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front) {
		one, other := rig.StartPod(t, r.URL(), promptly...), rig.StartPod(t, r.URL(), promptly...)
		f.To(one)
		b.Show(t, f.Page("orders"))
		f.Opened()
		first := r.Add(t, "orders", "event", "paid", "data", "1")
		if e := f.Event(); e.Type != "paid" || e.Data != "1" || e.ID != first {
			t.Fatalf("want event paid with data 1 and id %s, got %+v", first, e)
		}
		r.Data(t, "orders", "2", "two\nlines")
		f.Want("2", "two\nlines")

		f.To(nil)
		one.Kill()
		f.Lost()
		r.Data(t, "orders", "3", "4", "5")
		f.To(other)
		f.Opened()
		f.Want("3", "4", "5")
		r.Data(t, "orders", "6")
		f.Want("6")
	})
}

func TestBrowserSurvivesARollingUpdate(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front) {
		pod := func() *rig.Pod {
			return rig.StartPod(t, r.URL(), append(promptly, "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=100ms")...)
		}
		current := pod()
		f.To(current)
		b.Show(t, f.Page("orders"))
		f.Opened()
		for _, n := range []string{"1", "2", "3"} {
			next := pod()
			f.To(next)
			current.Terminate(t)
			f.Lost()
			r.Data(t, "orders", n)
			f.Opened()
			f.Want(n)
			current = next
		}
	})
}

func TestBrowserThatHadReceivedNothingGetsWhatCameMeanwhile(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front) {
		one, other := rig.StartPod(t, r.URL(), promptly...), rig.StartPod(t, r.URL(), promptly...)
		r.Data(t, "orders", "from before the page")
		f.To(one)
		b.Show(t, f.Page("orders"))
		f.Opened()

		f.To(nil)
		one.Kill()
		f.Lost()
		r.Data(t, "orders", "1", "2")
		f.To(other)
		f.Opened()
		f.Want("1", "2")
	})
}

func TestBrowserResumesOnSeveralTopics(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front) {
		one, other := rig.StartPod(t, r.URL(), promptly...), rig.StartPod(t, r.URL(), promptly...)
		f.To(one)
		b.Show(t, f.Page("a", "b", "c")) // c has nothing before the cut
		f.Opened()
		for _, topic := range []string{"a", "b", "a"} {
			r.Data(t, topic, topic)
			f.Want(topic)
		}

		f.To(nil)
		one.Kill()
		f.Lost()
		missed := map[string]bool{"a, missed": true, "b, missed": true, "c, missed": true}
		for data := range missed {
			r.Data(t, data[:1], data)
		}
		f.To(other)
		f.Opened()
		// Between topics no order is promised.
		for range len(missed) {
			e := f.Event()
			if !missed[e.Data] {
				t.Fatalf("want one of %v, got %+v", missed, e)
			}
			delete(missed, e.Data)
		}
		r.Data(t, "b", "live")
		f.Want("live")
	})
}

func TestBrowserFollowsFromAnotherOrigin(t *testing.T) {
	for _, credentials := range []bool{false, true} {
		t.Run(map[bool]string{false: "anonymous", true: "with credentials"}[credentials], func(t *testing.T) {
			inBrowsers(t, func(t *testing.T, b rig.Browser, r *rig.Redis, f *rig.Front) {
				pod := rig.StartPod(t, r.URL(), append(promptly, "SSE_ALLOWED_ORIGINS="+f.Origin())...)
				b.Show(t, f.PageFrom(pod.URL(""), credentials, "orders"))
				f.Opened()
				r.Data(t, "orders", "1")
				f.Want("1")
			})
		})
	}
}

package gateway

import (
	"runtime"
	"testing"
)

var leakCases = []transportCase{
	{"opening and closing leaves nothing", openAndClose},
	{"Close leaves nothing", closeLeavesNothing},
}

// settled returns how many goroutines there are when none comes or goes.
func settled(t testing.TB) int {
	n := runtime.NumGoroutine()
	await(t, "goroutines at rest", func() bool {
		last := n
		n = runtime.NumGoroutine()
		return n == last
	})
	return n
}

// A client that opens and closes streams leaves nothing behind: no goroutine,
// no descriptor, no connection, nothing that the Broadcaster or the history
// would keep. Half of the streams are closed before anything was read.
func openAndClose(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	s.publish(t, "a", "x")
	cycles := func(n int) {
		for i := range n {
			query := []string{"topic=a", "topic=a&topic=b&since=earliest", "topic=a&last_event_id=0-0"}[i%3]
			w := s.dial(ask(query))
			if i%2 == 0 {
				opened(w)
			}
			if i%7 == 0 {
				w.reset()
			} else {
				w.close()
			}
		}
		// A request that was reset may not have been read.
		await(t, "streams closed", func() bool { return s.Connections() == 0 })
	}
	s.warm()
	cycles(50) // what is started once is started now
	goroutines, files := settled(t), descriptors(t)
	for _, n := range []int{50, 1000} {
		cycles(n)
		await(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= goroutines })
		await(t, "descriptors closed", func() bool { return descriptors(t) <= files })
	}
	// The last requests may be read only now, and find that their clients are
	// gone.
	await(t, "the broadcaster without connections, and an end for each", func() bool {
		count, err := s.live.ConnectionCount(t.Context())
		n := s.endings()
		return err == nil && count.Local == 0 && n[endClient]+n[endWrite] == s.meters.accepted.Load()
	})
}

// A gateway that was closed has no goroutine and no descriptor, whatever its
// clients were doing.
func closeLeavesNothing(t testing.TB, r *rig) {
	idle := newPod(t, quiet) // starts what all share
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	srv := r.serve(t, idle)
	p := newPod(t, quiet)
	// A server of its own, whose listener would be counted.
	srv.Config.Handler = p
	goroutines, files := settled(t), descriptors(t)
	var all []*raw
	for i := range 60 {
		w := dial(t, srv.Listener.Addr(), ask("topic=a"))
		switch i % 3 {
		case 0:
			opened(w).exactly(chunk(openBlock))
		case 1:
			opened(w)
		}
		all = append(all, w)
	}
	await(t, "streams", func() bool { return p.Connections() == len(all) })
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		w.close()
	}
	if r.direct && directStreams(p.Gateway) != int64(len(all)) {
		t.Errorf("%d streams were direct", directStreams(p.Gateway))
	}
	await(t, "descriptors closed", func() bool { return descriptors(t) <= files })
	await(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= goroutines })
}

package gateway

import (
	"runtime"
	"testing"
)

// Streams that are opened and closed on one connection of HTTP/2 leave nothing
// behind: no goroutine, no connection, nothing that the Broadcaster or the
// history would keep. For HTTP/1.x see leakCases.
func TestOpenAndCloseLeavesNothing(t *testing.T) {
	p := newPod(t, Options{})
	srv := serve(t, p)
	p.publish(t, "a", "x")
	c := httpClient(t, h2)
	cycles := func(n int) {
		for i := range n {
			query := []string{"topic=a", "topic=a&topic=b&since=earliest", "topic=a&last_event_id=0-0"}[i%3]
			resp, err := c.Get(srv.URL + "/events?" + query)
			if err != nil {
				t.Fatal(err)
			}
			// Half of them are closed before anything was read.
			if i%2 == 0 {
				if _, err := resp.Body.Read(make([]byte, 10)); err != nil {
					t.Fatal(err)
				}
			}
			resp.Body.Close()
		}
		await(t, "streams closed", func() bool { return p.Connections() == 0 })
	}
	cycles(50) // what is started once is started now
	c.CloseIdleConnections()
	before := settled(t)
	for _, n := range []int{50, 1000} {
		cycles(n)
		c.CloseIdleConnections()
		await(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
	}
	count, err := p.live.ConnectionCount(t.Context())
	if err != nil || count.Local != 0 {
		t.Errorf("the broadcaster has %d connections, %v", count.Local, err)
	}
	ends := p.metric(t, "sse.disconnects")
	if n := ends["client"] + ends["write_error"]; n != 1100 {
		t.Errorf("ends: %v", ends)
	}
}

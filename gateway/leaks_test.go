package gateway

import (
	"net/http"
	"runtime"
	"testing"
)

// A client that opens and closes streams leaves nothing behind: no goroutine,
// no connection, nothing that the Broadcaster or the history would keep.
func TestOpenAndCloseLeavesNothing(t *testing.T) {
	p := newPod(t, Options{})
	srv := serve(t, p)
	p.publish(t, "a", "x")
	for name, protocol := range map[string]func(*http.Protocols){"HTTP/1.1": h1, "HTTP/2": h2} {
		c := httpClient(t, protocol)
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
		settled := func() int {
			n := runtime.NumGoroutine()
			await(t, "goroutines at rest", func() bool {
				last := n
				n = runtime.NumGoroutine()
				return n == last
			})
			return n
		}
		before := settled()
		for _, n := range []int{50, 1000} {
			cycles(n)
			c.CloseIdleConnections()
			await(t, name+": goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
		}
		count, err := p.live.ConnectionCount(t.Context())
		if err != nil || count.Local != 0 {
			t.Errorf("%s: the broadcaster has %d connections, %v", name, count.Local, err)
		}
	}
	ends := p.metric(t, "sse.disconnects")
	if n := ends["client"] + ends["write_error"]; n != 2*1100 {
		t.Errorf("ends: %v", ends)
	}
}

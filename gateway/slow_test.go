package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// slowTest runs f in a bubble with a pod behind a server, for each protocol.
func slowTest(t *testing.T, f func(t *testing.T, p *pod, l *pipes, protocol func(*http.Protocols))) {
	for name, protocol := range map[string]func(*http.Protocols){"HTTP/1.1": h1, "HTTP/2": h2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPod(t, Options{WriteTimeout: 10 * time.Second})
				l, stop := serveBubble(t, p)
				defer stop()
				f(t, p, l, protocol)
			})
		})
	}
}

// A client that stops reading is given up after the write time-out, and
// nobody else notices.
func TestAClientThatStopsReading(t *testing.T) {
	slowTest(t, func(t *testing.T, p *pod, l *pipes, protocol func(*http.Protocols)) {
		c := clientOf(l, protocol)
		defer c.CloseIdleConnections()
		stopped := openFor(t, time.Hour, c, get(t, "http://x/events?topic=a"))
		stopped.opened()
		other := openFor(t, time.Hour, c, get(t, "http://x/events?topic=a")) // on the same connection in HTTP/2
		other.opened()
		start := time.Now()
		big := strings.Repeat("x", 1<<20)
		p.publish(t, "a", big)
		p.publish(t, "a", "after")
		other.expect(big, "after")
		if d := time.Since(start); d > 0 {
			t.Errorf("the other client waited %v", d)
		}
		time.Sleep(10*time.Second - time.Millisecond)
		if n := p.Connections(); n != 2 {
			t.Errorf("%d connections before the time-out", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := p.Connections(); n != 1 {
			t.Errorf("%d connections after the time-out", n)
		}
		if n := p.metric(t, "sse.disconnects"); n["write_timeout"] != 1 {
			t.Errorf("ends: %v", n)
		}
		p.publish(t, "a", "later")
		other.expect("later")
		if _, err := io.Copy(io.Discard, stopped.Body); err == nil {
			t.Error("the stream ended as if nothing more would come")
		}
	})
}

// When clients that have stopped reading hold more than the pod has for them,
// the one that has stopped first is ended, before its time-out, and nobody
// else is.
func TestTheStalestClientGivesWay(t *testing.T) {
	for name, protocol := range map[string]func(*http.Protocols){"HTTP/1.1": h1, "HTTP/2": h2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPod(t, Options{WriteTimeout: time.Hour, SendBytes: 100 << 10})
				l, stop := serveBubble(t, p)
				defer stop()
				c := clientOf(l, protocol)
				defer c.CloseIdleConnections()
				big := strings.Repeat("x", 600<<10)
				var streams []*reading
				for _, topic := range []stream.Topic{"a", "b"} {
					r := openFor(t, time.Hour, c, get(t, "http://x/events?topic="+string(topic)))
					r.opened()
					streams = append(streams, r)
				}
				p.publish(t, "a", big)
				synctest.Wait()
				time.Sleep(time.Second) // less than until a heartbeat, which nobody would read
				if n := p.Connections(); n != 2 {
					t.Fatalf("%d connections while one client is slow", n)
				}
				p.publish(t, "b", big)
				synctest.Wait()
				if n := p.Connections(); n != 1 {
					t.Errorf("%d connections when both are", n)
				}
				if n := p.metric(t, "sse.disconnects"); n["overload"] != 1 {
					t.Errorf("ends: %v", n)
				}
				streams[1].expect(big) // it only took its time
				if _, err := io.Copy(io.Discard, streams[0].Body); err == nil {
					t.Error("the stream ended as if nothing more would come")
				}
			})
		})
	}
}

// A client may take as long as it likes over a large event, if only it takes
// something all the time.
func TestASlowClientThatGetsOn(t *testing.T) {
	slowTest(t, func(t *testing.T, p *pod, l *pipes, protocol func(*http.Protocols)) {
		c := clientOf(l, protocol)
		defer c.CloseIdleConnections()
		r := openFor(t, time.Hour, c, get(t, "http://x/events?topic=a"))
		r.opened()
		p.publish(t, "a", strings.Repeat("x", 512<<10))
		p.publish(t, "a", "after")
		start := time.Now()
		tail := ""
		for buf := make([]byte, 4<<10); !strings.Contains(tail, "data: after\n\n"); {
			n, err := r.Body.Read(buf)
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			tail = tail[max(0, len(tail)-20):] + string(buf[:n])
			time.Sleep(time.Duration(n) * time.Millisecond / 4) // 4 KB/s
		}
		if d := time.Since(start); d < time.Minute {
			t.Errorf("took only %v", d)
		}
		r.cancel()
	})
}

// The time-out is for writing: a stream on which nothing happens stays open.
func TestAnIdleStreamStaysOpen(t *testing.T) {
	slowTest(t, func(t *testing.T, p *pod, l *pipes, protocol func(*http.Protocols)) {
		c := clientOf(l, protocol)
		defer c.CloseIdleConnections()
		r := openFor(t, time.Hour, c, get(t, "http://x/events?topic=a"))
		r.opened()
		go func() {
			time.Sleep(20 * time.Minute)
			p.publish(t, "a", "at last")
		}()
		r.expect("at last")
		r.cancel()
		synctest.Wait()
	})
}

// A stop shorter than the time-out costs nothing: the stream goes on byte for
// byte.
func TestAShortStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{WriteTimeout: 10 * time.Second, RetryMin: time.Second, RetryMax: time.Second})
		l, stop := serveBubble(t, p)
		defer stop()
		conn, err := l.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		write := func(c net.Conn, s string) {
			if _, err := io.WriteString(c, s); err != nil {
				t.Error(err)
			}
		}
		write(conn, "GET /events?topic=a HTTP/1.0\r\n\r\n")
		br := bufio.NewReader(conn)
		for line := ""; line != "data: {}\n"; {
			if line, err = br.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		var want strings.Builder
		want.WriteString("\n")
		for range 50 {
			data := strings.Repeat("y", 10_000)
			id := p.publish(t, "a", data)
			want.WriteString("id: " + id.String() + "\ndata: " + data + "\n\n")
			time.Sleep(time.Millisecond) // while the client reads nothing
		}
		time.Sleep(9 * time.Second)
		got := make([]byte, want.Len())
		if _, err := io.ReadFull(br, got); err != nil || string(got) != want.String() {
			t.Errorf("%v, %d bytes", err, len(got))
		}
	})
}

package integration

import (
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// draining is a client of a pod that is about to end.
type draining struct {
	counter
	protocol rig.Protocol
	wire     wire // all that came, with the framing of HTTP
	body     wire // without it
}

// tapped keeps what comes over a connection.
type tapped struct {
	net.Conn
	tap io.Writer
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	_, _ = c.tap.Write(b[:n])
	return n, err
}

// TestDrainSaysWhenToComeBackAndCuts ends pods of both transports with clients
// of all kinds, a part of which has stopped reading.
func TestDrainSaysWhenToComeBackAndCuts(t *testing.T) {
	t.Parallel()
	const shutdown = 3 * time.Second
	for _, transport := range []string{direct, portable} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			const each, events, size = 3, 80, 100_000 // more than sockets hold
			r := rig.StartRedis(t)
			pod := rig.StartPod(t, r.URL(), append(transportEnv(transport), "SSE_WRITE_TIMEOUT=10m",
				"SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=1s", "SSE_SHUTDOWN_TIMEOUT="+shutdown.String())...)
			other := rig.StartPod(t, r.URL(), transportEnv(transport)...)
			var readers, stalled []*draining
			for _, protocol := range []rig.Protocol{rig.HTTP11, rig.HTTP10, rig.HTTP2} {
				for range each {
					readers = append(readers, openDraining(t, pod, protocol, "quiet", nil))
					stalled = append(stalled, openDraining(t, pod, protocol, "flood", narrow(smallest)))
				}
			}
			r.Data(t, "quiet", numbered(0, 100))
			for i := range events {
				r.Data(t, "flood", numbered(i, size))
			}
			for _, c := range readers {
				if err := c.complete(1); err != nil {
					t.Fatal(err)
				}
			}

			begin := time.Now()
			pod.Terminate(t)
			for _, c := range readers {
				c.lastWords(t)
			}
			if code := pod.AwaitExit(t); code != 0 {
				t.Errorf("want exit code 0, got %d", code)
			}
			// What is closed then has bounds of its own, of some seconds.
			took := time.Since(begin)
			if most := shutdown + 5*time.Second; took > most {
				t.Errorf("the pod has ended after %v, want at most %v", took, most)
			}
			t.Logf("with %d clients that do not read, and SSE_SHUTDOWN_TIMEOUT=%v, the pod ended after %v", len(stalled), shutdown, took)
			complaints(t, pod)

			// Nobody's stream looks complete, and everybody goes on elsewhere.
			r.Data(t, "quiet", numbered(1, 100))
			for _, c := range stalled {
				if err := c.read(events - 1); err != nil {
					t.Fatal(err)
				}
				if c.got.Load() == events {
					t.Errorf("%s: all events were read: the client had never stalled", c.protocol)
				}
				if _, err := c.stream.Next(); errors.Is(err, io.EOF) && c.protocol != rig.HTTP10 {
					t.Errorf("%s: a stream that was cut while its client did not read ends cleanly", c.protocol)
				}
				c.comeBack(t, other, events)
			}
			for _, c := range readers {
				c.comeBack(t, other, 2)
			}
		})
	}
}

func openDraining(t *testing.T, pod *rig.Pod, protocol rig.Protocol, topic string, dial dialer) *draining {
	t.Helper()
	c := &draining{protocol: protocol}
	c.ask = rig.Ask{Topics: []string{topic}, Protocol: protocol, Dial: dial, Copy: &c.body}
	c.ask.Wrap = func(raw net.Conn) net.Conn { return tapped{raw, &c.wire} }
	if err := c.open(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.stream.Close() }) // whichever it is then
	return c
}

// lastWords reads the end of a stream: a time to come back after, and no sign
// that the response is complete.
func (c *draining) lastWords(t *testing.T) {
	t.Helper()
	e, err := c.stream.Next()
	if err == nil || errors.Is(err, io.EOF) && c.protocol != rig.HTTP10 {
		t.Errorf("%s: want the stream to be aborted, got %+v, %v", c.protocol, e, err)
	}
	if !regexp.MustCompile(`\nretry: ?\d+\n+$`).MatchString(c.body.String()) {
		t.Errorf("%s: want a time to come back as the last words, got\n%s", c.protocol, c.body.String())
	}
	if c.protocol == rig.HTTP11 && strings.HasSuffix(c.wire.String(), "0\r\n\r\n") {
		t.Errorf("the stream ends with a last chunk:\n%q", c.wire.String())
	}
}

// comeBack gets the rest of n events from another pod.
func (c *draining) comeBack(t *testing.T, pod *rig.Pod, n int) {
	t.Helper()
	c.stream.Close()
	c.ask.Dial = nil
	if err := c.open(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := c.complete(n); err != nil {
		t.Errorf("%s: %v", c.protocol, err)
	}
	c.stream.Close()
}

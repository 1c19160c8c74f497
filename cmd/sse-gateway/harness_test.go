package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something may take that should come at once.
const patience = 20 * time.Second

// output takes what a program writes, and lets a test wait for a part of it.
type output struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	grown chan struct{}
}

func newOutput() *output { return &output{grown: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.grown)
	o.grown = make(chan struct{})
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// await returns the first line, old or new, that fits.
func (o *output) await(t *testing.T, what string, fits func(line string) bool) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		text, grown := o.buf.String(), o.grown
		o.mu.Unlock()
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "\n") && fits(line) {
				return strings.TrimSuffix(line, "\n")
			}
		}
		select {
		case <-grown:
		case <-timeout:
			t.Fatalf("%s does not come; so far there is\n%s", what, text)
		}
	}
}

// running is a program at work.
type running struct {
	signals        chan os.Signal
	stdout, stderr *output
	exit           chan int
	addr, ops      string // of a gateway
	redis          string // its built-in Redis
}

// launch runs the program. A test that does not end it has it ended.
func launch(t *testing.T, environ []string, stdin string, args ...string) *running {
	t.Helper()
	r := &running{signals: make(chan os.Signal, 2), stdout: newOutput(), stderr: newOutput(), exit: make(chan int, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.exit <- run(ctx, process{
			args:    append([]string{"sse-gateway"}, args...),
			environ: environ,
			stdin:   strings.NewReader(stdin),
			stdout:  r.stdout,
			stderr:  r.stderr,
			signals: r.signals,
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("%q said\n%s%s", args, r.stdout, r.stderr)
		}
	})
	return r
}

// command runs the program to its end.
func command(t *testing.T, environ []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	r := launch(t, environ, stdin, args...)
	code = r.await(t)
	return code, r.stdout.String(), r.stderr.String()
}

// await returns the exit code.
func (r *running) await(t *testing.T) int {
	t.Helper()
	select {
	case code := <-r.exit:
		return code
	case <-time.After(patience):
		t.Fatalf("the program does not end; it said\n%s%s", r.stdout, r.stderr)
		return 0
	}
}

// serving starts a gateway on free ports and waits until it listens.
func serving(t *testing.T, environ ...string) *running {
	t.Helper()
	r := launch(t, append([]string{"SSE_ADDR=127.0.0.1:0", "SSE_OPS_ADDR=127.0.0.1:0", "SSE_EMBEDDED_ADDR=127.0.0.1:0"}, environ...), "", "serve")
	r.addr, r.ops = r.listening(t, "public"), r.listening(t, "ops")
	return r
}

// listening finds an address in the log.
func (r *running) listening(t *testing.T, server string) string {
	t.Helper()
	var said struct{ Msg, Server, Addr string }
	r.stderr.await(t, "the address of the "+server+" port", func(line string) bool {
		return json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" && said.Server == server
	})
	return said.Addr
}

// ready waits until the gateway is ready.
func (r *running) ready(t *testing.T) {
	t.Helper()
	until(t, "the gateway is ready", func() bool {
		status, _ := get(t, "http://"+r.ops+"/readyz")
		return status == http.StatusOK
	})
}

// until polls what cannot be waited for.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never comes to pass that %s", what)
		}
	}
}

// newClient returns an HTTP client whose connections end with the test.
func newClient(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{}, Timeout: 2 * patience}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := newClient(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// listener reads a stream.
type listener struct {
	t      *testing.T
	resp   *http.Response
	events *sse.Decoder
}

// openStream opens a stream and takes its first event, gateway.open.
func openStream(t *testing.T, c *http.Client, url string) *listener {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, resp.Status)
	}
	l := &listener{t, resp, sse.NewDecoder(bufio.NewReader(resp.Body))}
	if e := l.next(); e.Type != "gateway.open" {
		t.Fatalf("the first event is %+v", e)
	}
	return l
}

func (l *listener) next() sse.Event {
	l.t.Helper()
	e, err := l.events.Decode()
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

// end waits for the end of the stream and returns how it came.
func (l *listener) end() error {
	l.t.Helper()
	for {
		if _, err := l.events.Decode(); err != nil {
			return err
		}
	}
}

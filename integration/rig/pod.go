package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Pod is one gateway process.
type Pod struct {
	*Process
	Addr string // public host:port
	Ops  string // host:port of /livez, /readyz and /metrics

	dial dialFunc // how the ops port is reached; nil is as usual
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// StartPod starts a pod on the Redis at redisURL ("" leaves it embedded) and
// waits until it is ready. It is killed when the test ends.
func StartPod(t testing.TB, redisURL string, env ...string) *Pod {
	t.Helper()
	p := LaunchPod(t, redisURL, env...)
	p.AwaitReady(t)
	return p
}

// LaunchPod starts a pod and waits only until it says where it listens.
func LaunchPod(t testing.TB, redisURL string, env ...string) *Pod {
	t.Helper()
	path, err := Gateway()
	return launch(t, path, err, redisURL, env...)
}

// StartLeanPod is StartPod with a program built without the race detector.
func StartLeanPod(t testing.TB, redisURL string, env ...string) *Pod {
	t.Helper()
	path, err := LeanGateway()
	p := launch(t, path, err, redisURL, env...)
	p.AwaitReady(t)
	return p
}

func launch(t testing.TB, path string, err error, redisURL string, env ...string) *Pod {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	p, err := NewPod(ctx, path, redisURL, env...)
	if p != nil {
		t.Cleanup(func() { p.Discard(t) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Discard kills the pod and shows the end of its log if the test has failed.
func (p *Pod) Discard(t testing.TB) {
	p.Kill()
	showIfFailed(t, p.Name, func() string { return p.Log.Tail(40) })
	// A race found by a pod built with the detector is in its log only.
	for _, line := range p.Log.Lines() {
		if strings.Contains(line, "WARNING: DATA RACE") {
			t.Errorf("data race in %s:\n%s", p.Name, p.Log.Tail(200))
			return
		}
	}
}

// NewPod is LaunchPod for other goroutines than the test's. The caller kills
// the pod, also one that is returned together with an error.
func NewPod(ctx context.Context, path, redisURL string, env ...string) (*Pod, error) {
	all := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
		"SSE_ADDR=127.0.0.1:0", "SSE_OPS_ADDR=127.0.0.1:0",
		// A heartbeat makes a stream look again, which would hide from a test
		// that it was not woken.
		"SSE_HEARTBEAT=1h",
	}
	if redisURL != "" {
		all = append(all, "REDIS_URL="+redisURL, "SSE_AUTH=anonymous")
	}
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		all = append(all, "GOCOVERDIR="+dir)
	}
	proc, err := StartProcess("pod", append(all, env...), path)
	if err != nil {
		return nil, err
	}
	proc.Name = fmt.Sprintf("pod %d", proc.PID())
	p := &Pod{Process: proc}
	if p.Addr, err = p.listening(ctx, "public"); err == nil {
		p.Ops, err = p.listening(ctx, "ops")
	}
	return p, err
}

// listening finds the address of a listener in the pod's log.
func (p *Pod) listening(ctx context.Context, server string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a pod that ends says no more
		select {
		case <-p.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	var addr string
	_, err := p.Log.Await(ctx, func(line string) bool {
		var said struct{ Msg, Server, Addr string }
		if json.Unmarshal([]byte(line), &said) != nil || said.Msg != "listening" || said.Server != server {
			return false
		}
		addr = said.Addr
		return true
	})
	if err != nil {
		return "", fmt.Errorf("%s does not say where its %s port is: %w\n%s", p.Name, server, err, p.Log.Tail(40))
	}
	return addr, nil
}

// URL returns an address on the public port.
func (p *Pod) URL(path string) string { return "http://" + p.Addr + path }

// Get asks the ops port.
func (p *Pod) Get(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Ops+path, nil)
	if err != nil {
		return 0, "", err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: p.dial}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// Ready reports whether the pod says that it is ready.
func (p *Pod) Ready(ctx context.Context) bool {
	status, _, err := p.Get(ctx, "/readyz")
	return err == nil && status == http.StatusOK
}

// AwaitReady waits until the pod is ready.
func (p *Pod) AwaitReady(t testing.TB) {
	t.Helper()
	Await(t, p.Name+" is ready", func() bool { return p.Ready(t.Context()) })
}

// Terminate asks the pod to end.
func (p *Pod) Terminate(t testing.TB) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// AwaitExit waits for the end of the process and returns its exit code.
func (p *Pod) AwaitExit(t testing.TB) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	code, err := p.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

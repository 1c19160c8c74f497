package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/child"
	"github.com/ssegateway/sse-gateway/bench/internal/floor"
	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/resp"
)

// A variant is what delivers.
type variant string

const (
	onFloor  variant = "floor"
	direct   variant = "direct"
	portable variant = "portable"
)

// env returns the variables by which pods of the variants differ.
func (v variant) env() []string {
	if v == portable {
		return []string{"SSE_TRANSPORT=portable"}
	}
	return nil
}

// lab is what one measurement runs on: fresh processes, or with the floor a
// server without Redis.
type lab struct {
	*bench
	variant variant
	name    string // of what is measured

	load      *load.Load
	floor     *floor.Floor // or
	redis     *child.Process
	redisAddr string
	pub       *resp.Conn // publishes
	ask       *resp.Conn // asks, at the same time
	pod       *child.Process
	addr, ops string // of the pod
	born      time.Time

	numbers map[string]uint64 // of the last event, by topic
}

const startPatience = 30 * time.Second

// newLab starts all processes. close ends them, also those of a lab that is
// returned with an error.
func (b *bench) newLab(ctx context.Context, name string, v variant) (l *lab, err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	l = &lab{bench: b, variant: v, name: name, numbers: make(map[string]uint64)}
	if l.load, err = load.Start(b.self); err != nil {
		return l, err
	}
	if v == onFloor {
		l.floor, err = floor.Start(ctx, b.self)
		return l, err
	}
	if err := l.startRedis(ctx); err != nil {
		return l, err
	}
	return l, l.startPod(ctx)
}

func (l *lab) close() {
	for _, c := range []*resp.Conn{l.pub, l.ask} {
		if c != nil {
			c.Close()
		}
	}
	if l.load != nil {
		l.load.Kill()
	}
	if l.floor != nil {
		l.floor.Kill()
	}
	for _, p := range []*child.Process{l.pod, l.redis} {
		if p != nil {
			p.Kill()
		}
	}
}

// server is the process id of what delivers.
func (l *lab) server() int {
	if l.floor != nil {
		return l.floor.PID()
	}
	return l.pod.PID()
}

func (l *lab) startRedis(ctx context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("no redis-server in PATH: install the package redis-server (Debian, Ubuntu) or redis (others)")
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	// Without an append-only file: PUBLISH would not wait for the disk, and XADD
	// would.
	l.redis, err = child.Start("redis", []string{"LC_ALL=C"}, path, "--port", port, "--bind", "127.0.0.1",
		"--dir", l.tmp, "--appendonly", "no", "--save", "")
	if err != nil {
		return err
	}
	l.redisAddr = net.JoinHostPort("127.0.0.1", port)
	err = l.await(ctx, l.redis, func() bool {
		c, err := resp.Dial(l.redisAddr)
		if err != nil {
			return false
		}
		if _, err := c.Do("PING"); err != nil {
			c.Close()
			return false
		}
		l.pub = c
		return true
	})
	if err != nil {
		return err
	}
	l.ask, err = resp.Dial(l.redisAddr)
	return err
}

func (l *lab) startPod(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	opsPort, err := freePort()
	if err != nil {
		return err
	}
	l.addr, l.ops = net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("127.0.0.1", opsPort)
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"REDIS_URL=redis://" + l.redisAddr, "SSE_AUTH=anonymous", "SSE_ADDR=" + l.addr, "SSE_OPS_ADDR=" + l.ops,
		"SSE_LOG_LEVEL=warn", "SSE_PPROF=true",
	}, l.variant.env()...)
	l.born = time.Now()
	if l.pod, err = child.Start("pod", env, l.gateway); err != nil {
		return err
	}
	return l.await(ctx, l.pod, func() bool {
		r, err := http.Get("http://" + l.ops + "/readyz") //nolint:noctx // bounded by await, on loopback
		if err != nil {
			return false
		}
		_ = r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// await polls until a process that was started is there.
func (l *lab) await(ctx context.Context, p *child.Process, there func() bool) error {
	for !there() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.Name, ctx.Err(), p.Said())
		case <-p.Done():
			return fmt.Errorf("%s ended at its start: %s", p.Name, p.Said())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// freePort returns a port below those that the kernel gives to outgoing
// connections.
func freePort() (string, error) {
	const lowest, highest, tries = 10_000, 32_000, 100
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(highest-lowest))
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return port, l.Close()
		}
	}
	return "", fmt.Errorf("no free port among %d tried", tries)
}

package rig

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a server of the test's own. It writes its append-only file before
// it answers (appendfsync always), so that what it has acknowledged survives
// SIGKILL: an event that is missing later was lost by somebody else.
type Redis struct {
	Addr string
	srv  redisServer

	mu     sync.Mutex
	client *redis.Client
}

// redisServer runs the program: as a child process, or in a container.
type redisServer interface {
	host() string
	start(ctx context.Context) error // first, and again after a kill
	signal(ctx context.Context, sig syscall.Signal) error
	kill(ctx context.Context) error // returns when it is dead
	remove()
	tail() string
}

// durable are the arguments of every server.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always", "--save", ""}

// StartRedis starts a server that lives as long as the test. args are
// redis-server's, added to those that make it durable.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := NewRedis(t, args...)
	r.Start(t)
	return r
}

// NewRedis returns a server that has an address and does not run yet.
func NewRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := newRedisServer(t, port, append(durable[:len(durable):len(durable)], args...))
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{Addr: net.JoinHostPort(srv.host(), strconv.Itoa(port)), srv: srv}
	t.Cleanup(func() {
		showIfFailed(t, "Redis "+r.Addr, srv.tail)
		if r.client != nil {
			_ = r.client.Close()
		}
		srv.remove()
	})
	return r
}

// URL returns the address as REDIS_URL has it.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Start starts the server, or starts it again with the data that it had, and
// waits until it answers.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := r.Up(ctx); err != nil {
		t.Fatal(err)
	}
}

// Up is Start for other goroutines than the test's.
func (r *Redis) Up(ctx context.Context) error {
	if err := r.srv.start(ctx); err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	if !Poll(ctx, r.answers) {
		return fmt.Errorf("Redis at %s does not answer: %w\n%s", r.Addr, ctx.Err(), r.srv.tail())
	}
	return nil
}

// answers asks on a fresh connection, and without a client library: what
// state a pool is in after a kill is not the question here.
func (r *Redis) answers() bool {
	conn, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	pong := make([]byte, len("+PONG\r\n")) // while loading: "-LOADING …"
	_, err = io.ReadFull(conn, pong)
	return err == nil && string(pong) == "+PONG\r\n"
}

// Kill ends the server with SIGKILL. Its data stay.
func (r *Redis) Kill(t testing.TB) {
	t.Helper()
	if err := r.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Down is Kill for other goroutines than the test's.
func (r *Redis) Down(ctx context.Context) error { return r.srv.kill(ctx) }

// Freeze stops the server without closing anything: it accepts connections
// and never answers. Thaw lets it go on.
func (r *Redis) Freeze(ctx context.Context) error { return r.srv.signal(ctx, syscall.SIGSTOP) }

// Thaw ends Freeze.
func (r *Redis) Thaw(ctx context.Context) error { return r.srv.signal(ctx, syscall.SIGCONT) }

// Client returns a client that never repeats a command: an XADD whose answer
// was lost may be stored, and must not be stored twice.
func (r *Redis) Client() *redis.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil {
		r.client = redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	}
	return r.client
}

// freePort returns a port below those that the kernel gives to outgoing
// connections: a server that was killed must find its port free when it
// comes back, and nobody must be able to connect to himself on it.
func freePort() (int, error) {
	const lowest, highest, tries = 10_000, 32_000, 100
	for range tries {
		port := lowest + rand.IntN(highest-lowest)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port among %d tried", tries)
}

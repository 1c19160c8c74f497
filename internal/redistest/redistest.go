// Package redistest starts Redis servers for tests.
package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Binary is the environment variable that names the server to start, where it
// is not the redis-server in PATH. Valkey's does as well.
const Binary = "TEST_REDIS_SERVER"

// startTime is how long a server may take to be ready.
const startTime = 20 * time.Second

// Server is a running redis-server of a test's own, without persistence
// unless its arguments say otherwise. Methods are for the test's goroutine.
type Server struct {
	Addr string // host:port, the same after a restart

	t    testing.TB
	bin  string
	args []string
	proc *process // nil if it is not running
}

// Start starts a server on a free port of 127.0.0.1 with additional
// arguments as redis-server takes them ("--appendonly", "yes"), and ends it
// with the test. Where no server is installed the test fails: a test that was
// not run must not look like one that passed.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	bin := os.Getenv(Binary)
	if bin == "" {
		bin = "redis-server"
	}
	bin, err := exec.LookPath(bin)
	if err != nil {
		t.Fatalf("no redis-server to test with (%v): install the package redis-server (Debian, Ubuntu), redis (Alpine, Fedora, Homebrew) or valkey-server, or set %s to a binary", err, Binary)
	}
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, bin: bin}
	s.args = append([]string{"--save", "", "--dir", dir, "--bind", "127.0.0.1"}, args...)
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	// Redis cannot choose a port itself, and the one that is free now may be
	// taken before it has started.
	for range 5 {
		if err = s.tryStart(freePort(t)); err == nil {
			return s
		}
		if !errors.Is(err, errExited) {
			break
		}
	}
	t.Fatal(err)
	return nil
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func freePortText(t testing.TB) string {
	t.Helper()
	return strconv.Itoa(freePort(t))
}

func (s *Server) tryStart(port int) error {
	p, err := startProcess(s.bin, append([]string{"--port", strconv.Itoa(port)}, s.args...))
	if err != nil {
		return err
	}
	s.proc, s.Addr = p, fmt.Sprintf("127.0.0.1:%d", port)
	return nil
}

// Client returns a client of the server that retries neither commands nor
// dialling. It is closed with the test. Options may be changed before it is
// made.
func (s *Server) Client(change ...func(*redis.Options)) *redis.Client {
	opts := &redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1}
	for _, c := range change {
		c(opts)
	}
	rdb := redis.NewClient(opts)
	s.t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Path returns the binary that was started.
func (s *Server) Path() string { return s.bin }

// URL returns the server's address as REDIS_URL has it.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill ends the server at once, as a crash does. Killing twice is killing
// once.
func (s *Server) Kill() {
	s.end(syscall.SIGKILL)
}

// Stop ends the server in order: with persistence, everything is saved.
func (s *Server) Stop() {
	s.end(syscall.SIGTERM)
}

func (s *Server) end(sig syscall.Signal) {
	if s.proc == nil {
		return
	}
	_ = s.proc.cmd.Process.Signal(syscall.SIGCONT) // a paused server does not end
	_ = s.proc.cmd.Process.Signal(sig)
	select {
	case <-s.proc.done:
	case <-time.After(startTime):
		_ = s.proc.cmd.Process.Kill()
		<-s.proc.done
	}
	s.proc = nil
}

// Restart starts the server again at the same address, after killing it if it
// is still there. Without persistence it comes back empty.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	_, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	if err := s.tryStart(n); err != nil {
		s.t.Fatal(err)
	}
}

// Pause stops the server from doing anything, as if its machine were stalled:
// connections stay open and nothing is answered until Continue.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Continue ends a Pause.
func (s *Server) Continue() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.proc == nil {
		s.t.Fatal("redistest: the server is not running")
	}
	if err := s.proc.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Do sends one command and returns its reply. An error fails the test.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	v, err := rdb.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return v
}

var errExited = errors.New("redistest: redis-server ended before it was ready")

// process is one run of the server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

func startProcess(bin string, args []string) (*process, error) {
	p := &process{cmd: exec.Command(bin, args...), done: make(chan struct{})}
	dieWithParent(p.cmd)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.cmd.Stdout
	started := make(chan error, 1)
	ready := make(chan error, 1)
	go func() {
		// The kernel ends the server with the thread that started it, so the
		// thread is kept for as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			scan(out, ready)
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("redistest: %w", err)
	}
	select {
	case err = <-ready:
	case <-time.After(startTime):
		err = fmt.Errorf("redistest: redis-server was not ready within %v", startTime)
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		return nil, err
	}
	return p, nil
}

// scan reads what the server logs until it ends, and says on ready when it
// takes connections, or what it logged if it never does.
func scan(out io.Reader, ready chan<- error) {
	var once sync.Once
	var log strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "eady to accept connections") {
			once.Do(func() { ready <- nil })
		}
		if log.Len() < 16<<10 {
			log.WriteString(lines.Text() + "\n")
		}
	}
	once.Do(func() { ready <- fmt.Errorf("%w:\n%s", errExited, log.String()) })
}

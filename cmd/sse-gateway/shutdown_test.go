package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// stage is a shutdown whose steps the test sees and holds.
type stage struct {
	shutdown
	steps   chan string
	release chan struct{} // lets Drain return
	done    chan error    // what run returned
	addr    string
}

func (s *stage) Drain(ctx context.Context, window time.Duration) error {
	s.steps <- "drain " + window.String()
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		s.steps <- "drain cut"
		return ctx.Err()
	}
}

func newStage(t *testing.T, lameDuck, timeout time.Duration) (*stage, chan<- os.Signal) {
	t.Helper()
	signals := make(chan os.Signal, 2)
	s := &stage{steps: make(chan string, 10), release: make(chan struct{}), done: make(chan error, 1)}
	s.shutdown = shutdown{
		lameDuck: lameDuck, window: time.Minute, timeout: timeout,
		signals:  signals,
		notReady: func() { s.steps <- "not ready" },
		streams:  s,
		public:   &http.Server{Handler: http.NotFoundHandler()},
		log:      slog.New(slog.DiscardHandler),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	served := make(chan struct{})
	go func() { defer close(served); _ = s.public.Serve(l) }()
	go func() { s.done <- s.run(t.Context()) }()
	t.Cleanup(func() { s.public.Close(); <-served })
	return s, signals
}

func (s *stage) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-s.steps:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%q does not come", want)
	}
}

func (s *stage) result(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(patience):
		t.Fatal("the shutdown does not end")
		return nil
	}
}

func (s *stage) accepts() bool {
	conn, err := net.Dial("tcp", s.addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestShutdownGoesStepByStep(t *testing.T) {
	s, signals := newStage(t, 300*time.Millisecond, time.Minute)
	signals <- syscall.SIGTERM
	s.expect(t, "not ready")
	if !s.accepts() {
		t.Error("a lame duck does not accept connections any more")
	}
	s.expect(t, "drain 1m0s")
	until(t, "the listener is closed while streams are still open", func() bool { return !s.accepts() })
	close(s.release)
	if err := s.result(t); err != nil {
		t.Error(err)
	}
}

func TestASecondSignalEndsTheDrainAtOnce(t *testing.T) {
	s, signals := newStage(t, 0, time.Hour)
	signals <- syscall.SIGTERM
	s.expect(t, "not ready")
	s.expect(t, "drain 1m0s")
	signals <- syscall.SIGINT
	s.expect(t, "drain cut")
	var ended *signalError
	if err := s.result(t); !errors.As(err, &ended) || ended.code() != 130 {
		t.Errorf("got %v", err)
	}
}

func TestASecondSignalEndsTheLameDuckAtOnce(t *testing.T) {
	s, signals := newStage(t, time.Hour, 2*time.Hour)
	signals <- syscall.SIGINT
	s.expect(t, "not ready")
	signals <- syscall.SIGTERM
	var ended *signalError
	if err := s.result(t); !errors.As(err, &ended) || ended.code() != 143 {
		t.Errorf("got %v", err)
	}
}

func TestTheTimeoutCutsWhatIsStillOpen(t *testing.T) {
	s, signals := newStage(t, 0, 50*time.Millisecond)
	signals <- syscall.SIGTERM
	s.expect(t, "not ready")
	s.expect(t, "drain 1m0s")
	s.expect(t, "drain cut")
	if err := s.result(t); err != nil {
		t.Errorf("reaching the time-out is an ordinary end, got %v", err)
	}
}

func TestAShutdownEndsWithTheRestOfTheProcess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := shutdown{signals: make(chan os.Signal), log: slog.New(slog.DiscardHandler)}
	if err := s.run(ctx); err != nil {
		t.Error(err)
	}
}

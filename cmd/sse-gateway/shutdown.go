package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"
)

// shutdown is how the process ends:
//
//	signal     not ready: load balancers stop sending new clients
//	│ lame duck: everything is still served, until they have noticed
//	▼
//	listener closed
//	│ drain window: each stream ends at a random point of it, with a time to
//	│ come back after, so that the other pods get the clients one by one
//	▼
//	the last stream has ended, or the time-out cuts it
//
// A second signal, at any point, ends everything at once.
type shutdown struct {
	lameDuck time.Duration
	window   time.Duration
	timeout  time.Duration // of everything together, from the first signal

	signals  <-chan os.Signal
	notReady func()
	streams  interface {
		// Drain ends all streams within the window and waits for their ends.
		Drain(ctx context.Context, window time.Duration) error
	}
	public *http.Server
	log    *slog.Logger
}

// atOnce is how long a second signal lets what is being ended end.
const atOnce = time.Second

// run waits for a signal and then ends the public server in order. It returns
// nil when that is done or ctx ends, and a *signalError after a second signal.
func (s *shutdown) run(ctx context.Context) error {
	select {
	case <-ctx.Done(): // another part of the process has failed
		return nil
	case sig := <-s.signals:
		s.log.Info("stopping; a second signal ends everything at once",
			"signal", sig.String(), "lame_duck", s.lameDuck.String(), "window", s.window.String(), "timeout", s.timeout.String())
	}
	s.notReady()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.drain(ctx)
	}()
	select {
	case <-done:
		return nil
	case sig := <-s.signals:
		cancel()
		select {
		case <-done:
		case <-time.After(atOnce):
		}
		return &signalError{sig}
	}
}

func (s *shutdown) drain(ctx context.Context) {
	select {
	case <-time.After(s.lameDuck):
	case <-ctx.Done():
		return
	}
	closed := make(chan error, 1)
	// Closes the listener now, and then waits for requests to end.
	go func() { closed <- s.public.Shutdown(ctx) }()
	err := errors.Join(s.streams.Drain(ctx, s.window), <-closed)
	if err != nil {
		s.log.Warn("cutting what is still open", "error", err)
		return
	}
	s.log.Info("stopped: every stream has ended")
}

package client_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

// noErrors fails the test if anything is reported.
func noErrors(t *testing.T) client.Option {
	return client.OnError(func(err error) client.Decision {
		t.Errorf("reported: %v", err)
		return client.Default
	})
}

func TestCloseEndsARunThatReadsAndMayBeRepeated(t *testing.T) {
	s := serve(t, holds("data: a\n\n"))
	c := newClient(t, s, noErrors(t))
	r := run(t.Context(), c)
	r.next(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(c.Close)
	}
	wg.Wait()
	c.Close()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	if err := c.Run(t.Context(), nil); err != client.ErrClosed {
		t.Errorf("a Run after Close: %v", err)
	}
	c.Restart()
}

func TestCloseBeforeRun(t *testing.T) {
	s := serve(t, noContent)
	c := newClient(t, s)
	c.Restart() // nothing to restart
	c.Close()
	if err := c.Run(t.Context(), nil); err != client.ErrClosed || s.count() != 0 {
		t.Errorf("got %v after %d requests", err, s.count())
	}
}

func TestCloseDuringALongPauseReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{stream("retry: 3600000\n"), end}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}))
		if err != nil {
			t.Fatal(err)
		}
		r := run(t.Context(), c)
		synctest.Wait() // it pauses
		start := time.Now()
		c.Close()
		if err := <-r.result; err != nil || time.Since(start) != 0 || len(n.times) != 1 {
			t.Errorf("got %v after %v and %d requests", err, time.Since(start), len(n.times))
		}
	})
}

func TestTheContextEndsALongPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{stream("retry: 3600000\n"), end}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err = c.Run(ctx, func(sse.Event) error { return nil })
		if err != context.DeadlineExceeded || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestCloseWhileConnecting(t *testing.T) {
	arrived := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() })
	c := newClient(t, s, noErrors(t))
	r := run(t.Context(), c)
	<-arrived
	c.Close()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestCloseDuringTrafficLetsNothingThroughAfterwards(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		begin(w, "")
		for r.Context().Err() == nil {
			send(w, "data: a\n\ndata: b\n\n")
		}
	})
	for range 20 {
		c := newClient(t, s, noErrors(t))
		started := make(chan struct{})
		var once sync.Once
		var mu sync.Mutex
		closed, late := false, 0
		result := make(chan error, 1)
		go func() {
			result <- c.Run(t.Context(), func(sse.Event) error {
				once.Do(func() { close(started) })
				mu.Lock()
				defer mu.Unlock()
				if closed {
					late++
				}
				return nil
			})
		}()
		<-started
		c.Close()
		mu.Lock() // the call that was at work, if any, is over
		closed = true
		mu.Unlock()
		if err := <-result; err != nil {
			t.Error(err)
		}
		if late > 1 { // that call may have been waiting for the lock
			t.Errorf("%d events after Close", late)
		}
	}
}

func TestCloseFromWithinTheProgramsFunctions(t *testing.T) {
	for name, with := range map[string]func(close func()) []client.Option{
		"prepare": func(f func()) []client.Option {
			return []client.Option{client.Prepare(func(*http.Request) error { f(); return nil })}
		},
		"open":    func(f func()) []client.Option { return []client.Option{client.OnOpen(func(*http.Response) { f() })} },
		"comment": func(f func()) []client.Option { return []client.Option{client.OnComment(func(string) { f() })} },
		"error": func(f func()) []client.Option {
			return []client.Option{client.OnError(func(error) client.Decision { f(); return client.Retry })}
		},
		"handle": func(func()) []client.Option { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			first := holds(":\ndata: a\n\ndata: b\n\n")
			if name == "error" {
				first = status(http.StatusBadRequest)
			}
			s := serve(t, first)
			var c *client.Client
			c = newClient(t, s, with(func() { c.Close() })...)
			events := 0
			if err := c.Run(t.Context(), func(sse.Event) error { events++; c.Close(); return nil }); err != nil {
				t.Error(err)
			}
			if events > 1 || events == 1 && name != "handle" {
				t.Errorf("%d events", events)
			}
		})
	}
}

func TestOnlyOneRunAtATime(t *testing.T) {
	s := serve(t, holds("data: a\n\n"), noContent)
	c := newClient(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	r := run(ctx, c)
	r.next(t)
	if err := c.Run(t.Context(), nil); err != client.ErrRunning {
		t.Errorf("got %v", err)
	}
	cancel()
	_ = r.wait(t)
	if _, err := collect(t, c); err != nil { // but one after another
		t.Error(err)
	}
}

func TestRestartReconnectsAtOnceWithoutAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{lasts(time.Hour, "id: 1\ndata: a\n\n"), lasts(time.Hour, "id: 2\ndata: b\n\n")}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}), client.InitialRetry(time.Hour), noErrors(t))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := run(t.Context(), c)
		for i := range 5 {
			if e := <-r.events; (i == 0) != (e.ID == "1") {
				t.Errorf("got %+v", e)
			}
			synctest.Wait()
			c.Restart()
		}
		<-r.events
		if len(n.times) != 6 || time.Since(start) != 0 || n.open != 1 {
			t.Errorf("%d requests in %v, %d of them open", len(n.times), time.Since(start), n.open)
		}
		c.Close()
	})
}

func TestRestartCutsAPauseShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{stream("retry: 3600000\n"), end}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := run(t.Context(), c)
		synctest.Wait()
		c.Restart()
		if err := <-r.result; err != nil || time.Since(start) != 0 || len(n.times) != 2 {
			t.Errorf("got %v after %v and %d requests", err, time.Since(start), len(n.times))
		}
	})
}

func TestManyRestartsLeaveOneConnection(t *testing.T) {
	gone := make(chan struct{}, 1000)
	came := make(chan struct{}, 1000)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		holds("data: a\n\n")(w, r)
		gone <- struct{}{}
	})
	c := newClient(t, s, noErrors(t))
	r := run(t.Context(), c)
	const restarts = 50
	for range restarts {
		r.next(t)
		c.Restart()
		c.Restart()
		c.Restart()
	}
	r.next(t)
	c.Close()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
	for n := len(came); n > 0; n-- { // every one that came goes
		<-came
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatalf("%d connections are still open", n)
		}
	}
}

func TestManyRunsLeaveNoGoroutine(t *testing.T) {
	s := serve(t, holds("data: a\n\n"))
	c := newClient(t, s, client.ReadTimeout(time.Hour))
	before := goleak.IgnoreCurrent()
	for range 50 {
		for range c.Events(t.Context()) {
			break
		}
	}
	s.CloseClientConnections()
	goleak.VerifyNone(t, before)
}

func TestATransportThatIgnoresItsContextIsEndedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{deaf("id: 1\ndata: a\n\n")}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}),
			client.ReadTimeout(time.Minute), client.Jitter(0))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := run(t.Context(), c)
		<-r.events
		synctest.Wait()
		c.Restart()
		<-r.events
		if time.Since(start) != 0 {
			t.Errorf("Restart took %v", time.Since(start))
		}
		<-r.events // after the time-out and a pause
		if took := time.Since(start); took != time.Minute+client.DefaultInitialRetry {
			t.Errorf("the time-out and a pause took %v", took)
		}
		c.Close()
		if err := <-r.result; err != nil || len(n.times) != 3 || n.open != 0 {
			t.Errorf("got %v after %d requests, %d of them open", err, len(n.times), n.open)
		}
	})
}

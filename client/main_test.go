package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers the nth request with the nth handler, and the last one from then on.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*http.Request // in order; their bodies are in bodies
	bodies   []string
}

func serve(t *testing.T, handlers ...http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		n := len(s.requests)
		s.requests = append(s.requests, r)
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
		handlers[min(n, len(handlers)-1)](w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// request returns the nth request, from 0, and its body.
func (s *server) request(t *testing.T, n int) (*http.Request, string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n >= len(s.requests) {
		t.Fatalf("only %d requests", len(s.requests))
	}
	return s.requests[n], s.bodies[n]
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// begin sends the head of a stream and text.
func begin(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", sse.ContentType)
	send(w, text)
}

// send writes text and flushes it.
func send(w http.ResponseWriter, text string) {
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

// ends is a handler that sends text and ends the stream in order.
func ends(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { begin(w, text) }
}

// cuts is a handler that sends text and cuts the connection.
func cuts(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		begin(w, text)
		panic(http.ErrAbortHandler)
	}
}

// holds is a handler that sends text and keeps the stream open until the client goes.
func holds(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		begin(w, text)
		<-r.Context().Done()
	}
}

// status is a handler that answers with a status and a short text.
func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Why", "because")
		http.Error(w, "told you so", code)
	}
}

var noContent http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// quick are options for tests that are not about pauses.
func quick(s *server, opts ...client.Option) []client.Option {
	return append([]client.Option{
		client.HTTPClient(s.Client()),
		client.InitialRetry(time.Millisecond),
		client.ResetAfter(0),
	}, opts...)
}

func newClient(t *testing.T, s *server, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(s.URL+"/events", quick(s, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// running is a Run in a goroutine of its own.
type running struct {
	events chan sse.Event // unbuffered: the client waits until the test takes one
	result chan error
}

func run(ctx context.Context, c *client.Client) running {
	r := running{events: make(chan sse.Event), result: make(chan error, 1)}
	go func() {
		r.result <- c.Run(ctx, func(e sse.Event) error {
			select {
			case r.events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return r
}

const patience = 20 * time.Second // for what must happen; no test waits for it to pass

func (r running) next(t *testing.T) sse.Event {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case err := <-r.result:
		t.Fatalf("Run ended, %v, where an event was due", err)
	case <-time.After(patience):
		t.Fatal("no event")
	}
	panic("unreachable")
}

func (r running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.result:
		return err
	case e := <-r.events:
		t.Fatalf("%+v came where the end was due", e)
	case <-time.After(patience):
		t.Fatal("Run does not end")
	}
	panic("unreachable")
}

// collect runs c to its end and returns all data that came.
func collect(t *testing.T, c *client.Client) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var data []string
	err := c.Run(ctx, func(e sse.Event) error {
		data = append(data, e.Data)
		return nil
	})
	return data, err
}

package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

func TestEveryRequestAsksForAnUncachedEventStream(t *testing.T) {
	s := serve(t, cuts(""), noContent)
	if _, err := collect(t, newClient(t, s, client.Header("Authorization", "Bearer x"))); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		r, _ := s.request(t, n)
		for name, want := range map[string]string{
			"Accept": "text/event-stream", "Cache-Control": "no-cache", "Authorization": "Bearer x", "Last-Event-Id": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("request %d: %s %q, want %q", n, name, got, want)
			}
		}
	}
}

func TestHeadersOfTheProgramTakePrecedence(t *testing.T) {
	s := serve(t, noContent)
	if _, err := collect(t, newClient(t, s, client.Header("Accept", "text/event-stream;q=1"), client.Header("cache-control", "no-store"))); err != nil {
		t.Fatal(err)
	}
	r, _ := s.request(t, 0)
	if a, cc := r.Header.Values("Accept"), r.Header.Values("Cache-Control"); len(a) != 1 || a[0] != "text/event-stream;q=1" || len(cc) != 1 || cc[0] != "no-store" {
		t.Errorf("Accept %q, Cache-Control %q", a, cc)
	}
}

func TestMethodAndBodyAreSentAgainAtEveryReconnect(t *testing.T) {
	for _, method := range []string{"GET", "POST", "REPORT", "QUERY"} {
		for name, body := range map[string]io.Reader{
			"with GetBody":    strings.NewReader("topic=a"),
			"without GetBody": io.MultiReader(strings.NewReader("topic="), strings.NewReader("a")),
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				s := serve(t, cuts("id: 1\ndata: a\n\n"), status(http.StatusServiceUnavailable), cuts(""), noContent)
				req, err := http.NewRequest(method, s.URL+"/events", body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.Header.Set("Last-Event-ID", "0")
				c, err := client.FromRequest(req, quick(s)...)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := collect(t, c); err != nil {
					t.Fatal(err)
				}
				for n, id := range []string{"0", "1", "1", "1"} {
					r, body := s.request(t, n)
					if r.Method != method || body != "topic=a" || r.ContentLength != 7 ||
						r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Last-Event-ID") != id {
						t.Errorf("request %d: %s %q of %d bytes, %v", n, r.Method, body, r.ContentLength, r.Header)
					}
				}
			})
		}
	}
}

func TestTheProgramsRequestIsNotTouched(t *testing.T) {
	s := serve(t, cuts("id: 1\ndata: a\n\n"), noContent)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.FromRequest(req, quick(s, client.Header("A", "b"))...)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // Run has a context of its own
	if data, err := collect(t, c); err != nil || len(data) != 1 {
		t.Errorf("got %q, %v", data, err)
	}
	if len(req.Header) != 0 {
		t.Errorf("headers %v", req.Header)
	}
}

func TestRedirectsAreFollowed(t *testing.T) {
	for code, want := range map[int]string{301: "GET", 302: "GET", 303: "GET", 307: "POST topic=a", 308: "POST topic=a"} {
		var target string
		s := serve(t,
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) },
			cuts("id: 1\ndata: a\n\n"),
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) },
			noContent)
		target = s.URL + "/elsewhere"
		req, err := http.NewRequest("POST", s.URL+"/events", strings.NewReader("topic=a"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.FromRequest(req, quick(s)...)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := collect(t, c); err != nil || len(data) != 1 {
			t.Errorf("%d: got %q, %v", code, data, err)
		}
		for n, path := range []string{"/events", "/elsewhere", "/events", "/elsewhere"} {
			r, body := s.request(t, n)
			if r.URL.Path != path {
				t.Errorf("%d: request %d went to %s", code, n, r.URL)
			}
			if got := strings.TrimSpace(r.Method + " " + body); path == "/elsewhere" && got != want {
				t.Errorf("%d: %q was sent on, want %q", code, got, want)
			}
			if id := r.Header.Get("Last-Event-ID"); (id == "1") != (n >= 2) {
				t.Errorf("%d: request %d: Last-Event-ID %q", code, n, id)
			}
		}
	}
}

func TestARedirectToNowhereIsARefusal(t *testing.T) {
	for _, code := range []int{301, 307} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		_, err := collect(t, newClient(t, s, client.RetryFirst()))
		var refused *client.ResponseError
		if !errors.As(err, &refused) || refused.StatusCode != code {
			t.Errorf("%d: got %v", code, err)
		}
	}
}

func TestPrepareChangesEachRequest(t *testing.T) {
	s := serve(t, cuts("id: 1\ndata: a\n\n"), cuts(""), noContent)
	n := 0
	c := newClient(t, s, client.Prepare(func(r *http.Request) error {
		n++
		if n == 2 {
			return errors.New("no token yet") // is retried like an error of the network
		}
		q := r.URL.Query()
		if len(q) != 0 || r.Header.Get("Authorization") != "" {
			t.Errorf("attempt %d: what the last one was given is still there: %v", n, r)
		}
		q.Set("connect", strings.Repeat("i", n))
		r.URL.RawQuery = q.Encode()
		r.Header.Set("Authorization", "Bearer "+strings.Repeat("i", n))
		return nil
	}))
	if _, err := collect(t, c); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"i", "iii", "iiii"} {
		r, _ := s.request(t, i)
		if r.URL.Query().Get("connect") != want || r.Header.Get("Authorization") != "Bearer "+want {
			t.Errorf("request %d: %s, %v", i, r.URL, r.Header)
		}
	}
}

func TestAnErrorOfPrepareIsReported(t *testing.T) {
	s := serve(t, noContent)
	none := errors.New("no token")
	_, err := collect(t, newClient(t, s, client.Prepare(func(*http.Request) error { return none })))
	if !errors.Is(err, none) || s.count() != 0 {
		t.Errorf("got %v after %d requests", err, s.count())
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for name, opt := range map[string]client.Option{
		"negative retry":    client.InitialRetry(-1),
		"negative cap":      client.MaxRetry(-1),
		"negative reset":    client.ResetAfter(-1),
		"negative time-out": client.ReadTimeout(-time.Second),
		"negative jitter":   client.Jitter(-0.1),
		"large jitter":      client.Jitter(1.1),
		"negative attempts": client.MaxAttempts(-1),
		"id with LF":        client.InitialID("1\nX: y"),
	} {
		if c, err := client.New("http://localhost/", opt); err == nil || c != nil {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if _, err := client.New("http://user:secret@host:port/?token=secret"); err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("invalid URL: %v", err)
	}
	bad := errors.New("bad")
	req, err := http.NewRequest("POST", "http://localhost/", io.MultiReader(failing{bad}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.FromRequest(req); !errors.Is(err, bad) {
		t.Errorf("unreadable body: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestABodyThatCannotBeHadAgainIsAnError(t *testing.T) {
	s := serve(t, noContent)
	gone := errors.New("file gone")
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.FromRequest(&http.Request{ // no method, no headers
		URL:     u,
		Body:    io.NopCloser(strings.NewReader("x")),
		GetBody: func() (io.ReadCloser, error) { return nil, gone },
	}, quick(s)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), func(sse.Event) error { return nil }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

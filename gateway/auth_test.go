package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/auth"
)

// onlyTopic grants one topic and one action.
func onlyTopic(action auth.Action, topic string) auth.Authorizer {
	return auth.AuthorizerFunc(func(context.Context, *http.Request) (auth.Grant, error) {
		return auth.Grant{Allow: func(a auth.Action, t string) bool { return a == action && t == topic }}, nil
	})
}

func refusing(err error) auth.Authorizer {
	return auth.AuthorizerFunc(func(context.Context, *http.Request) (auth.Grant, error) { return auth.Grant{}, err })
}

// Whatever is refused is refused before any part of an answer is sent, on
// every path.
func TestRefusals(t *testing.T) {
	challenge := http.Header{"Www-Authenticate": {`Bearer realm="x"`}}
	for _, c := range []struct {
		name   string
		auth   auth.Authorizer
		status int
		code   string
		says   string
	}{
		{"who are you", refusing(&auth.Refusal{Status: 401, Message: "send a token", Header: challenge}), 401, "unauthorized", "send a token"},
		{"not you", refusing(&auth.Refusal{Status: 403, Message: "not you"}), 403, "forbidden", "not you"},
		{"wrapped", refusing(errors.Join(errors.New("more"), &auth.Refusal{Status: 403, Message: "not you"})), 403, "forbidden", "not you"},
		{"without a status", refusing(&auth.Refusal{Message: "no"}), 403, "forbidden", "no"},
		{"with the status of a yes", refusing(&auth.Refusal{Status: 200, Message: "no"}), 403, "forbidden", "no"},
		{"broken", refusing(errors.New("secret detail")), 503, "unavailable", "try again"},
		{"the zero grant", refusing(nil), 403, "forbidden", "not allowed to"},
		{"another topic", onlyTopic(auth.Subscribe, "b"), 403, "forbidden", "topic a"},
	} {
		p := newPod(t, Options{Authorizer: c.auth})
		for _, r := range []request{
			{"GET", "/events?topic=b&topic=a", "", ""},
			{"POST", "/events", form, "topic=b&topic=a"},
			{"GET", "/cursor?topic=b&topic=a", "", ""},
			{"POST", "/publish?topic=a", "", "x"},
		} {
			rec := r.do(p)
			checkProblem(t, c.name+": "+r.String(), rec, c.status, c.code, c.says)
			if strings.Contains(rec.Body.String(), "secret") {
				t.Errorf("%s: %s", c.name, rec.Body)
			}
			if want := challenge.Get("Www-Authenticate"); c.status == 401 && rec.Header().Get("Www-Authenticate") != want {
				t.Errorf("%s: headers %v", c.name, rec.Header())
			}
			if c.status == 503 && rec.Header().Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", c.name)
			}
		}
		if info, err := p.store.Bounds(t.Context(), "a"); err != nil || info.Exists {
			t.Errorf("%s: something was stored", c.name)
		}
	}
}

// One may listen and not publish, and the other way round.
func TestActionsAreGrantedApart(t *testing.T) {
	listener := newPod(t, Options{Authorizer: onlyTopic(auth.Subscribe, "a")})
	checkProblem(t, "publishing", request{"POST", "/publish?topic=a", "", "x"}.do(listener), 403, "forbidden", "not allowed to publish to topic a")
	if rec := (request{"GET", "/cursor?topic=a", "", ""}).do(listener); rec.Code != http.StatusOK {
		t.Errorf("listening: %d", rec.Code)
	}
	publisher := newPod(t, Options{Authorizer: onlyTopic(auth.Publish, "a")})
	if rec := (request{"POST", "/publish?topic=a", "", "x"}).do(publisher); rec.Code != http.StatusOK {
		t.Errorf("publishing: %d", rec.Code)
	}
	checkProblem(t, "listening", request{"GET", "/events?topic=a", "", ""}.do(publisher), 403, "forbidden", "not allowed to subscribe to topic a")
}

// A body is not read for somebody who may not publish.
func TestNothingIsReadForTheUnauthorized(t *testing.T) {
	p := newPod(t, Options{Authorizer: refusing(&auth.Refusal{Status: 401, Message: "no"})})
	body := &countingReader{}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("POST", "/publish?topic=a", body))
	if rec.Code != http.StatusUnauthorized || body.n > 0 {
		t.Errorf("%d after %d bytes", rec.Code, body.n)
	}
}

type countingReader struct{ n int }

func (r *countingReader) Read(p []byte) (int, error) { r.n += len(p); return len(p), nil }

// The Authorizer is asked once for each request, and what it says in confidence
// goes to the log.
func TestTheAuthorizerIsAskedOnce(t *testing.T) {
	asked := 0
	var log strings.Builder
	p := newPod(t, Options{
		Authorizer: auth.AuthorizerFunc(func(context.Context, *http.Request) (auth.Grant, error) {
			asked++
			return auth.Grant{}, errors.New("the token service is down")
		}),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	request{"GET", "/events?topic=a&topic=b&topic=c&token=secret", "", ""}.do(p)
	if asked != 1 || !strings.Contains(log.String(), "the token service is down") {
		t.Errorf("asked %d times, log: %s", asked, log.String())
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log has the query: %s", log.String())
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	s := newSlowStore()
	for says, o := range map[string]Options{
		"Authorizer is missing": {},
		"RetryMax is less":      {Authorizer: auth.Anonymous(), RetryMin: 5, RetryMax: 4},
	} {
		if _, err := New(nil, s, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

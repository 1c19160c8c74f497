package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/stream"
)

// request is one request, short enough for a table.
type request struct {
	method, target, contentType, body string
}

func (r request) do(h http.Handler) *httptest.ResponseRecorder {
	req := httptest.NewRequest(r.method, r.target, strings.NewReader(r.body))
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func (r request) String() string {
	return fmt.Sprintf("%s %.80s %s %.40q", r.method, r.target, r.contentType, r.body)
}

// checkProblem checks an error answer: its status, its code for programs, and
// that its text for people tells what to do.
func checkProblem(t *testing.T, what string, rec *httptest.ResponseRecorder, status int, code, says string) {
	t.Helper()
	var p struct {
		Title, Code, Detail string
		Status              int
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
		t.Errorf("%s: %v in %q", what, err, rec.Body)
		return
	}
	if rec.Code != status || p.Status != status || p.Code != code || p.Title != http.StatusText(status) || !strings.Contains(p.Detail, says) {
		t.Errorf("%s:\ngot  %d %+v\nwant %d, code %s, a detail with %q", what, rec.Code, p, status, code, says)
	}
	h := rec.Header()
	if h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: headers %v", what, h)
	}
}

const (
	form = "application/x-www-form-urlencoded"
	js   = "application/json"
)

func TestBadInput(t *testing.T) {
	p := newPod(t, Options{MaxTopics: 3, MaxLast: 100})
	for _, c := range []struct {
		request
		status int
		code   string
		says   string
	}{
		// Subscribing.
		{request{"GET", "/events", "", ""}, 400, "topic_missing", "?topic=orders"},
		{request{"GET", "/events?topic=", "", ""}, 400, "topic_invalid", "it is empty"},
		{request{"GET", "/events?topic=a%20b", "", ""}, 400, "topic_invalid", "letters, digits and - _ . : / @ + = ,"},
		{request{"GET", "/events?topic=%7Etop", "", ""}, 400, "topic_invalid", "the gateway's own"},
		{request{"GET", "/events?topic=*", "", ""}, 400, "topic_invalid", "topic"},
		{request{"GET", "/events?topic=%FF", "", ""}, 400, "topic_invalid", "UTF-8"},
		{request{"GET", "/events?topic=" + strings.Repeat("t", 201), "", ""}, 400, "topic_invalid", "201 bytes"},
		{request{"GET", "/events?topic=a&topic=b&topic=c&topic=d", "", ""}, 400, "topics_too_many", "at most 3 topics: open another"},
		{request{"GET", "/events?topic=%zz", "", ""}, 400, "query", "%zz"},
		{request{"GET", "/events?topic=a&since=yesterday", "", ""}, 400, "since", "earliest, a duration such as 5m"},
		{request{"GET", "/events?topic=a&since=-5m", "", ""}, 400, "since", "5m"},
		{request{"GET", "/events?topic=a&since=0", "", ""}, 400, "since", "5m"},
		{request{"GET", "/events?topic=a&since=2026-01-31T12:00:00+01:00", "", ""}, 400, "since", "write + as %2B"},
		{request{"GET", "/events?topic=a&last=0", "", ""}, 400, "last", "from 1 to 100"},
		{request{"GET", "/events?topic=a&last=101", "", ""}, 400, "last", "from 1 to 100"},
		{request{"GET", "/events?topic=a&last=x", "", ""}, 400, "last", "from 1 to 100"},
		{request{"GET", "/events?topic=a&last=1&since=5m", "", ""}, 400, "since_and_last", "exclude each other"},
		{request{"GET", "/events?topic=a&control=on", "", ""}, 400, "control", "only off"},
		{request{"GET", "/events?topic=a&envelope=xml", "", ""}, 400, "envelope", "only json"},
		{request{"GET", "/events?topic=a&x=" + strings.Repeat("x", maxURL), "", ""}, 414, "url_too_long", "POST or QUERY"},
		{request{"POST", "/events", form, "x=1"}, 400, "topic_missing", "?topic=orders"},
		{request{"POST", "/events", form, "topic=%zz"}, 400, "body", "%zz"},
		{request{"POST", "/events", form, "topic=a&x=" + strings.Repeat("x", maxForm)}, 413, "body_too_large", "65536"},
		{request{"POST", "/events", "text/plain", "topic=a"}, 415, "content_type", "application/json"},
		{request{"POST", "/events", "", "topic=a"}, 415, "content_type", "application/json"},
		{request{"QUERY", "/events", js, `{"topic":`}, 400, "body", `{"topic":["a","b"]}`},
		{request{"QUERY", "/events", js, `{"topic":"a"} x`}, 400, "body", `{"topic":["a","b"]}`},
		{request{"QUERY", "/events", js, `["a"]`}, 400, "body", `{"topic":["a","b"]}`},
		{request{"QUERY", "/events", js, `null`}, 400, "body", `{"topic":["a","b"]}`},
		{request{"QUERY", "/events", js, `{"topic":{"name":"a"}}`}, 400, "body", "topic must be a string"},
		{request{"QUERY", "/events", js, `{"topic":true}`}, 400, "body", "topic must be a string"},
		{request{"QUERY", "/events", js, `{"topic":["a b"]}`}, 400, "topic_invalid", "letters, digits"},

		// The cursor of now.
		{request{"GET", "/cursor", "", ""}, 400, "topic_missing", "?topic=orders"},
		{request{"GET", "/cursor?topic=a%20b", "", ""}, 400, "topic_invalid", "letters, digits"},
		{request{"GET", "/cursor?topic=%zz", "", ""}, 400, "query", "%zz"},
		{request{"GET", "/cursor?topic=a&topic=b&topic=c&topic=d", "", ""}, 400, "topics_too_many", "at most 3"},

		// Publishing.
		{request{"POST", "/publish", "", "x"}, 400, "topic_missing", "POST /publish?topic=orders"},
		{request{"POST", "/publish?topic=a&topic=b", "", "x"}, 400, "topic_missing", "one topic"},
		{request{"POST", "/publish?topic=a%20b", "", "x"}, 400, "topic_invalid", "letters, digits"},
		{request{"POST", "/publish?topic=%zz", "", "x"}, 400, "query", "%zz"},
		{request{"POST", "/publish?topic=a&retry=soon", "", "x"}, 400, "retry", "milliseconds"},
		{request{"POST", "/publish?topic=a&retry=-1", "", "x"}, 400, "retry", "milliseconds"},
		{request{"POST", "/publish?topic=a&retry=2147483648", "", "x"}, 400, "retry", "2147483647"},
		{request{"POST", "/publish?topic=a&close=yes", "", "x"}, 400, "close", "1 or 0"},
		{request{"POST", "/publish?topic=a", "", "\xff"}, 400, "not_utf8", "base64"},
		{request{"POST", "/publish?topic=a&event=%FF", "", "x"}, 400, "not_utf8", "base64"},
		{request{"POST", "/publish?topic=a&event=a%0Ab", "", "x"}, 400, "bad_event", "line end"},
		{request{"POST", "/publish?topic=a&event=gateway.gap", "", "x"}, 400, "reserved_event", "choose another"},

		// Elsewhere.
		{request{"GET", "/", "", ""}, 404, "not_found", "/events"},
		{request{"GET", "/event?topic=a", "", ""}, 404, "not_found", "/events, /cursor and /publish"},
	} {
		checkProblem(t, c.request.String(), c.do(p), c.status, c.code, c.says)
	}
	if n := p.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestUnknownMethods(t *testing.T) {
	p := newPod(t, Options{})
	for target, allow := range map[string]string{
		"/events":  "GET, POST, QUERY",
		"/cursor":  "GET",
		"/publish": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "QUERY", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			rec := request{method, target + "?topic=a", "", ""}.do(p)
			checkProblem(t, method+" "+target, rec, http.StatusMethodNotAllowed, "method", allow)
			if got := rec.Header().Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow: %s", method, target, got)
			}
		}
	}
}

// A body that ends before it should is the client's fault.
func TestABodyThatBreaksOff(t *testing.T) {
	p := newPod(t, Options{})
	for _, target := range []string{"/events", "/publish?topic=a"} {
		req := httptest.NewRequest("POST", target, io.MultiReader(strings.NewReader("topic="), brokenReader{}))
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, req)
		checkProblem(t, target, rec, http.StatusBadRequest, "body", "")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// As many topics as a cursor can name, each as long as a topic may be, are
// followed and named.
func TestTheLargestSubscription(t *testing.T) {
	p := newPod(t, Options{})
	var query []string
	for i := range stream.MaxCursorTopics {
		query = append(query, fmt.Sprintf("topic=%0*d", stream.MaxTopicLen, i))
	}
	srv := serve(t, p)
	r := open(t, httpClient(t), get(t, srv.URL+"/events?"+strings.Join(query, "&")))
	if id := r.opened().ID; len(id) > stream.MaxCursorLen {
		t.Errorf("an id of %d bytes", len(id))
	}
	id := p.publish(t, stream.Topic(fmt.Sprintf("%0*d", stream.MaxTopicLen, 17)), "x")
	if e := r.expect("x"); !strings.HasPrefix(e.ID, id.String()+".") {
		t.Errorf("id %s", e.ID)
	}
}

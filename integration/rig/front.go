package rig

import (
	_ "embed"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

//go:embed page.html
var page []byte

// Front is what a browser sees: a page that opens an EventSource, and in
// front of the pods a reverse proxy that is on the page's own origin and sends
// each request for /events to the pod of the moment. The page reports all that
// happens to it, so no driver for the browser is needed.
type Front struct {
	t       testing.TB
	srv     *httptest.Server
	pod     atomic.Pointer[Pod]
	reports chan Report
}

// Report is what a page says of itself.
type Report struct {
	Kind  string // "event"; "open" and "error" are those of EventSource
	State int    // with "error": EventSource.readyState, 2 is given up
	Type  string // of the event
	ID    string // lastEventId
	Data  string
}

// NewFront starts a front that sends to nobody.
func NewFront(t testing.TB) *Front {
	t.Helper()
	f := &Front{t: t, reports: make(chan Report, 10_000)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("POST /report", f.report)
	mux.HandleFunc("GET /events", f.proxy)
	f.srv = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.srv.CloseClientConnections() // a stream would keep Close waiting
		f.srv.Close()
	})
	return f
}

// To sends requests to p from now on. With nil they break off without an
// answer, which makes a browser try again; an error status would not.
func (f *Front) To(p *Pod) { f.pod.Store(p) }

// Origin returns the origin of the pages.
func (f *Front) Origin() string { return f.srv.URL }

// Page returns the address of a page that follows topics on its own origin.
func (f *Front) Page(topics ...string) string {
	return f.srv.URL + "/?" + url.Values{"topic": topics}.Encode()
}

// PageFrom returns the address of a page that follows topics on another
// origin, with or without credentials.
func (f *Front) PageFrom(origin string, credentials bool, topics ...string) string {
	hash := url.Values{"origin": {origin}}
	if credentials {
		hash.Set("credentials", "1")
	}
	return f.Page(topics...) + "#" + hash.Encode()
}

func (f *Front) report(w http.ResponseWriter, r *http.Request) {
	var said Report
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.reports <- said
	w.WriteHeader(http.StatusNoContent)
}

func (f *Front) proxy(w http.ResponseWriter, r *http.Request) {
	p := f.pod.Load()
	if p == nil {
		panic(http.ErrAbortHandler)
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "http", Host: p.Addr})
			pr.SetXForwarded()
		},
		FlushInterval: -1,
		Transport:     &http.Transport{DisableKeepAlives: true},
		// A pod that is dead is a broken connection to the browser too. What
		// breaks off later, ReverseProxy breaks off by itself.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	proxy.ServeHTTP(w, r)
}

// Event returns the next event that the page received. Reports of EventSource
// losing and finding its connection are passed over, but not that it gave up.
func (f *Front) Event() Report {
	f.t.Helper()
	deadline := time.After(Patience)
	for {
		select {
		case r := <-f.reports:
			if r.Kind == "event" {
				return r
			}
			if r.Kind == "error" && r.State == 2 {
				f.t.Fatal("the EventSource has given up")
			}
		case <-deadline:
			f.t.Fatalf("the page reported no event within %v", Patience)
		}
	}
}

// Lost waits until the page has noticed that its connection is gone.
func (f *Front) Lost() {
	f.t.Helper()
	select {
	case r := <-f.reports:
		if r.Kind != "error" || r.State != 0 {
			f.t.Fatalf("want the EventSource to lose its connection and to try again, got %+v", r)
		}
	case <-time.After(Patience):
		f.t.Fatalf("the EventSource has not noticed within %v", Patience)
	}
}

// Opened waits for the first block.
func (f *Front) Opened() Report {
	f.t.Helper()
	r := f.Event()
	if r.Type != "gateway.open" || r.ID == "" {
		f.t.Fatalf("want gateway.open with an id, got %+v", r)
	}
	return r
}

// Want waits for the events that must come next, given by their data.
func (f *Front) Want(data ...string) {
	f.t.Helper()
	for i, want := range data {
		if r := f.Event(); r.Data != want || strings.HasPrefix(r.Type, "gateway.") {
			f.t.Fatalf("want event %d of %d, %q, got %+v", i+1, len(data), want, r)
		}
	}
}

package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// pod is a gateway over the in-process Broadcaster and a Replayer that tests
// can disturb.
type pod struct {
	*Gateway
	store  *slowStore
	reader *metric.ManualReader
}

// newPod makes a pod that ends with the test. Options that are zero are short
// where a test would have to wait.
func newPod(t testing.TB, o Options) *pod {
	t.Helper()
	return newPodOver(t, newSlowStore(), o, broadcaster.Limits{})
}

func newPodOver(t testing.TB, s *slowStore, o Options, l broadcaster.Limits) *pod {
	t.Helper()
	p := &pod{store: s, reader: metric.NewManualReader()}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	live, err := broadcaster.New(liveStore{s}, broadcaster.Options{Limits: l, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if o.Authorizer == nil {
		o.Authorizer = auth.Anonymous()
	}
	if o.Logger == nil {
		o.Logger = quiet
	}
	o.MeterProvider = metric.NewMeterProvider(metric.WithReader(p.reader))
	if p.Gateway, err = New(live, s, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("closing the gateway: %v", err)
		}
		if err := live.Close(context.Background()); err != nil {
			t.Errorf("closing the broadcaster: %v", err)
		}
	})
	return p
}

// publish stores an event and lets the pod know.
func (p *pod) publish(t testing.TB, topic stream.Topic, data string) stream.ID {
	t.Helper()
	ids, err := p.live.BroadcastTo(context.Background(), stream.Message{Data: data}, topic)
	if err != nil {
		t.Fatal(err)
	}
	return ids[0]
}

// metric returns a sum by the value of one attribute, "" if it has none.
func (p *pod) metric(t testing.TB, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := p.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	take := func(points []metricdata.DataPoint[int64]) {
		for _, d := range points {
			label := ""
			for _, a := range d.Attributes.ToSlice() {
				label = a.Value.AsString()
			}
			got[label] += d.Value
		}
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				take(data.DataPoints)
			case metricdata.Gauge[int64]:
				take(data.DataPoints)
			}
		}
	}
	return got
}

// serve starts an HTTP server that speaks HTTP/1.1 and unencrypted HTTP/2.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

// httpClient returns a client of its own connections, which end with the test.
func httpClient(t testing.TB, protocols ...func(*http.Protocols)) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	for _, p := range protocols {
		p(tr.Protocols)
	}
	if len(protocols) == 0 {
		tr.Protocols.SetHTTP1(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func h1(p *http.Protocols) { p.SetHTTP1(true) }
func h2(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }

// reading is a response whose events are read one by one.
type reading struct {
	*http.Response
	*sse.Decoder
	t      testing.TB
	cancel context.CancelFunc
}

// open sends a request and fails the test unless a stream is the answer.
func open(t testing.TB, c *http.Client, req *http.Request) *reading {
	t.Helper()
	return openFor(t, patience, c, req)
}

// openFor is open for a stream that may last longer than tests have patience,
// in a bubble.
func openFor(t testing.TB, limit time.Duration, c *http.Client, req *http.Request) *reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), limit)
	t.Cleanup(cancel)
	resp, err := c.Do(req.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != sse.ContentType {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", resp.Status, body)
	}
	return &reading{resp, sse.NewDecoder(resp.Body), t, cancel}
}

// noLimits are the defaults.
var noLimits broadcaster.Limits

// patience bounds every wait for something that must happen.
const patience = 30 * time.Second

// next returns the next event.
func (r *reading) next() sse.Event {
	r.t.Helper()
	e, err := r.Decode()
	if err != nil {
		r.t.Fatalf("reading the next event: %v", err)
	}
	return e
}

// expect reads events with these data.
func (r *reading) expect(data ...string) (last sse.Event) {
	r.t.Helper()
	for _, want := range data {
		if last = r.next(); last.Data != want {
			r.t.Fatalf("got %+v, want data %q", last, want)
		}
	}
	return last
}

// opened reads the first event of a stream.
func (r *reading) opened() sse.Event {
	r.t.Helper()
	e := r.next()
	if e.Type != controlOpen || e.Data != "{}" {
		r.t.Fatalf("begins with %+v", e)
	}
	return e
}

func get(t testing.TB, url string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

// memory is a response in memory, for tests in a bubble of testing/synctest,
// which sockets do not work in.
type memory struct {
	mu     sync.Mutex
	header http.Header
	status int
	body   bytes.Buffer
	block  chan struct{} // if not nil, each Write takes one

	cancel context.CancelFunc
	done   chan struct{} // closed when the handler has returned
	abort  bool          // by panicking with http.ErrAbortHandler
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status == 0 {
		m.status = status
	}
}

func (m *memory) Write(p []byte) (int, error) {
	if m.block != nil {
		<-m.block
	}
	m.WriteHeader(http.StatusOK)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.body.Write(p)
}

func (m *memory) FlushError() error { return nil }

// code returns the status, 0 if the headers have not been sent.
func (m *memory) code() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// text returns what has been written so far.
func (m *memory) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.body.String()
}

// events returns what a client makes of it.
func (m *memory) events() (events []sse.Event) {
	d := sse.NewDecoder(strings.NewReader(m.text()))
	for {
		e, err := d.Decode()
		if err != nil {
			return events
		}
		events = append(events, e)
	}
}

// begin serves a request in memory.
func begin(h http.Handler, req *http.Request) *memory {
	ctx, cancel := context.WithCancel(req.Context())
	m := &memory{header: http.Header{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		defer func() {
			if v := recover(); v != nil {
				err, _ := v.(error)
				if m.abort = errors.Is(err, http.ErrAbortHandler); !m.abort {
					panic(v)
				}
			}
		}()
		h.ServeHTTP(m, req.WithContext(ctx))
	}()
	return m
}

// leave is the client's going away.
func (m *memory) leave() {
	m.cancel()
	<-m.done
}

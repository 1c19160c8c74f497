package gateway

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/sse"
)

// What a client sees does not depend on the transport: each of these cases
// runs over both, on real sockets. Where they may differ a case says so, by
// rig.direct.
var transportCases = slices.Concat(
	framingCases, resumeCases, hijackCases, endCases, goneCases, slowCases, limitCases, beatCases, leakCases,
)

type transportCase struct {
	name string
	run  func(t testing.TB, r *rig)
}

func TestTransports(t *testing.T) {
	for _, r := range []*rig{{}, {direct: true}} {
		if r.direct && runtime.GOOS != "linux" {
			continue
		}
		t.Run(r.name(), func(t *testing.T) {
			for _, c := range transportCases {
				t.Run(c.name, func(t *testing.T) { c.run(t, r) })
			}
		})
	}
}

// rig is what a case runs on.
type rig struct {
	direct bool
	relay  func(io.Writer) io.Writer // if not nil, what the server's bytes go through: see faults
	brief  bool                      // what does not come soon does not come
}

func (r *rig) name() string {
	if r.direct {
		return "direct"
	}
	return "portable"
}

// large is the size of events of which a few are more than all buffers on the
// way to a client hold.
func (r *rig) large() int {
	if r.direct {
		return 300 << 10
	}
	return 3 << 20 // net/http's sockets may hold 4 MiB
}

// quiet are options with which nothing is sent that a test does not cause.
var quiet = Options{
	RetryMin: 1500 * time.Millisecond, RetryMax: 1500 * time.Millisecond,
	Heartbeat: time.Hour, FirstWait: time.Hour,
}

// served is a pod behind a server.
type served struct {
	*pod
	t    testing.TB
	rig  *rig
	addr net.Addr
	url  string

	mixed bool // streams were opened on the other transport as well
}

func (r *rig) start(t testing.TB, o Options) *served {
	t.Helper()
	return r.startOver(t, newSlowStore(), o, noLimits)
}

func (r *rig) startOver(t testing.TB, store *slowStore, o Options, l broadcaster.Limits) *served {
	t.Helper()
	p := newPodOver(t, store, o, l)
	srv := r.serve(t, p)
	s := &served{pod: p, t: t, rig: r, addr: srv.Listener.Addr(), url: srv.URL}
	if r.relay != nil {
		s.addr = relayed(t, s.addr, r.relay)
	}
	t.Cleanup(s.check)
	return s
}

// serve starts an HTTP server on whose plain connections streams are on the
// rig's transport.
func (r *rig) serve(t testing.TB, h http.Handler, with ...func(*httptest.Server)) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if r.direct {
		srv.Config.ConnContext = ConnContext
	}
	for _, f := range with {
		f(srv)
	}
	if srv.TLS == nil {
		srv.Start()
	} else {
		srv.StartTLS()
	}
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

// other returns the address of a server over the same pod whose streams are on
// the other transport.
func (s *served) other() net.Addr {
	s.t.Helper()
	s.mixed = true
	r := &rig{direct: !s.rig.direct && runtime.GOOS == "linux"}
	return r.serve(s.t, s.pod).Listener.Addr()
}

// check is what holds when a pod has been closed, whatever its clients did:
// each stream has ended once, nothing is kept of any, and all were on the
// transport that the test is about.
func (s *served) check() {
	t := s.t
	if err := s.Close(); err != nil {
		t.Errorf("closing the gateway: %v", err)
	}
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	accepted, ended := s.meters.accepted.Load(), int64(0)
	for _, n := range s.endings() {
		ended += n
	}
	if accepted != ended {
		t.Errorf("%d streams accepted, %v ended", accepted, s.endings())
	}
	if n := s.sending.bytes.Load(); n != 0 {
		t.Errorf("%d bytes are still being written", n)
	}
	if n, err := s.live.ConnectionCount(t.Context()); err == nil && n.Local != 0 {
		t.Errorf("the broadcaster has %d connections", n.Local)
	}
	switch n := directStreams(s.Gateway); {
	case s.mixed:
	case !s.rig.direct && n > 0:
		t.Errorf("%d of %d streams were on the direct transport", n, accepted)
	case s.rig.direct && n < accepted:
		t.Errorf("only %d of %d streams were on the direct transport", n, accepted)
	}
}

// endings returns how many streams have ended, by reason.
func (s *served) endings() map[end]int64 {
	s.meters.mu.Lock()
	defer s.meters.mu.Unlock()
	got := map[end]int64{}
	for why, n := range s.meters.ends {
		if n > 0 {
			got[why] = n
		}
	}
	return got
}

// expectEnd waits until no stream is left, and fails unless one has ended, for
// one of these reasons.
func (s *served) expectEnd(why ...end) {
	s.t.Helper()
	await(s.t, "the stream's end", func() bool { return s.Connections() == 0 })
	got := s.endings()
	for _, w := range why {
		if len(got) == 1 && got[w] == 1 {
			return
		}
	}
	s.t.Errorf("ends: %v, want one of %v", got, why)
}

// only returns the one open session.
func (s *served) only() (one *session) {
	s.t.Helper()
	await(s.t, "one stream", func() bool { return s.Connections() == 1 })
	s.each(func(o *session) { one = o })
	return one
}

// warm opens and closes a stream, so that what is started once is started, and
// returns how many descriptors are open then.
func (s *served) warm() int {
	s.t.Helper()
	w := s.open(ask("topic=warm"))
	w.close()
	await(s.t, "the first stream's end", func() bool { return s.Connections() == 0 })
	return descriptors(s.t)
}

// stalled waits until something is being written to the only client that it
// does not take.
func (s *served) stalled() *session {
	s.t.Helper()
	o := s.only()
	await(s.t, "a full socket", func() bool { return o.writing.since.Load() != 0 })
	return o
}

// ask is a request for a stream.
func ask(query string, headers ...string) string { return askBy("HTTP/1.1", query, headers...) }

func askBy(version, query string, headers ...string) string {
	return "GET /events?" + query + " " + version + "\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// dial sends a request to the transport that the test is about.
func (s *served) dial(request string) *raw {
	s.t.Helper()
	w := dial(s.t, s.addr, request)
	if s.rig.brief {
		_ = w.conn.SetDeadline(time.Now().Add(2 * time.Second))
	}
	return w
}

// open sends a request and reads the head of the stream that must be the
// answer.
func (s *served) open(request string) *raw {
	s.t.Helper()
	return opened(s.dial(request))
}

func opened(r *raw) *raw {
	r.t.Helper()
	if status, h := r.head(); status[len("HTTP/1.x "):] != "200 OK" || h.Get("Content-Type") != sse.ContentType {
		r.t.Fatalf("%s %v", status, h)
	}
	return r
}

// quietly reads until the connection ends, which it must without a reset: that
// could destroy what was on its way.
func (r *raw) quietly() string {
	r.t.Helper()
	b, err := io.ReadAll(r.r)
	if err != nil {
		r.t.Fatalf("%.200q, then %v", b, err)
	}
	return string(b)
}

// chunks takes apart the rest of a chunked body. It reports whether the body is
// complete; behind it there must be nothing.
func chunks(t testing.TB, body string) (list []string, complete bool) {
	t.Helper()
	for rest := body; rest != ""; {
		line, after, ok := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseUint(line, 16, 31)
		if !ok || err != nil || len(after) < int(n)+2 || after[n:n+2] != "\r\n" {
			t.Fatalf("no chunk: %.60q, after %d chunks", rest, len(list))
		}
		if n == 0 {
			if after != "\r\n" {
				t.Fatalf("behind the last chunk: %q", after)
			}
			return list, true
		}
		list, rest = append(list, after[:n]), after[n+2:]
	}
	return list, false
}

// events reads n events of a body.
func (r *raw) events(body io.Reader, n int) (events []sse.Event) {
	r.t.Helper()
	d := sse.NewDecoder(body)
	for len(events) < n {
		e, err := d.Decode()
		if err != nil {
			r.t.Fatalf("after %d events: %v", len(events), err)
		}
		events = append(events, e)
	}
	return events
}

// reset closes a connection so that the peer gets an error.
func (r *raw) reset() {
	_ = r.conn.(*net.TCPConn).SetLinger(0)
	r.conn.Close()
}

// relayed returns the address of a proxy in front of addr, through which the
// server's bytes go as f says.
func relayed(t testing.TB, addr net.Addr, f func(io.Writer) io.Writer) net.Addr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(addr.Network(), addr.String())
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				server.Close()
			}()
			go func() {
				w := f(client)
				_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bufio.NewReader(server)}, make([]byte, 4<<10))
				if c, ok := w.(io.Closer); ok && !errors.Is(err, net.ErrClosed) {
					c.Close()
				}
				client.Close()
			}()
		}
	}()
	return l.Addr()
}

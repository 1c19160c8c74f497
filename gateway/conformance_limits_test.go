package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/auth"
)

// What is decided before a connection is on its transport, and which
// connections stay with net/http by themselves.
var limitCases = []transportCase{
	{"no room", noRoom},
	{"refused before anything is taken over", refusedOnAnOpenConnection},
	{"hooks see each request once", authorizerSeesRequests},
	{"parameters in a body", parametersInABody},
	{"HTTP/2", staysPortable("http", nil, nil, h2)},
	{"TLS", staysPortable("https", nil, withTLS, nil)},
	{"a Unix socket", staysPortable("http", nil, onUnixSocket, nil)},
	{"a wrapped connection", staysPortable("http", nil, wrapped, nil)},
	{"a ResponseWriter wrapped by middleware", staysPortable("http", wrapWriter, nil, nil)},
	{"Options.Portable", portableByOption},
}

// A pod without room turns clients away so that they come back, and nothing is
// taken over for that.
func noRoom(t testing.TB, r *rig) {
	o := quiet
	o.MaxConnections = 1
	s := r.start(t, o)
	first := s.open(ask("topic=a"))
	first.exactly(chunk(openBlock))
	for range 3 {
		w := s.open(ask("topic=a", "Accept: text/event-stream"))
		list, complete := chunks(t, w.rest())
		if got := strings.Join(list, ""); complete || !lastRetry.MatchString(got) {
			t.Errorf("complete %v, %q", complete, got)
		}
		w = s.dial(ask("topic=a"))
		if status, h := w.head(); status != "HTTP/1.1 503 Service Unavailable" || h.Get("Retry-After") == "" {
			t.Errorf("%s %v", status, h)
		}
	}
	first.close()
	s.expectEnd(endClient)
	s.open(ask("topic=a")).exactly(chunk(openBlock))
	if n := s.meters.refused.Load(); n != 6 {
		t.Errorf("%d refused", n)
	}
}

// The connection of a request that is refused stays usable, at last for a
// stream.
func refusedOnAnOpenConnection(t testing.TB, r *rig) {
	o := quiet
	o.MaxTopics = 2
	s := r.start(t, o)
	w := s.dial("")
	for query, want := range map[string]string{
		"":                        "HTTP/1.1 400 Bad Request",
		"topic=a&topic=b&topic=c": "HTTP/1.1 400 Bad Request",
		"topic={}":                "HTTP/1.1 400 Bad Request",
		"topic=a&control=x":       "HTTP/1.1 400 Bad Request",
		"topic=a&last=0":          "HTTP/1.1 400 Bad Request",
	} {
		if _, err := io.WriteString(w.conn, ask(query)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(w.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Proto+" "+resp.Status != want || resp.Close {
			t.Errorf("%s: %s %s, %v, close %v", query, resp.Proto, resp.Status, err, resp.Close)
		}
		resp.Body.Close()
	}
	if _, err := io.WriteString(w.conn, ask("topic=a")); err != nil {
		t.Fatal(err)
	}
	opened(w).exactly(chunk(openBlock))
	if n := s.meters.accepted.Load(); n != 1 {
		t.Errorf("%d streams", n)
	}
}

func authorizerSeesRequests(t testing.TB, r *rig) {
	o := quiet
	asked := make(chan string, 10)
	o.Authorizer = auth.AuthorizerFunc(func(ctx context.Context, r *http.Request) (auth.Grant, error) {
		asked <- r.Header.Get("Authorization")
		return auth.Anonymous().Authorize(ctx, r)
	})
	s := r.start(t, o)
	w := s.open(ask("topic=a", "Authorization: Bearer x"))
	w.exactly(chunk(openBlock))
	w.close()
	s.expectEnd(endClient)
	if len(asked) != 1 || <-asked != "Bearer x" {
		t.Error("asked not once, or for another request")
	}
}

// A request with a body is answered by net/http, which has to read that.
func parametersInABody(t testing.TB, r *rig) {
	s := r.start(t, quiet)
	s.mixed = true
	before := directStreams(s.Gateway)
	for _, method := range []string{"POST", "QUERY"} {
		for _, version := range []string{"HTTP/1.0", "HTTP/1.1"} {
			w := s.open(method + " /events " + version + "\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
				"Content-Length: 7\r\n\r\ntopic=a")
			if version == "HTTP/1.0" {
				w.exactly(openBlock)
			} else {
				w.exactly(chunk(openBlock))
			}
		}
	}
	w := s.open("POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
		"Transfer-Encoding: chunked\r\n\r\n7\r\ntopic=a\r\n0\r\n\r\n")
	w.exactly(chunk(openBlock))
	if n := directStreams(s.Gateway) - before; n != 0 {
		t.Errorf("%d streams were taken over before their requests were read", n)
	}
	// All in the query is all there is: that one need not be.
	w = s.open("POST /events?topic=a HTTP/1.1\r\nHost: x\r\n\r\n")
	w.exactly(chunk(openBlock))
}

// wrapping makes connections that are no longer TCP connections to look at, as
// a listener for the PROXY protocol does.
type wrapping struct{ net.Listener }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

func wrapped(_ testing.TB, srv *httptest.Server) { srv.Listener = wrapping{srv.Listener} }

func withTLS(_ testing.TB, srv *httptest.Server) { srv.TLS = &tls.Config{} }

func onUnixSocket(t testing.TB, srv *httptest.Server) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener.Close()
	srv.Listener = l
}

// unwrapping is what middleware makes of a ResponseWriter to see its status.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func wrapWriter(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) })
}

// staysPortable is a case of a server whose streams cannot be taken over, though
// it may have been told how.
func staysPortable(scheme string, wrap func(http.Handler) http.Handler, with func(testing.TB, *httptest.Server), protocol func(*http.Protocols)) func(testing.TB, *rig) {
	return func(t testing.TB, r *rig) {
		p := newPod(t, quiet)
		var h http.Handler = p
		if wrap != nil {
			h = wrap(h)
		}
		srv := r.serve(t, h, func(srv *httptest.Server) {
			if with != nil {
				with(t, srv)
			}
		})
		c := httpClient(t)
		if protocol != nil {
			c = httpClient(t, protocol)
		}
		tr := c.Transport.(*http.Transport)
		tr.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			addr := srv.Listener.Addr()
			return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
		}
		w := open(t, c, get(t, scheme+"://x/events?topic=a"))
		w.opened()
		p.publish(t, "a", "x")
		w.expect("x")
		if n := directStreams(p.Gateway); n != 0 {
			t.Errorf("%d streams were taken over", n)
		}
		w.cancel()
		await(t, "client gone", func() bool { return p.Connections() == 0 })
	}
}

func portableByOption(t testing.TB, r *rig) {
	o := quiet
	o.Portable = true
	p := newPod(t, o)
	w := opened(dial(t, r.serve(t, p).Listener.Addr(), ask("topic=a")))
	w.exactly(chunk(openBlock))
	id := p.publish(t, "a", "x")
	w.exactly(chunk("id: " + id.String() + "\ndata: x\n\n")) // net/http frames
	w.close()
	await(t, "client gone", func() bool { return p.Connections() == 0 })
}

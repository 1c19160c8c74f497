// Package gateway is the HTTP side of sse-gateway: an http.Handler that
// streams topics to clients as Server-Sent Events and takes what they publish.
//
//	GET, POST, QUERY /events    a stream (WHATWG HTML §9.2)
//	GET              /cursor    the present cursor of some topics
//	POST             /publish   one event
//
// A connection is a set of positions, one in each topic's log; nothing is
// queued for it. From the request to the socket:
//
//	request ─► subscription ─► session ◄──── wake ──── broadcaster (live frames)
//	                            │   └─ pages ◄──────── history ◄── replayer
//	                 next, commit│
//	                        transport ─► socket
//
// The session decides what is sent and where the client stands; the transport
// moves bytes and knows nothing of topics. There are two: net/http, which takes
// everything, and sockets of the gateway's own; see ConnContext.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// Options configure a Gateway. All but Authorizer have defaults.
type Options struct {
	// Authorizer decides who may listen and publish. Required: to allow
	// everybody everything, say auth.Anonymous().
	Authorizer auth.Authorizer

	Heartbeat    time.Duration // a stream is never silent for longer: then a comment is sent; default 15 s
	WriteTimeout time.Duration // a connection without progress for so long ends; default 15 s
	FirstWait    time.Duration // headers wait so long for the first position; default 1 s
	Lifetime     time.Duration // of a connection, up to a tenth less at random; 0 is no limit

	RetryMin, RetryMax time.Duration // reconnection time, random per connection; default 1 s to 3 s
	OverloadRetry      time.Duration // the same when there is no room, up to twice as long; default 10 s

	MaxConnections int   // of this pod; 0 is no limit
	MaxTopics      int   // of a connection; default and maximum stream.MaxCursorTopics
	MaxLast        int   // greatest value of last=; default 1000
	MaxEntryBytes  int   // of an event that is published or sent; default stream.DefaultMaxEntry
	HistoryBytes   int64 // of pages read for connections that come back; default 64 MiB
	SendBytes      int64 // being written to clients at a time, with the send buffers of own sockets; over it the stalest are ended; default 256 MiB

	// Portable leaves all streams to net/http, also those that ConnContext
	// would let the gateway take over.
	Portable bool

	AllowedOrigins []string // for CORS: exact origins, or "*" for any without credentials

	Logger        *slog.Logger         // default: slog.Default
	MeterProvider metric.MeterProvider // default: none
}

func (o *Options) setDefaults() error {
	if o.Authorizer == nil {
		return errors.New("gateway: Options.Authorizer is missing; auth.Anonymous() allows everybody everything")
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&o.Heartbeat, 15*time.Second)
	def(&o.WriteTimeout, 15*time.Second)
	def(&o.FirstWait, time.Second)
	def(&o.RetryMin, time.Second)
	def(&o.RetryMax, max(3*time.Second, o.RetryMin))
	def(&o.OverloadRetry, 10*time.Second)
	if o.RetryMax < o.RetryMin {
		return errors.New("gateway: Options.RetryMax is less than RetryMin")
	}
	if o.MaxTopics <= 0 || o.MaxTopics > stream.MaxCursorTopics {
		o.MaxTopics = stream.MaxCursorTopics
	}
	if o.MaxLast <= 0 {
		o.MaxLast = 1000
	}
	if o.MaxEntryBytes <= 0 {
		o.MaxEntryBytes = stream.DefaultMaxEntry
	}
	if o.HistoryBytes <= 0 {
		o.HistoryBytes = 64 << 20
	}
	if o.SendBytes <= 0 {
		o.SendBytes = 256 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}

// beat is after how much silence a heartbeat is sent. That is early, since who
// has gone without a word is to be found within the sum of the heartbeat's time
// and the write time-out, and the kernel needs nearly a second more than that
// to notice that nothing is acknowledged.
func (o *Options) beat() time.Duration { return o.Heartbeat * 17 / 20 }

// Gateway serves streams. Make one with New.
type Gateway struct {
	opt      Options
	live     broadcaster.Broadcaster
	replayer replayer.Replayer
	history  *history
	meters   *meters
	cors     cors
	mux      *http.ServeMux
	direct   *direct     // nil where there is none
	ways     []transport // the best one first; the last one takes all
	sending  sending

	draining atomic.Bool
	mu       sync.Mutex
	sessions []*session
	empty    chan struct{} // closed when draining and no session is left
}

// New returns a Gateway over a Broadcaster and a Replayer of the same topics.
// Both stay the caller's.
func New(b broadcaster.Broadcaster, r replayer.Replayer, o Options) (*Gateway, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	g := &Gateway{
		opt: o, live: b, replayer: r,
		cors:  newCORS(o.AllowedOrigins),
		empty: make(chan struct{}),
	}
	g.sending.max = o.SendBytes
	g.history = newHistory(r, o.HistoryBytes, o.MaxEntryBytes, o.Logger)
	if !o.Portable {
		g.direct = newDirect(g)
	}
	if g.direct != nil {
		g.ways = append(g.ways, g.direct)
	}
	g.ways = append(g.ways, newPortable(&g.opt))
	var err error
	if g.meters, err = newMeters(o.MeterProvider, g); err != nil {
		g.history.close()
		return nil, err
	}
	g.mux = http.NewServeMux()
	g.mux.HandleFunc("/events", g.serveEvents)
	g.mux.HandleFunc("/cursor", g.serveCursor)
	g.mux.HandleFunc("/publish", g.servePublish)
	g.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem{http.StatusNotFound, "not_found", "there are /events, /cursor and /publish here"}.write(w)
	})
	return g, nil
}

// ServeHTTP serves /events, /cursor and /publish. To mount it below a prefix
// use http.StripPrefix. A stream ends by panicking with http.ErrAbortHandler,
// which net/http understands: a clean end would tell clients that nothing more
// will come.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.cors.handle(w, r) {
		return
	}
	g.mux.ServeHTTP(w, r)
}

// Connections returns the number of open streams.
func (g *Gateway) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// add counts a session in, unless there is no room.
func (g *Gateway) add(s *session) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining.Load() || g.opt.MaxConnections > 0 && len(g.sessions) >= g.opt.MaxConnections {
		return false
	}
	s.index = int32(len(g.sessions))
	g.sessions = append(g.sessions, s)
	return true
}

// each calls f with every open session.
func (g *Gateway) each(f func(*session)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sessions {
		f(s)
	}
}

func (g *Gateway) remove(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.sessions) - 1
	g.sessions[s.index] = g.sessions[last]
	g.sessions[s.index].index = s.index
	g.sessions[last] = nil
	g.sessions = g.sessions[:last]
	if g.draining.Load() && len(g.sessions) == 0 {
		select {
		case <-g.empty:
		default:
			close(g.empty)
		}
	}
}

// Drain refuses new streams from now on and ends the open ones at random
// points of the window, each with a reconnection time, so that clients come
// back elsewhere and not all at once. It returns when none is left, or with
// ctx's error, and then some are left. A second call with a shorter window
// hurries the first.
func (g *Gateway) Drain(ctx context.Context, window time.Duration) error {
	g.mu.Lock()
	first := !g.draining.Swap(true)
	open := slices.Clone(g.sessions)
	if first && len(open) == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	endWithin(ctx, g.empty, open, window)
	select {
	case <-g.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends all streams at once and stops reading. The Broadcaster and the
// Replayer go on.
func (g *Gateway) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), g.opt.WriteTimeout)
	defer cancel()
	err := g.Drain(ctx, 0)
	if g.direct != nil {
		g.direct.close()
	}
	g.history.close()
	return errors.Join(err, g.meters.close())
}

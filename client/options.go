package client

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// What holds where no option says otherwise.
const (
	DefaultInitialRetry = 3 * time.Second  // before the first reconnect, until the server sends retry
	DefaultMaxRetry     = 30 * time.Second // the longest pause that backing off leads to
	DefaultJitter       = 0.5              // of each pause, added at random
	DefaultResetAfter   = 10 * time.Second // of a stream's life until a pause is short again
)

// Option changes how [New] and [FromRequest] set up a [Client]. All functions given in options are
// called from within [Client.Run], never two at a time; they may call any method of the client.
type Option func(*config)

type config struct {
	http         *http.Client
	header       http.Header
	initialID    string
	hasInitialID bool
	backoff      backoff
	resetAfter   time.Duration
	readTimeout  time.Duration
	retryFirst   bool
	maxAttempts  int
	maxEventSize int
	log          *slog.Logger
	prepare      func(*http.Request) error
	onOpen       func(*http.Response)
	onComment    func(string)
	onError      func(error) Decision
}

// HTTPClient sets the client that requests are sent with; [http.DefaultClient] if not given. Its
// Timeout would end each stream after that time, so leave it 0 and use [ReadTimeout].
func HTTPClient(c *http.Client) Option {
	return func(cfg *config) {
		if c != nil {
			cfg.http = c
		}
	}
}

// Header sets a header of every request, in place of what it had under that name. Unless set here,
// "Accept: text/event-stream" and "Cache-Control: no-cache" are sent (WHATWG HTML §9.2.2).
func Header(name, value string) Option {
	return func(cfg *config) { cfg.header.Set(name, value) }
}

// InitialID sets the event id to continue after, as Last-Event-ID of the first connection.
func InitialID(id string) Option {
	return func(cfg *config) { cfg.initialID, cfg.hasInitialID = id, true }
}

// InitialRetry sets the pause before the first reconnect, which doubles with each failure in a row.
// It holds until the server sends a retry field. 0 is allowed: at once, then 100 ms and doubling.
func InitialRetry(d time.Duration) Option {
	return func(cfg *config) { cfg.backoff.base = d }
}

// MaxRetry sets the longest pause that doubling and jitter lead to. A server that asks for a longer one
// gets it.
func MaxRetry(d time.Duration) Option {
	return func(cfg *config) { cfg.backoff.cap = d }
}

// Jitter lengthens each pause by a random part of up to ratio (0 to 1) of it, so that clients which a
// server lost together do not come back together. It never shortens a pause: what the server asked for
// in a retry field is the least (WHATWG HTML §9.2.3).
func Jitter(ratio float64) Option {
	return func(cfg *config) { cfg.backoff.jitter = ratio }
}

// ResetAfter sets how long a stream must have been open for the next pause to be the first one again.
// 0: every stream that opened resets it. A retry field above 0 resets it in any case, for then the
// server has said when it wants us back.
func ResetAfter(d time.Duration) Option {
	return func(cfg *config) { cfg.resetAfter = d }
}

// ReadTimeout sets how long a connection may bring no byte, be it of the answer's head, an event or a
// comment, until it is given up with [ErrReadTimeout] and made anew. Take two or three times the
// server's heartbeat interval. 0, the default, waits as long as TCP does.
func ReadTimeout(d time.Duration) Option {
	return func(cfg *config) { cfg.readTimeout = d }
}

// RetryFirst has the first connection of a Run retried like all later ones. Without it Run returns the
// error, so that a wrong address shows at once.
func RetryFirst() Option {
	return func(cfg *config) { cfg.retryFirst = true }
}

// MaxAttempts ends Run when n attempts in a row opened no stream, with the last one's error, whatever
// [OnError] says. 0, the default, sets no bound.
func MaxAttempts(n int) Option {
	return func(cfg *config) { cfg.maxAttempts = n }
}

// MaxEventSize sets the largest line and event that is accepted, in bytes, as [sse.MaxEventSize] does.
// A larger one ends Run with a [*sse.SizeError], for it would come again at every reconnect.
func MaxEventSize(n int) Option {
	return func(cfg *config) { cfg.maxEventSize = n }
}

// Logger sets where openings (debug) and losses (warn) of connections are logged; nowhere if not given.
// Query strings are never logged.
func Logger(l *slog.Logger) Option {
	return func(cfg *config) {
		if l != nil {
			cfg.log = l
		}
	}
}

// Prepare has fn change each request before it is sent: a token that expires, query parameters that
// differ from one connect to the next. The request is a fresh copy each time. An error of fn counts as
// one of the network: it goes to [OnError] and the attempt is repeated.
func Prepare(fn func(*http.Request) error) Option {
	return func(cfg *config) { cfg.prepare = fn }
}

// OnOpen has fn called whenever a stream was opened, before its first event, with the response's head.
// The body is not for fn.
func OnOpen(fn func(*http.Response)) Option {
	return func(cfg *config) { cfg.onOpen = fn }
}

// OnComment has fn called for each comment line of the stream, as by [sse.OnComment].
func OnComment(fn func(text string)) Option {
	return func(cfg *config) { cfg.onComment = fn }
}

// OnError has fn called once for each attempt or stream that ended other than by the program's wish,
// and lets it decide what comes next. The error is or wraps one of: [*ResponseError], the server
// refused; [ErrReadTimeout]; [io.EOF], the stream came to an end; [*sse.SizeError]; an error of
// [Prepare] or of the network.
func OnError(fn func(err error) Decision) Option {
	return func(cfg *config) { cfg.onError = fn }
}

// Decision is what [OnError]'s function wants done after an error.
type Decision int

const (
	// Default retries what may heal: errors of the network, ends of streams, and the statuses for which
	// [ResponseError.Temporary] holds; but not the first connection unless [RetryFirst] is set.
	Default Decision = iota
	// Retry makes another attempt after the usual pause, whatever the error.
	Retry
	// GiveUp ends Run with the error.
	GiveUp
)

func newConfig(opts []Option) (*config, error) {
	cfg := &config{
		http:       http.DefaultClient,
		header:     http.Header{},
		backoff:    backoff{base: DefaultInitialRetry, cap: DefaultMaxRetry, jitter: DefaultJitter},
		resetAfter: DefaultResetAfter,
		log:        slog.New(slog.DiscardHandler),
	}
	for _, opt := range opts {
		opt(cfg)
	}
	switch {
	case cfg.backoff.base < 0 || cfg.backoff.cap < 0 || cfg.resetAfter < 0 || cfg.readTimeout < 0:
		return nil, errors.New("client: a time is negative")
	case !(cfg.backoff.jitter >= 0 && cfg.backoff.jitter <= 1):
		return nil, fmt.Errorf("client: Jitter %v is not between 0 and 1", cfg.backoff.jitter)
	case cfg.maxAttempts < 0:
		return nil, fmt.Errorf("client: MaxAttempts %d is negative", cfg.maxAttempts)
	case !sendable(cfg.initialID):
		return nil, fmt.Errorf("client: InitialID: %w", errUnsendableID)
	}
	return cfg, nil
}

// decoderOptions are those of the decoder of one stream, which goes on from id.
func (cfg *config) decoderOptions(id string, onComment func(string)) []sse.DecoderOption {
	opts := []sse.DecoderOption{sse.InitialID(id), sse.MaxEventSize(cfg.maxEventSize)}
	if cfg.onComment != nil {
		opts = append(opts, sse.OnComment(onComment))
	}
	return opts
}

package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// Client listens to one event stream over as many connections, one after another, as it takes. Make one
// with [New] or [FromRequest], then call [Client.Run]. Its methods may be called at the same time.
type Client struct {
	cfg      *config
	template template

	// Owned by Run.
	backoff backoff

	mu      sync.Mutex
	idle    sync.Cond // signalled when running or calling becomes false
	running bool
	calling bool // a function of the program's is at work, which may be the one that called us
	closed  bool
	lastID  string
	stop    context.CancelCauseFunc // ends the Run at work
	again   context.CancelCauseFunc // ends the attempt at work, and its pause
}

// New returns a client of the stream that GET url answers with. The error is that of an invalid url or
// option.
func New(url string, opts ...Option) (*Client, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("client: %w", withoutURL(err))
	}
	return FromRequest(req, opts...)
}

// FromRequest returns a client of the stream that req is answered with: any method, headers and body.
// The body is sent again at every reconnect; unless req.GetBody is set, it is read into memory now. A
// Last-Event-ID header is taken as [InitialID]. req's context is not used, [Client.Run] has its own.
func FromRequest(req *http.Request, opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	t, err := newTemplate(req, cfg.header)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, template: t, backoff: cfg.backoff, lastID: cfg.initialID}
	c.idle.L = &c.mu
	const header = "Last-Event-ID"
	if id := t.req.Header.Get(header); id != "" && !cfg.hasInitialID {
		c.lastID = id
	}
	t.req.Header.Del(header)
	return c, nil
}

// Run connects and calls handle for each event, in order, one at a time, until
//
//   - the server answers 204, or [Client.Close] is called: it returns nil;
//   - handle returns an error: it returns that one, and nil for [ErrStop];
//   - ctx is done: it returns ctx.Err();
//   - an error comes that is not to be retried, see [OnError] and [RetryFirst]: it returns that one.
//
// While handle works nothing is read. An event counts as received when handle has returned nil; a Run
// that follows goes on behind it. Of a stream that is cut in the middle of an event, nothing of that
// event is handed out.
func (c *Client) Run(ctx context.Context, handle func(sse.Event) error) error {
	run, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer c.end()

	c.backoff.reset()
	everOpened, failures := false, 0
	for {
		attempt, cancel := c.newAttempt(run)
		s := &stream{c: c, ctx: attempt}
		err := s.serve(handle)

		if !s.opened.IsZero() {
			everOpened, failures = true, 0
		} else {
			failures++
		}
		c.learn(s)
		if handled, ok := err.(handleError); ok {
			cancel(nil)
			if handled.err == ErrStop {
				return nil
			}
			return handled.err
		}
		lost, err := c.judge(attempt, err, everOpened || c.cfg.retryFirst, failures)
		if lost {
			c.pause(attempt, err)
			err = wish(attempt)
		}
		cancel(nil)
		switch err {
		case errRestart:
			c.backoff.reset()
			failures = 0
		case nil: // the pause is over
		case errNoContent, ErrClosed:
			return nil
		default:
			return err
		}
	}
}

// Events is Run as an iterator. It ends after an error, which comes with a zero event; breaking out of
// the loop closes the connection, and the last event counts as received.
func (c *Client) Events(ctx context.Context) iter.Seq2[sse.Event, error] {
	return func(yield func(sse.Event, error) bool) {
		stopped := false
		err := c.Run(ctx, func(e sse.Event) error {
			if !yield(e, nil) {
				stopped = true
				return ErrStop
			}
			return nil
		})
		if err != nil && !stopped {
			yield(sse.Event{}, err)
		}
	}
}

// Restart drops the connection, or cuts the pause short, and connects anew at once. It is not an error:
// [OnError] is not called. Without a Run at work it does nothing.
func (c *Client) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.again != nil {
		c.again(errRestart)
	}
}

// Close ends Run, be it reading or pausing, and waits until it has let go of its connection. Then no
// function of the program's is called any more, except that one which is just at work is neither
// interrupted nor waited for: so Close may be called from within it. A closed client cannot run again.
// Close may be called more than once.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.stop != nil {
		c.stop(ErrClosed)
	}
	for c.running && !c.calling {
		c.idle.Wait()
	}
}

// LastEventID returns the id behind which the next connection will continue: that of the last event
// handled, or what [InitialID] said; "" if there is none or the server took it back.
func (c *Client) LastEventID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastID
}

func (c *Client) setLastEventID(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID = id
}

// begin claims the client for one Run, whose context it returns.
func (c *Client) begin(ctx context.Context) (context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case c.running:
		return nil, ErrRunning
	}
	c.running = true
	ctx, c.stop = context.WithCancelCause(ctx)
	return ctx, nil
}

// end gives the client free, also when handle panicked.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop(nil)
	c.stop, c.again = nil, nil
	c.running, c.calling = false, false
	c.idle.Broadcast()
}

// newAttempt returns the context of one attempt and its pause, which Restart ends.
func (c *Client) newAttempt(run context.Context) (context.Context, context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithCancelCause(run)
	c.again = cancel
	return ctx, cancel
}

// enter must precede each call of one of the program's functions, leave must follow. It reports whether
// the call may be made.
func (c *Client) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calling = !c.closed
	return c.calling
}

func (c *Client) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calling = false
	c.idle.Broadcast()
}

// comment passes a comment on.
func (c *Client) comment(text string) {
	if c.enter() {
		c.cfg.onComment(text)
		c.leave()
	}
}

// learn takes from a stream that ended what the next pause depends on.
func (c *Client) learn(s *stream) {
	if s.asked {
		c.backoff.base = s.retry
	}
	if s.asked && s.retry > 0 || !s.opened.IsZero() && time.Since(s.opened) >= c.cfg.resetAfter {
		c.backoff.reset()
	}
}

// wish returns what the program asked for while an attempt or its pause was at work: errRestart,
// ErrClosed, the error of the caller's context, or nil.
func wish(attempt context.Context) error {
	switch cause := context.Cause(attempt); cause {
	case nil, errRestart, ErrClosed:
		return cause
	}
	return attempt.Err()
}

// judge says whether err, which ended an attempt, is a loss to be followed by a pause and another
// attempt. If not, the error returned is what ended the attempt or, with it, Run.
func (c *Client) judge(attempt context.Context, err error, mayRetry bool, failures int) (lost bool, _ error) {
	if wish := wish(attempt); wish != nil {
		return false, wish
	}
	if err == errNoContent {
		return false, err
	}

	decision := Default
	if c.cfg.onError != nil {
		if !c.enter() {
			return false, ErrClosed
		}
		decision = c.cfg.onError(err)
		c.leave()
	}
	switch {
	case decision == GiveUp, c.cfg.maxAttempts > 0 && failures >= c.cfg.maxAttempts:
		return false, err
	case decision == Default && !(mayRetry && temporary(err)):
		return false, err
	}
	return true, err
}

// pause waits before the next attempt, as long as backing off and the server's Retry-After say.
func (c *Client) pause(attempt context.Context, err error) {
	d := c.backoff.next(rand.Float64())
	var response *ResponseError
	if errors.As(err, &response) {
		d = max(d, response.RetryAfter)
	}
	c.cfg.log.WarnContext(attempt, "event stream lost", "error", err, "retry_in", d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-attempt.Done():
	}
}

package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

const (
	errorBodySize = 4 << 10     // bytes of a refusal's body that are kept
	errorBodyTime = time.Second // that they may take to come
)

// template is what each attempt's request is made from.
type template struct {
	req  *http.Request
	body func() (io.ReadCloser, error) // nil if there is no body
}

// newTemplate takes over req, whose body it reads if it cannot be had twice otherwise.
func newTemplate(req *http.Request, header http.Header) (template, error) {
	t := template{req: req.Clone(context.Background())}
	if t.req.Header == nil {
		t.req.Header = http.Header{}
	}
	if t.req.Method == "" {
		t.req.Method = http.MethodGet
	}
	for k, v := range header {
		t.req.Header[k] = v
	}
	for k, v := range map[string]string{"Accept": sse.ContentType, "Cache-Control": "no-cache"} {
		if t.req.Header[k] == nil {
			t.req.Header.Set(k, v)
		}
	}
	t.req.Body = nil
	if req.Body == nil || req.Body == http.NoBody {
		return t, nil
	}
	defer req.Body.Close()
	if t.body = req.GetBody; t.body == nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return t, fmt.Errorf("client: read the request's body: %w", err)
		}
		t.req.ContentLength = int64(len(b))
		t.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		t.req.GetBody = t.body
	}
	return t, nil
}

// request makes the request of one attempt.
func (t template) request(ctx context.Context, lastEventID string) (*http.Request, error) {
	req := t.req.Clone(ctx)
	if t.body != nil {
		body, err := t.body()
		if err != nil {
			return nil, fmt.Errorf("client: the request's body: %w", err)
		}
		req.Body = body
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	return req, nil
}

// stream is one attempt and, if it opens, its stream.
type stream struct {
	c      *Client
	ctx    context.Context // of the attempt, ended by Restart, Close and the caller
	opened time.Time       // zero if no stream was opened
	retry  time.Duration   // the last retry field
	asked  bool            // there was one
}

// serve connects and hands events to handle until something ends it. The error is never nil.
func (s *stream) serve(handle func(sse.Event) error) error {
	// A context of its own: when the read time-out ends the connection, the attempt goes on to its pause.
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	err := s.exchange(ctx, cancel, handle)
	if _, ok := err.(handleError); !ok && context.Cause(ctx) == ErrReadTimeout {
		return ErrReadTimeout
	}
	return err
}

// exchange sends the request and reads the answer. The end of ctx ends it and closes the connection.
func (s *stream) exchange(ctx context.Context, cancel context.CancelCauseFunc, handle func(sse.Event) error) error {
	c := s.c
	id := c.LastEventID()
	if !sendable(id) {
		return errUnsendableID
	}
	req, err := c.template.request(ctx, id)
	if err != nil {
		return err
	}
	if c.cfg.prepare != nil {
		if !c.enter() {
			return ErrClosed
		}
		err := c.cfg.prepare(req)
		c.leave()
		if err != nil {
			return fmt.Errorf("client: prepare the request: %w", err)
		}
	}

	watch := newWatch(c.cfg.readTimeout, cancel)
	defer watch.stop()
	resp, err := c.cfg.http.Do(req)
	watch.stop()
	if err != nil {
		return fmt.Errorf("client: %s: %w", name(req), withoutURL(err))
	}
	defer resp.Body.Close()
	// Not every transport ends a Read when the context ends: that of js/wasm only heeds Close.
	defer context.AfterFunc(ctx, func() { resp.Body.Close() })()
	if err := check(req, resp, cancel); err != nil {
		return err
	}

	s.opened = time.Now()
	c.cfg.log.DebugContext(ctx, "event stream opened", "request", name(req), "last_event_id", id)
	if c.cfg.onOpen != nil {
		if !c.enter() {
			return ErrClosed
		}
		c.cfg.onOpen(resp)
		c.leave()
	}
	err = s.read(id, watchedReader{resp.Body, watch}, handle)
	if _, ok := err.(handleError); ok {
		return err
	}
	return fmt.Errorf("client: %s: the stream ended: %w", name(req), err)
}

// read decodes the stream and hands its events to handle.
func (s *stream) read(id string, body io.Reader, handle func(sse.Event) error) error {
	c := s.c
	dec := sse.NewDecoder(body, c.cfg.decoderOptions(id, c.comment)...)
	for {
		e, err := dec.Decode()
		s.retry, s.asked = dec.Retry()
		if err != nil {
			// Blocks without an event may have moved the position on.
			c.setLastEventID(dec.LastEventID())
			return err
		}
		if s.ctx.Err() != nil {
			return s.ctx.Err() // events that are only buffered come again
		}
		if !c.enter() {
			return ErrClosed
		}
		err = handle(e)
		c.leave()
		if err != nil && err != ErrStop {
			return handleError{err} // the position stays before the event
		}
		c.setLastEventID(e.ID)
		if err != nil {
			return handleError{err}
		}
	}
}

// watch is the read time-out of one connection: it ends the connection when it has run for limit. It
// runs only while the program waits for the server, so the time which events take to be handled does
// not count.
type watch struct {
	timer *time.Timer // nil without a time-out
	limit time.Duration
}

// newWatch returns a watch that runs.
func newWatch(limit time.Duration, cancel context.CancelCauseFunc) watch {
	if limit <= 0 {
		return watch{}
	}
	return watch{timer: time.AfterFunc(limit, func() { cancel(ErrReadTimeout) }), limit: limit}
}

func (w watch) start() {
	if w.timer != nil {
		w.timer.Reset(w.limit)
	}
}

func (w watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchedReader is a response's body under a read time-out.
type watchedReader struct {
	body io.Reader
	watch
}

func (r watchedReader) Read(p []byte) (int, error) {
	r.start()
	n, err := r.body.Read(p)
	r.stop()
	return n, err
}

// check returns nil if resp is an event stream (WHATWG HTML §9.2.3), errNoContent if the server wants no
// more of us, and else a *ResponseError.
func check(req *http.Request, resp *http.Response, cancel context.CancelCauseFunc) error {
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return errNoContent
	case resp.StatusCode == http.StatusOK && isEventStream(resp.Header.Get("Content-Type")):
		return nil
	}
	e := &ResponseError{
		StatusCode: resp.StatusCode,
		Header:     resp.Header,
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
		request:    name(req),
	}
	// A refusal's body may be a stream too, so it gets a bounded time.
	timer := time.AfterFunc(errorBodyTime, func() { cancel(nil) })
	defer timer.Stop()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodySize))
	e.Body = string(b)
	return e
}

// isEventStream reports whether a Content-Type is that of an event stream; parameters do not matter.
func isEventStream(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), sse.ContentType)
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3), seconds or a date; 0 if there is none.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

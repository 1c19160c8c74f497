package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// serveEvents answers /events with a stream.
func (g *Gateway) serveEvents(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, "GET, POST, QUERY", http.MethodGet, http.MethodPost, methodQuery) {
		return
	}
	sub, err := g.parseSubscription(w, r)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	if err := g.authorizeAll(r, auth.Subscribe, sub.topics); err != nil {
		g.refuse(w, r, err)
		return
	}
	if !canStream(w) {
		g.refuse(w, r, problem{http.StatusInternalServerError, "no_streaming",
			"the server's http.ResponseWriter cannot be flushed: middleware that wraps it needs an Unwrap method"})
		return
	}
	c := g.connect(w, r)
	s := c.of()
	s.init(g, sub)
	s.notifier = c
	if !g.add(s) {
		g.meters.refused.Add(1)
		g.overloaded(w, r)
		return
	}
	if err := s.follow(sub.topics); err != nil {
		g.remove(s)
		g.opt.Logger.Error("following topics failed", "error", err)
		g.overloaded(w, r)
		return
	}
	g.meters.accepted.Add(1)
	c.serve()
}

// connect returns a request's connection on the best transport that can serve
// it.
func (g *Gateway) connect(w http.ResponseWriter, r *http.Request) connection {
	for _, t := range g.ways {
		if c := t.connect(w, r); c != nil {
			return c
		}
	}
	panic("gateway: no transport takes every request")
}

// methodQuery is the safe method with a body (RFC 9110 registry, HTTP QUERY).
const methodQuery = "QUERY"

// overloaded turns a client away so that it comes back. Any answer but 200
// would end an EventSource for good, so it gets a stream that is cut at once.
func (g *Gateway) overloaded(w http.ResponseWriter, r *http.Request) {
	retry := between(g.opt.OverloadRetry, 2*g.opt.OverloadRetry)
	if !strings.Contains(r.Header.Get("Accept"), sse.ContentType) {
		w.Header().Set("Retry-After", strconv.Itoa(int((retry+time.Second-1)/time.Second)))
		problem{http.StatusServiceUnavailable, "overloaded", "this pod takes no more streams for now: try again"}.write(w)
		return
	}
	streamHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(sse.AppendRetry(nil, retry)) // whatever becomes of it, the stream ends
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// authorizeAll asks whether the request may do a to all topics.
func (g *Gateway) authorizeAll(r *http.Request, a auth.Action, topics []stream.Topic) error {
	grant, err := g.opt.Authorizer.Authorize(r.Context(), r)
	if err != nil {
		return err
	}
	for _, t := range topics {
		if !grant.Allows(a, string(t)) {
			return auth.Forbidden(a, string(t))
		}
	}
	return nil
}

// refuse answers with an error.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p problem
	refusal, refused := auth.AsRefusal(err)
	switch {
	case errors.As(err, &p):
	case refused:
		p = problem{refusal.Status, "forbidden", refusal.Message}
		switch {
		case p.status == http.StatusUnauthorized:
			p.code = "unauthorized"
		case p.status < 400 || p.status > 599:
			p.status = http.StatusForbidden // a refusal that says nothing, or yes, is still one
		}
		for name, v := range refusal.Header {
			w.Header()[name] = v
		}
	default:
		if !errors.Is(err, context.Canceled) {
			g.opt.Logger.Error("request failed", "path", r.URL.Path, "error", err)
		}
		w.Header().Set("Retry-After", "1")
		p = problem{http.StatusServiceUnavailable, "unavailable", "the gateway could not answer: try again, its log says why"}
	}
	p.write(w)
}

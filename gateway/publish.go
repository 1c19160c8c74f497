package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/stream"
)

const publishTimeout = 10 * time.Second

// servePublish adds the body of a request, as it is, to one topic:
//
//	POST /publish?topic=orders&event=paid&retry=3000&close=1
//
// The answer, {"id":"…"}, is sent when the entry is stored.
func (g *Gateway) servePublish(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, "POST", http.MethodPost) {
		return
	}
	t, m, err := g.parsePublish(w, r)
	if err != nil {
		g.meters.published("refused")
		g.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	ids, err := g.live.BroadcastTo(ctx, m, t)
	if err != nil {
		g.meters.published("failed")
		g.refuse(w, r, g.publishProblem(err))
		return
	}
	g.meters.published("stored")
	writeJSON(w, struct {
		ID stream.ID `json:"id"`
	}{ids[0]})
}

// parsePublish reads who publishes what. A body is read only from somebody who
// may.
func (g *Gateway) parsePublish(w http.ResponseWriter, r *http.Request) (t stream.Topic, m stream.Message, err error) {
	query, err := parameters(r.URL.RawQuery)
	if err != nil {
		return "", m, problemf(http.StatusBadRequest, "query", "the query cannot be read: %v", err)
	}
	names := values(query, "topic")
	if len(names) != 1 {
		return "", m, problem{http.StatusBadRequest, "topic_missing", "say which one topic: POST /publish?topic=orders, with the data as body"}
	}
	if t, err = stream.ParseTopic(names[0]); err != nil {
		return "", m, problem{http.StatusBadRequest, "topic_invalid", err.Error()}
	}
	if err := g.authorizeAll(r, auth.Publish, []stream.Topic{t}); err != nil {
		return "", m, err
	}
	if v := last(query, "retry"); v != "" {
		ms, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return "", m, problemf(http.StatusBadRequest, "retry", "retry=%q: milliseconds are allowed, 0 to 2147483647", v)
		}
		m.Retry = time.Duration(ms) * time.Millisecond
	}
	switch v := last(query, "close"); v {
	case "", "0":
	case "1":
		m.Close = true
	default:
		return "", m, problemf(http.StatusBadRequest, "close", "close=%q: 1 or 0 is allowed", v)
	}
	m.Event = last(query, "event")
	m.Traceparent = r.Header.Get("Traceparent")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.opt.MaxEntryBytes)))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", m, g.publishProblem(stream.FaultTooLarge)
		}
		return "", m, problem{http.StatusBadRequest, "body", "the body ended too early"}
	}
	m.Data = string(body)
	if _, err := m.Fields(); err != nil {
		return "", m, g.publishProblem(err)
	}
	return t, m, nil
}

// publishProblem says what is wrong with a message, or what went wrong.
func (g *Gateway) publishProblem(err error) error {
	var fault stream.Fault
	var wrong *stream.WrongTypeError
	switch {
	case errors.As(err, &fault) && fault == stream.FaultTooLarge:
		return problemf(http.StatusRequestEntityTooLarge, string(fault), "%s; the limit is %d bytes", fault.Error(), g.opt.MaxEntryBytes)
	case errors.As(err, &fault):
		return problem{http.StatusBadRequest, string(fault), fault.Error()}
	case errors.As(err, &wrong):
		return problem{http.StatusConflict, "wrong_type", wrong.Error()}
	}
	g.opt.Logger.Error("publishing failed", "error", err)
	return problem{http.StatusServiceUnavailable, "not_stored",
		"Redis did not confirm the event: it may or may not have been stored"}
}

// serveCursor answers with the present cursor of some topics. A page that is
// rendered with it and then subscribes with last_event_id=<cursor> misses
// nothing in between.
func (g *Gateway) serveCursor(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, "GET", http.MethodGet) {
		return
	}
	query, err := parameters(r.URL.RawQuery)
	if err != nil {
		g.refuse(w, r, problemf(http.StatusBadRequest, "query", "the query cannot be read: %v", err))
		return
	}
	topics, err := g.topics(values(query, "topic"))
	if err == nil {
		err = g.authorizeAll(r, auth.Subscribe, topics)
	}
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), publishTimeout)
	defer cancel()
	ids := make([]stream.ID, len(topics))
	for i, t := range topics {
		info, err := g.replayer.Bounds(ctx, t)
		var wrong *stream.WrongTypeError
		if errors.As(err, &wrong) {
			err = problem{http.StatusConflict, "wrong_type", wrong.Error()}
		}
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		ids[i] = info.LastGenerated
	}
	cursor := ids[0].AppendTo(nil)
	if len(topics) > 1 {
		cursor = stream.NewVector(topics).AppendSuffix(cursor, 0, ids)
	}
	writeJSON(w, struct {
		Cursor string `json:"cursor"`
	}{string(cursor)})
}

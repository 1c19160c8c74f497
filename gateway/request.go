package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// subscription is what a client asks /events for.
type subscription struct {
	topics    []stream.Topic // each once, in the order asked for
	cursor    stream.Cursor
	hasCursor bool
	badCursor bool            // a cursor was given and is not one
	since     *replayer.Since // nil: from now on
	form      stream.Form
	control   bool // control events are wanted
}

const (
	maxURL  = 16 << 10
	maxForm = 64 << 10
)

// cursorNames are the query parameters in which polyfills send what a browser
// sends as the Last-Event-ID header.
var cursorNames = []string{"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"}

// parseSubscription reads the parameters of /events from the query, and from
// the body of POST and QUERY. Errors are problems.
func (g *Gateway) parseSubscription(w http.ResponseWriter, r *http.Request) (*subscription, error) {
	if len(r.URL.RawQuery) > maxURL {
		return nil, problemf(http.StatusRequestURITooLong, "url_too_long",
			"the query has %d bytes and %d are allowed: send the parameters as the form of a POST or QUERY request", len(r.URL.RawQuery), maxURL)
	}
	query, err := parameters(r.URL.RawQuery)
	if err != nil {
		return nil, problemf(http.StatusBadRequest, "query", "the query cannot be read: %v", err)
	}
	if r.Method != http.MethodGet {
		if query, err = bodyParameters(w, r, query); err != nil {
			return nil, err
		}
	}
	s := &subscription{control: true}
	if s.topics, err = g.topics(values(query, "topic")); err != nil {
		return nil, err
	}
	if err := g.origin(s, query, r.Header); err != nil {
		return nil, err
	}
	switch v := last(query, "control"); v {
	case "":
	case "off":
		s.control = false
	default:
		return nil, problemf(http.StatusBadRequest, "control", "control=%q: only off is allowed", v)
	}
	switch v := last(query, "envelope"); v {
	case "":
	case "json":
		s.form = stream.FormEnvelope
	default:
		return nil, problemf(http.StatusBadRequest, "envelope", "envelope=%q: only json is allowed", v)
	}
	return s, nil
}

// parameter is one name and value, in the order given: of the names for the
// cursor the last one wins.
type parameter struct{ name, value string }

func parameters(query string) ([]parameter, error) {
	var list []parameter
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return nil, err
		}
		list = append(list, parameter{n, v})
	}
	return list, nil
}

func values(list []parameter, name string) (v []string) {
	for _, p := range list {
		if p.name == name {
			v = append(v, p.value)
		}
	}
	return v
}

func last(list []parameter, names ...string) string {
	for i := len(list) - 1; i >= 0; i-- {
		for _, name := range names {
			if list[i].name == name {
				return list[i].value
			}
		}
	}
	return ""
}

// bodyParameters adds the parameters in a body: a form, or a JSON object whose
// members have the same names and are strings, numbers or lists of them.
func bodyParameters(w http.ResponseWriter, r *http.Request, list []parameter) ([]parameter, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, problemf(http.StatusRequestEntityTooLarge, "body_too_large", "the body of a subscription has at most %d bytes", maxForm)
		}
		return nil, problemf(http.StatusBadRequest, "body", "the body cannot be read")
	}
	if len(body) == 0 {
		return list, nil
	}
	switch t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t {
	case "application/x-www-form-urlencoded":
		form, err := parameters(string(body))
		if err != nil {
			return nil, problemf(http.StatusBadRequest, "body", "the form cannot be read: %v", err)
		}
		return append(list, form...), nil
	case "application/json":
		return jsonParameters(body, list)
	default:
		return nil, problemf(http.StatusUnsupportedMediaType, "content_type",
			"send the parameters as application/x-www-form-urlencoded or application/json")
	}
}

// jsonParameters reads members in their order, as the last cursor given wins.
func jsonParameters(body []byte, list []parameter) ([]parameter, error) {
	notAnObject := func(err error) error {
		return problemf(http.StatusBadRequest, "body", `the body must be a JSON object such as {"topic":["a","b"]}: %v`, err)
	}
	if !json.Valid(body) {
		return nil, notAnObject(errors.New("it is not JSON"))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if begin, _ := dec.Token(); begin != json.Delim('{') {
		return nil, notAnObject(errors.New("it is something else"))
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, notAnObject(err)
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, notAnObject(err)
		}
		many, ok := v.([]any)
		if !ok {
			many = []any{v}
		}
		for _, one := range many {
			switch one := one.(type) {
			case string:
				list = append(list, parameter{name.(string), one})
			case json.Number:
				list = append(list, parameter{name.(string), one.String()})
			case nil:
			default:
				return nil, problemf(http.StatusBadRequest, "body", "%s must be a string, a number or a list of them", name)
			}
		}
	}
	return list, nil
}

// topics checks the names that a request asks for.
func (g *Gateway) topics(names []string) ([]stream.Topic, error) {
	if len(names) == 0 {
		return nil, problem{http.StatusBadRequest, "topic_missing", "say which topic: ?topic=orders, several as ?topic=orders&topic=news"}
	}
	topics := make([]stream.Topic, 0, min(len(names), g.opt.MaxTopics))
	seen := make(map[stream.Topic]bool, len(names))
	for _, name := range names {
		t, err := stream.ParseTopic(name)
		if err != nil {
			return nil, problem{http.StatusBadRequest, "topic_invalid", err.Error()}
		}
		if seen[t] {
			continue
		}
		if len(topics) == g.opt.MaxTopics {
			return nil, problemf(http.StatusBadRequest, "topics_too_many", "a connection has at most %d topics: open another for the rest", g.opt.MaxTopics)
		}
		seen[t] = true
		topics = append(topics, t)
	}
	return topics, nil
}

// origin finds out where the client wants to begin.
func (g *Gateway) origin(s *subscription, query []parameter, h http.Header) error {
	cursor := h.Get("Last-Event-ID")
	if cursor == "" {
		cursor = last(query, cursorNames...)
	}
	if cursor != "" {
		// A broken cursor is no error: an answer other than 200 would end an
		// EventSource for good, and it would come with the same cursor again.
		var err error
		s.cursor, err = stream.ParseCursor(cursor)
		s.hasCursor, s.badCursor = err == nil, err != nil
	}
	since, n := last(query, "since"), last(query, "last")
	switch {
	case since != "" && n != "":
		return problem{http.StatusBadRequest, "since_and_last", "since and last exclude each other"}
	case since != "":
		v, err := parseSince(since)
		if err != nil {
			return err
		}
		s.since = &v
	case n != "":
		v, err := strconv.Atoi(n)
		if err != nil || v < 1 || v > g.opt.MaxLast {
			return problemf(http.StatusBadRequest, "last", "last=%q: a number from 1 to %d is allowed", n, g.opt.MaxLast)
		}
		s.since = &replayer.Since{Last: v}
	}
	return nil
}

func parseSince(v string) (replayer.Since, error) {
	if v == "earliest" {
		return replayer.Since{Earliest: true}, nil
	}
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil && ms > 0 {
		return replayer.Since{Time: time.UnixMilli(ms)}, nil
	}
	if d, err := time.ParseDuration(v); err == nil && d > 0 {
		return replayer.Since{Ago: d}, nil
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil && t.Unix() > 0 {
		return replayer.Since{Time: t.UTC()}, nil // equal times are equal keys
	}
	return replayer.Since{}, problemf(http.StatusBadRequest, "since",
		"since=%q: earliest, a duration such as 5m, a time such as 2026-01-31T12:00:00Z (write + as %%2B) or Unix milliseconds are allowed", v)
}

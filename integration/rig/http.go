package rig

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Answer is an answer that is no stream.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Request sends one request to the public port. header holds names and values.
func (p *Pod) Request(t testing.TB, method, target, body string, header ...string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.URL(target), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return Answer{resp.StatusCode, resp.Header, string(b)}
}

// Publish publishes one event over HTTP, as curl -d does, and returns its id.
func (p *Pod) Publish(t testing.TB, topic, event, data string) string {
	t.Helper()
	query := url.Values{"topic": {topic}}
	if event != "" {
		query.Set("event", event)
	}
	a := p.Request(t, http.MethodPost, "/publish?"+query.Encode(), data, "Content-Type", "application/x-www-form-urlencoded")
	var said struct{ ID string }
	if err := json.Unmarshal([]byte(a.Body), &said); err != nil || a.Status != http.StatusOK || said.ID == "" {
		t.Fatalf("POST /publish: want 200 and an id, got %d %s (%v)", a.Status, a.Body, err)
	}
	return said.ID
}

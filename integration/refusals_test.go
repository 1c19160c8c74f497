package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_MAX_ENTRY_BYTES=1KiB", "SSE_MAX_TOPICS=3")
	r.Do(t, "SET", "sse:bad", "not a stream")
	for _, tt := range []struct {
		method, target, body string
		status               int
		says                 string // part of the detail
	}{
		{"GET", "/events", "", 400, "?topic="},
		{"GET", "/events?topic=", "", 400, "empty"},
		{"GET", "/events?topic=a%20b", "", 400, "letters"},
		{"GET", "/events?topic=~own", "", 400, "~"},
		{"GET", "/events?topic=*", "", 400, "letters"},
		{"GET", "/events?topic=%ff", "", 400, "UTF-8"},
		{"GET", "/events?topic=" + strings.Repeat("x", 201), "", 400, "200"},
		{"GET", "/events?topic=a&topic=b&topic=c&topic=d", "", 400, "3"},
		{"GET", "/events?topic=a&since=yesterday", "", 400, "earliest"},
		{"GET", "/events?topic=a&last=-1", "", 400, "last"},
		{"GET", "/events?topic=a&since=5m&last=1", "", 400, "exclude"},
		{"GET", "/events?topic=a&envelope=xml", "", 400, "json"},
		{"GET", "/events?topic=a&control=maybe", "", 400, "off"},
		{"GET", "/events?topic=a&pad=" + strings.Repeat("x", 17<<10), "", 414, "POST"},
		{"PUT", "/events?topic=a", "", 405, "GET"},
		{"DELETE", "/cursor?topic=a", "", 405, "GET"},
		{"GET", "/publish?topic=a", "", 405, "POST"},
		{"GET", "/elsewhere", "", 404, "/events"},
		{"GET", "/cursor", "", 400, "topic"},
		{"POST", "/publish", "{}", 400, "topic"},
		{"POST", "/publish?topic=a%20b", "{}", 400, "letters"},
		{"POST", "/publish?topic=a&event=gateway.open", "{}", 400, "gateway."},
		{"POST", "/publish?topic=a&event=a%0Ab", "{}", 400, "line end"},
		{"POST", "/publish?topic=a", "\xff", 400, "UTF-8"},
		{"POST", "/publish?topic=a", strings.Repeat("x", 2000), 413, "reference"},
		{"POST", "/publish?topic=bad", "{}", 409, "TYPE"},
	} {
		t.Run(fmt.Sprintf("%s %.60s", tt.method, tt.target), func(t *testing.T) {
			a := pod.Request(t, tt.method, tt.target, tt.body)
			var said struct {
				Status int
				Detail string
			}
			if err := json.Unmarshal([]byte(a.Body), &said); err != nil {
				t.Fatalf("want a problem in JSON, got %d %.200s (%v)", a.Status, a.Body, err)
			}
			if a.Status != tt.status || said.Status != tt.status {
				t.Errorf("want status %d, got %d, and %d in the body: %s", tt.status, a.Status, said.Status, said.Detail)
			}
			if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("want application/problem+json, got %s", ct)
			}
			if !strings.Contains(said.Detail, tt.says) {
				t.Errorf("want a detail that says %q, got %q", tt.says, said.Detail)
			}
			if tt.status == http.StatusMethodNotAllowed && !strings.Contains(a.Header.Get("Allow"), tt.says) {
				t.Errorf("want %s in Allow, got %q", tt.says, a.Header.Get("Allow"))
			}
		})
	}
}

func TestUnknownParametersAreIgnoredAndNeverLogged(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_LOG_LEVEL=debug")
	f := rig.Follow(t, pod, orders("access_token=hunter2", "since=earliest"))
	f.Opened()
	f.Close()
	pod.Request(t, http.MethodGet, "/events?topic=a%20b&access_token=hunter2", "")
	if log := pod.Log.Tail(1000); strings.Contains(log, "hunter2") {
		t.Errorf("the log tells a secret:\n%s", log)
	}
}

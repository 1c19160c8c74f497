package integration

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
	"github.com/ssegateway/sse-gateway/sse"
)

func TestHTTP2WithoutTLS(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()

	// Two streams on one connection, so that one end cannot be both.
	var decoders []*sse.Decoder
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, pod.URL(orders().Target()), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
			t.Fatalf("want 200 over HTTP/2, got %s over %s", resp.Status, resp.Proto)
		}
		d := sse.NewDecoder(resp.Body)
		if e, err := d.Decode(); err != nil || e.Type != "gateway.open" {
			t.Fatalf("want gateway.open, got %+v, %v", e, err)
		}
		decoders = append(decoders, d)
	}
	r.Data(t, "orders", "1")
	for _, d := range decoders {
		if e, err := d.Decode(); err != nil || e.Data != "1" {
			t.Fatalf("want event 1, got %+v, %v", e, err)
		}
	}
	pod.Terminate(t)
	for _, d := range decoders {
		if e, err := d.Decode(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("want a reset stream, got %+v, %v: after END_STREAM no client comes back", e, err)
		}
	}
	pod.AwaitExit(t)
}

func TestHTTP10(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	ask := orders()
	ask.Protocol = rig.HTTP10
	f := rig.Follow(t, pod, ask)
	if te := f.Header().Get("Transfer-Encoding"); te != "" {
		t.Errorf("HTTP/1.0 knows no Transfer-Encoding, got %s", te)
	}
	f.Opened()
	r.Data(t, "orders", "1")
	f.Want("1")
	f = f.Again(pod)
	f.Opened()
	r.Data(t, "orders", "2")
	f.Want("2")
}

func TestSubscribingWithABody(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	r.Data(t, "a", "a1")
	r.Data(t, "b", "b1")
	for _, tt := range []struct{ method, contentType, body string }{
		{"POST", "application/x-www-form-urlencoded", "topic=a&topic=b&since=earliest"},
		{"POST", "application/json", `{"topic":["a","b"],"since":"earliest"}`},
		{"QUERY", "application/json", `{"topic":["a","b"],"last":1}`},
	} {
		t.Run(tt.method+" "+tt.contentType, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, tt.method, pod.URL("/events"), strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK {
				body, _ := io.ReadAll(resp.Body)
				t.Fatalf("want 200, got %s: %s", resp.Status, body)
			}
			d, got := sse.NewDecoder(resp.Body), map[string]bool{}
			for range 3 {
				e, err := d.Decode()
				if err != nil {
					t.Fatal(err)
				}
				got[e.Data] = true
			}
			if !got["a1"] || !got["b1"] {
				t.Errorf("want a1 and b1, got %v", got)
			}
		})
	}
}

func TestCursorInTheQuery(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	id := r.Add(t, "orders", "data", "1")
	r.Data(t, "orders", "2")
	for _, name := range []string{"last_event_id", "lastEventId", "lastEventID", "Last-Event-ID"} {
		f := rig.Follow(t, pod, orders("lastEventId=0-0", name+"="+id)) // the last one wins
		f.Opened()
		f.Want("2")
	}
	ask := orders("last_event_id=0-0") // the header wins over all
	ask.LastEventID = id
	f := rig.Follow(t, pod, ask)
	f.Opened()
	f.Want("2")
}

func TestCursorForAPageThatIsStillBeingRendered(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod, other := rig.StartPod(t, r.URL()), rig.StartPod(t, r.URL())
	for _, topics := range [][]string{{"orders"}, {"orders", "news", "none"}} {
		r.Data(t, "orders", "rendered")
		target := "/cursor?" + url.Values{"topic": topics}.Encode()
		a := pod.Request(t, http.MethodGet, target, "")
		cursor := findCursor(t, a)
		r.Data(t, "orders", "meanwhile")
		f := rig.Follow(t, other, rig.Ask{Topics: topics, Params: "last_event_id=" + url.QueryEscape(cursor)})
		f.Opened()
		f.Want("meanwhile")
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL())
	f := rig.Follow(t, pod, orders("envelope=json"))
	f.Opened()
	id := r.Add(t, "orders", "event", "paid", "data", `{"n":1}`)
	f.Want(`{"topic":"orders","id":"` + id + `","event":"paid","data":"{\"n\":1}"}`)
}

func TestPreflightOfAnAllowedOrigin(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(), "SSE_ALLOWED_ORIGINS=https://shop.example")
	preflight := func(origin string) http.Header {
		return pod.Request(t, http.MethodOptions, "/events?topic=orders", "", "Origin", origin,
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "last-event-id").Header
	}
	h := preflight("https://shop.example")
	if got := h.Get("Access-Control-Allow-Origin"); got != "https://shop.example" {
		t.Errorf("Access-Control-Allow-Origin: want the origin, got %q", got)
	}
	for _, name := range []string{"Last-Event-ID", "Authorization", "Content-Type", "Cache-Control", "Datastar-Request"} {
		if allowed := h.Get("Access-Control-Allow-Headers"); !strings.Contains(allowed, name) {
			t.Errorf("Access-Control-Allow-Headers: want %s among %q", name, allowed)
		}
	}
	if got := preflight("https://elsewhere.example").Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("another origin: want no Access-Control-Allow-Origin, got %q", got)
	}
}

// findCursor reads an answer of /cursor.
func findCursor(t *testing.T, a rig.Answer) string {
	t.Helper()
	var said struct{ Cursor string }
	if err := json.Unmarshal([]byte(a.Body), &said); err != nil || a.Status != http.StatusOK || said.Cursor == "" {
		t.Fatalf("GET /cursor: want 200 and a cursor, got %d %s (%v)", a.Status, a.Body, err)
	}
	return said.Cursor
}

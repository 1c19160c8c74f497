package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redistest"
	"github.com/ssegateway/sse-gateway/stream"
)

func published(t *testing.T, environ []string, stdin string, args ...string) stream.ID {
	t.Helper()
	code, stdout, stderr := command(t, environ, stdin, append([]string{"publish"}, args...)...)
	id, err := stream.ParseID(strings.TrimSuffix(stdout, "\n"))
	if code != exitOK || err != nil || stderr != "" {
		t.Fatalf("%v: %d\n%s%s", args, code, stdout, stderr)
	}
	return id
}

func TestPublishThroughAGateway(t *testing.T) {
	r := serving(t)
	l := openStream(t, newClient(t), "http://"+r.addr+"/events?topic=orders")
	for _, c := range []struct {
		stdin, event, data string
		args               []string
	}{
		{"", "paid", `{"n":1}`, []string{"--event", "paid", "orders", `{"n":1}`}},
		{"", "", "with --data", []string{"orders", "--data", "with --data"}},
		{"two\nlines\n", "", "two\nlines", []string{"orders"}},
		{"", "", "-1", []string{"orders", "--", "-1"}},
		{"not read", "", "", []string{"orders", "--data", ""}},
	} {
		id := published(t, nil, c.stdin, append([]string{"--url", "http://" + r.addr}, c.args...)...)
		if e := l.next(); e.ID != id.String() || e.Type != c.event || e.Data != c.data {
			t.Errorf("%v: got %+v", c.args, e)
		}
	}
}

func TestPublishToRedisDirectly(t *testing.T) {
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL() + "/3", "SSE_REDIS_PREFIX=shop:", "SSE_MAXLEN=0"}
	id := published(t, environ, "from\nstdin\r\n", "-e", "paid", "orders")
	rdb := server.Client(func(o *redis.Options) { o.DB = 3 })
	entries, err := rdb.XRange(t.Context(), "shop:orders", "-", "+").Result()
	if err != nil || len(entries) != 1 || entries[0].ID != id.String() || entries[0].Values["event"] != "paid" || entries[0].Values["data"] != "from\nstdin" {
		t.Errorf("got %v, %v", entries, err)
	}
}

func TestPublishTellsWhyItCouldNot(t *testing.T) {
	r := serving(t, "SSE_MAX_ENTRY_BYTES=1KiB")
	gone := httptest.NewServer(nil)
	gone.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer other.Close()
	large := strings.Repeat("x", 2000)
	for _, c := range []struct{ url, data, event, want string }{
		{"http://" + r.addr, large, "e", "not published: http://" + r.addr + " answers 413 Request Entity Too Large: "},
		{"http://" + r.addr, "x", "gateway.open", "not published: http://" + r.addr + " answers 4"},
		{gone.URL, "x", "e", "not published: dial tcp "},
		{other.URL, "x", "e", other.URL + " answers 200 without an id: is it a gateway?"},
	} {
		code, stdout, stderr := command(t, nil, "", "publish", "--url", c.url, "-e", c.event, "orders", c.data)
		if code != exitFail || stdout != "" || !strings.HasPrefix(stderr, "sse-gateway: "+c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%d\n%s%s", code, stdout, stderr)
		}
	}
	code, _, stderr := command(t, []string{"REDIS_URL=redis://127.0.0.1:1", "SSE_MAX_ENTRY_BYTES=1KiB"}, "", "publish", "orders", large)
	if code != exitFail || !strings.Contains(stderr, "over the size limit") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestPublishEndsWithASignal(t *testing.T) {
	arrived := make(chan struct{})
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client goes
		close(arrived)
		<-r.Context().Done()
	}))
	defer stuck.Close()
	r := launch(t, nil, "", "publish", "--url", stuck.URL, "orders", "x")
	<-arrived
	r.signals <- syscall.SIGINT
	if code := r.await(t); code != 130 {
		t.Errorf("exit code %d", code)
	}
}

func TestSubscribePrintsEventsOfAllTopics(t *testing.T) {
	r := serving(t)
	url := "http://" + r.addr
	s := launch(t, nil, "", "subscribe", "--url", url, "orders", "news")
	s.stderr.await(t, "the connection", func(line string) bool { return line == "connected\n" })
	for _, e := range []struct{ topic, event, data string }{{"orders", "paid", `{"n":1}`}, {"news", "", "hello"}} {
		id := published(t, nil, "", "--url", url, "-e", e.event, e.topic, e.data)
		event := e.event
		if event == "" {
			event = "message"
		}
		want := e.topic + "\t" + id.String() + "\t" + event + "\t" + e.data + "\n"
		s.stdout.await(t, want, func(line string) bool { return line == want })
	}
	s.signals <- syscall.SIGINT
	if code := s.await(t); code != exitOK {
		t.Errorf("Ctrl-C is how subscribe ends, and its exit code is %d", code)
	}
}

func TestSubscribeGoesOnWhereItsCursorSays(t *testing.T) {
	r := serving(t)
	url := "http://" + r.addr
	var ids []stream.ID
	for _, data := range []string{"one", "two", "three"} {
		ids = append(ids, published(t, nil, "", "--url", url, "orders", data))
	}
	lines := func(args ...string) (data []string, cursor string) {
		t.Helper()
		code, stdout, stderr := command(t, nil, "", append([]string{"subscribe", "--url", url, "--json", "orders"}, args...)...)
		if code != exitOK {
			t.Fatalf("%v: %d %s", args, code, stderr)
		}
		dec := json.NewDecoder(bytes.NewReader([]byte(stdout)))
		for dec.More() {
			var line struct{ Topic, ID, Event, Cursor string }
			var body struct{ Data any }
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				t.Fatal(err)
			}
			_ = json.Unmarshal(raw, &line)
			_ = json.Unmarshal(raw, &body)
			if line.Cursor == "" {
				t.Errorf("no cursor in %s", raw)
			}
			if line.Event != openEvent {
				data, cursor = append(data, body.Data.(string)), line.Cursor
			}
		}
		return data, cursor
	}
	if got, _ := lines("--last", "2", "-n", "2"); strings.Join(got, " ") != "two three" {
		t.Errorf("--last 2: %v", got)
	}
	got, cursor := lines("--since", "earliest", "--count", "2")
	if strings.Join(got, " ") != "one two" || cursor != ids[1].String() {
		t.Errorf("--since earliest: %v, cursor %s of %v", got, cursor, ids)
	}
	if got, _ := lines("--last-event-id", cursor, "-n", "1"); strings.Join(got, " ") != "three" {
		t.Errorf("--last-event-id: %v", got)
	}
}

func TestSubscribeComesBackAfterTheGatewayHasGone(t *testing.T) {
	server := redistest.Start(t)
	environ := []string{"REDIS_URL=" + server.URL(), "SSE_AUTH=anonymous", "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s", "SSE_RETRY_MIN=50ms", "SSE_RETRY_MAX=100ms"}
	first := serving(t, environ...)
	first.ready(t)
	s := launch(t, nil, "", "subscribe", "--url", "http://"+first.addr, "-n", "2", "orders")
	s.stderr.await(t, "the connection", func(line string) bool { return line == "connected\n" })
	one := xadd(t, server.Addr, "sse:orders", "data", "one")
	s.stdout.await(t, "one", func(line string) bool { return strings.Contains(line, one) })
	first.signals <- syscall.SIGTERM
	first.await(t)
	two := xadd(t, server.Addr, "sse:orders", "data", "two")
	serving(t, append(environ, "SSE_ADDR="+first.addr)...)
	if code := s.await(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	want := "orders\t" + one + "\tmessage\tone\norders\t" + two + "\tmessage\ttwo\n"
	if s.stdout.String() != want {
		t.Errorf("got\n%swant\n%s", s.stdout, want)
	}
	if !strings.Contains(s.stderr.String(), "connection lost, coming back: ") {
		t.Errorf("it did not say that it lost the connection:\n%s", s.stderr)
	}
}

func TestSubscribeTellsWhyItCouldNot(t *testing.T) {
	r := serving(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct{ url, since, want string }{
		{gone.URL, "5m", "connection refused"},
		{"http://" + r.addr, "yesterday", "400 Bad Request"},
		{"http://" + r.ops, "5m", "404 Not Found"},
	} {
		code, stdout, stderr := command(t, nil, "", "subscribe", "--url", c.url, "--since", c.since, "orders")
		if code != exitFail || stdout != "" || !strings.Contains(stderr, c.want) || !strings.HasPrefix(stderr, "sse-gateway: ") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%d\n%s%s", code, stdout, stderr)
		}
	}
}

func TestHealthcheckAsksTheGateway(t *testing.T) {
	r := serving(t)
	r.ready(t)
	environ := []string{"SSE_OPS_ADDR=" + r.ops}
	if code, stdout, _ := command(t, environ, "", "healthcheck"); code != exitOK || !strings.HasPrefix(stdout, "ready: hears of new events by ") {
		t.Errorf("%d %s", code, stdout)
	}
	if code, stdout, _ := command(t, nil, "", "healthcheck", "--live", "--url", "http://"+r.ops); code != exitOK || stdout != "alive\n" {
		t.Errorf("%d %s", code, stdout)
	}
	if code, _, stderr := command(t, nil, "", "healthcheck", "--url", "http://"+r.addr); code != exitFail || !strings.Contains(stderr, "is not the ops port of a gateway") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestHealthcheckTellsWhyTheGatewayIsNotReady(t *testing.T) {
	r := serving(t, "REDIS_URL=redis://127.0.0.1:1", "SSE_AUTH=anonymous", "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s")
	code, stdout, stderr := command(t, []string{"SSE_OPS_ADDR=" + r.ops}, "", "healthcheck")
	if code != exitFail || stdout != "" || !strings.HasPrefix(stderr, "sse-gateway: not ready: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	if code, _, stderr := command(t, nil, "", "healthcheck", "--url", gone.URL); code != exitFail || !strings.HasPrefix(stderr, "sse-gateway: not healthy: ") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestHealthcheckConnectsToWhatTheGatewayListensOn(t *testing.T) {
	for listen, want := range map[string]string{
		":9090": "127.0.0.1:9090", "0.0.0.0:1": "127.0.0.1:1", "[::]:2": "[::1]:2", "10.0.0.1:3": "10.0.0.1:3", "pod:4": "pod:4",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}

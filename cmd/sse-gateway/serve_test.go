package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/internal/redistest"
)

// banner returns what a gateway prints for somebody who has a first look.
func (r *running) banner(t *testing.T) string {
	t.Helper()
	r.stdout.await(t, "the banner", func(line string) bool { return strings.Contains(line, "Ctrl-C") })
	return r.stdout.String()
}

// xadd adds an entry as any program would.
func xadd(t *testing.T, addr, key string, fields ...any) string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1})
	defer rdb.Close()
	id, err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: fields}).Result()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAnEntryReachesAListenerWithoutAnySetting(t *testing.T) {
	r := serving(t)
	r.redis = r.listening(t, "redis")
	r.ready(t)
	l := openStream(t, newClient(t), "http://"+r.addr+"/events?topic=orders")
	id := xadd(t, r.redis, "sse:orders", "event", "paid", "data", `{"n":1}`)
	if e := l.next(); e.ID != id || e.Type != "paid" || e.Data != `{"n":1}` {
		t.Errorf("got %+v, want id %s", e, id)
	}
}

func TestTheBannerCanBeTyped(t *testing.T) {
	r := serving(t, "SSE_REDIS_PREFIX=shop:")
	r.redis = r.listening(t, "redis")
	_, port, _ := net.SplitHostPort(r.redis)
	said := r.banner(t)
	for _, want := range []string{
		"curl -N 'http://" + r.addr + "/events?topic=orders'\n",
		"redis-cli -p " + port + ` XADD shop:orders '*' event paid data '{"n":1}'` + "\n",
		`curl -d '{"n":2}' 'http://` + r.addr + "/publish?topic=orders&event=paid'\n",
		"http://" + r.ops + "/readyz\n",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
}

func TestStreamsAndPublishesOverHTTP2WithoutTLS(t *testing.T) {
	r := serving(t)
	c := newClient(t)
	transport := c.Transport.(*http.Transport)
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetUnencryptedHTTP2(true)
	l := openStream(t, c, "http://"+r.addr+"/events?topic=orders")
	if l.resp.ProtoMajor != 2 {
		t.Errorf("the stream is %s", l.resp.Proto)
	}
	resp, err := c.Post("http://"+r.addr+"/publish?topic=orders&event=paid", "", strings.NewReader("two"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s %v", resp.Status, err)
	}
	if e := l.next(); e.Data != "two" {
		t.Errorf("got %+v", e)
	}
}

func TestURLsOf16KBPass(t *testing.T) {
	r := serving(t)
	url := "http://" + r.addr + "/events?topic=orders&ignored="
	openStream(t, newClient(t), url+strings.Repeat("x", 16<<10-len(url)))
}

func TestAPodWaitsForRedisAndSaysSo(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	r := serving(t, "REDIS_URL="+server.URL(), "SSE_AUTH=anonymous", "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s")
	status, body := get(t, "http://"+r.ops+"/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, `"ready":false`) || !strings.Contains(body, `"reason":"`) {
		t.Errorf("without Redis: %d %s", status, body)
	}
	if status, _ := get(t, "http://"+r.ops+"/livez"); status != http.StatusOK {
		t.Errorf("a pod that waits for Redis is not alive: %d", status)
	}
	server.Restart()
	r.ready(t)
	l := openStream(t, newClient(t), "http://"+r.addr+"/events?topic=orders")
	id := xadd(t, server.Addr, "sse:orders", "data", "late")
	if e := l.next(); e.ID != id {
		t.Errorf("got %+v, want id %s", e, id)
	}
	if _, body := get(t, "http://"+r.ops+"/readyz"); !strings.Contains(body, `"way":"keyspace"`) {
		t.Errorf("the way is not told: %s", body)
	}
	r.signals <- syscall.SIGTERM
	l.end()
	if code := r.await(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestTheStartFailsInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"REDIS_URL=redis://localhost"}, "SSE_AUTH must be set: SSE_AUTH=anonymous lets everybody"},
		{[]string{"SSE_AUTH=jwt"}, `SSE_AUTH="jwt" is not allowed: only anonymous is built yet`},
		{[]string{"SSE_HEARTBEAT=15"}, `SSE_HEARTBEAT="15" is not allowed: a duration`},
		{[]string{"REDIS_URL=redis://:geheim/@h"}, "REDIS_URL is not a URL"},
		{[]string{"SSE_ADDR=" + addr}, `SSE_ADDR="` + addr + `" is taken by another program: stop that one, or set SSE_ADDR to another port, for example SSE_ADDR=127.0.0.1:`},
		{[]string{"SSE_ADDR=127.0.0.1:0", "SSE_OPS_ADDR=" + addr}, `SSE_OPS_ADDR="` + addr + `" is taken by another program`},
		{[]string{"SSE_ADDR=nowhere.invalid:80"}, `SSE_ADDR="nowhere.invalid:80" cannot be listened on: `},
		{[]string{"SSE_ADDR=127.0.0.1:0", "SSE_EMBEDDED_ADDR=" + addr}, "starting the built-in Redis on " + addr + ": "},
	} {
		code, _, stderr := command(t, append([]string{"SSE_EMBEDDED_ADDR=127.0.0.1:0", "SSE_LOG_LEVEL=error"}, c.environ...), "")
		if code == exitOK || !strings.HasPrefix(stderr, "sse-gateway: "+c.want) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "geheim") {
			t.Errorf("%v: %d\n%s", c.environ, code, stderr)
		}
	}
}

func TestWithoutSettingsTakenPortsBesideThePublicOneAreEvaded(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:6380", "127.0.0.1:9090"} {
		if l, err := net.Listen("tcp", addr); err == nil { // else it is taken already
			defer l.Close()
		}
	}
	r := launch(t, []string{"SSE_ADDR=127.0.0.1:0"}, "")
	if redis := r.listening(t, "redis"); redis == "127.0.0.1:6380" {
		t.Error("the taken port of Redis is in use")
	}
	if ops := r.listening(t, "ops"); ops == "127.0.0.1:9090" {
		t.Error("the taken port for operators is in use")
	}
	r.banner(t)
}

func TestThePasswordOfRedisIsNeverTold(t *testing.T) {
	r := serving(t, "REDIS_URL=redis://user:geheim@127.0.0.1:1/0", "SSE_AUTH=anonymous", "SSE_LOG_LEVEL=debug", "SSE_LAME_DUCK=0s", "SSE_DRAIN_WINDOW=0s")
	until(t, "the failure to connect is told", func() bool {
		_, body := get(t, "http://"+r.ops+"/readyz")
		return strings.Contains(body, "refused")
	})
	_, body := get(t, "http://"+r.ops+"/readyz")
	code, stdout, stderr := command(t, []string{"REDIS_URL=redis://user:geheim@127.0.0.1:1/0"}, "", "publish", "orders", "x")
	if code != exitFail || !strings.Contains(stderr, "redis://user:xxxxx@127.0.0.1:1/0") {
		t.Errorf("publish: %d %s", code, stderr)
	}
	if all := r.stdout.String() + r.stderr.String() + body + stdout + stderr; strings.Contains(all, "geheim") {
		t.Errorf("the password is in\n%s", all)
	}
}

func TestDevelopmentModeIsLoudAndLetsPagesOnLocalhostIn(t *testing.T) {
	r := serving(t, "SSE_DEV=true")
	r.stderr.await(t, "the warning", func(line string) bool { return strings.Contains(line, "NOT FOR PRODUCTION") })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.addr+"/cursor?topic=orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://localhost:5173")
	resp, err := newClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || resp.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("got %v", resp.Header)
	}
}

func TestMetricsOfAllPartsAreExposed(t *testing.T) {
	r := serving(t, "OTEL_SERVICE_NAME=events", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	_, body := get(t, "http://"+r.ops+"/metrics")
	for _, want := range []string{"\nsse_topics 0\n", "\ngo_goroutines ", `service_name="events"`, `deployment_environment_name="test"`, `service_version="`} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not in\n%s", want, body)
		}
	}
}

func TestLogsAreTextWhenAskedFor(t *testing.T) {
	r := launch(t, []string{"SSE_ADDR=127.0.0.1:0", "SSE_OPS_ADDR=127.0.0.1:0", "SSE_EMBEDDED_ADDR=127.0.0.1:0", "SSE_LOG_FORMAT=text"}, "")
	r.stderr.await(t, "a line of text", func(line string) bool {
		return strings.Contains(line, "msg=listening server=public addr=127.0.0.1:")
	})
}

func TestSIGTERMDrains(t *testing.T) {
	r := serving(t, "SSE_LAME_DUCK=500ms", "SSE_DRAIN_WINDOW=100ms", "SSE_SHUTDOWN_TIMEOUT=20s", "SSE_RETRY_MIN=7ms", "SSE_RETRY_MAX=7ms")
	r.ready(t)
	c := newClient(t)
	l := openStream(t, c, "http://"+r.addr+"/events?topic=orders")
	r.signals <- syscall.SIGTERM
	until(t, "the gateway is not ready", func() bool {
		status, body := get(t, "http://"+r.ops+"/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	openStream(t, c, "http://"+r.addr+"/events?topic=orders") // a lame duck still serves
	if err := l.end(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v: a client takes a clean end as final", err)
	}
	if retry, ok := l.events.Retry(); !ok || retry <= 0 {
		t.Errorf("the client is told to come back after %v, %v", retry, ok)
	}
	if code := r.await(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := net.DialTimeout("tcp", r.addr, time.Second); err == nil {
		t.Error("the public port is still open")
	}
}

func TestASecondSignalEndsAGatewayAtOnce(t *testing.T) {
	r := serving(t, "SSE_LAME_DUCK=10m", "SSE_SHUTDOWN_TIMEOUT=1h")
	l := openStream(t, newClient(t), "http://"+r.addr+"/events?topic=orders")
	r.signals <- syscall.SIGTERM
	r.stderr.await(t, "the beginning of the end", func(line string) bool { return strings.Contains(line, "stopping") })
	r.signals <- syscall.SIGTERM
	if code := r.await(t); code != 128+15 {
		t.Errorf("exit code %d", code)
	}
	if err := l.end(); err == io.EOF {
		t.Error("the stream ended cleanly")
	}
	if !strings.Contains(r.stderr.String(), "sse-gateway: ended at once: terminated\n") {
		t.Errorf("it says nothing of it:\n%s", r.stderr)
	}
}

func TestCtrlCEndsAFirstLookQuickly(t *testing.T) {
	r := serving(t)
	l := openStream(t, newClient(t), "http://"+r.addr+"/events?topic=orders")
	begun := time.Now()
	r.signals <- syscall.SIGINT
	if code := r.await(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	l.end()
}

package config

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWithoutRedisURLEverythingStaysOnThisMachine(t *testing.T) {
	c := load(t)
	if !c.Embedded() || c.Addr != "127.0.0.1:8080" || c.OpsAddr != "127.0.0.1:9090" || c.EmbeddedAddr != "127.0.0.1:6380" {
		t.Errorf("got %+v", c)
	}
	if c.Auth != "anonymous" || c.RequireAuth() != nil {
		t.Errorf("auth is %q, %v", c.Auth, c.RequireAuth())
	}
	if c.LameDuck != 0 || c.DrainWindow != 0 || c.ShutdownTimeout != 2*time.Second {
		t.Errorf("Ctrl-C would take %s, %s, %s", c.LameDuck, c.DrainWindow, c.ShutdownTimeout)
	}
}

func TestWithRedisURLTheDefaultsAreThoseOfProduction(t *testing.T) {
	c := load(t, "REDIS_URL=redis://localhost")
	if c.Embedded() || c.Addr != ":8080" || c.OpsAddr != ":9090" || c.LameDuck != 5*time.Second || c.DrainWindow != 15*time.Second {
		t.Errorf("got %+v", c)
	}
	if c.RedisPrefix != "sse:" || !c.RedisConfigure || c.Heartbeat != 15*time.Second || c.MaxEntryBytes != 4<<20 || c.Level() != slog.LevelInfo {
		t.Errorf("got %+v", c)
	}
}

func TestAuthMustBeChosenInProduction(t *testing.T) {
	err := load(t, "REDIS_URL=redis://localhost").RequireAuth()
	if err == nil || !strings.HasPrefix(err.Error(), "SSE_AUTH must be set: SSE_AUTH=anonymous ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	for _, chosen := range []string{"SSE_AUTH=anonymous", "SSE_DEV=true"} {
		if err := load(t, "REDIS_URL=redis://localhost", chosen).RequireAuth(); err != nil {
			t.Errorf("%s: %v", chosen, err)
		}
	}
}

func TestValuesAreRead(t *testing.T) {
	c := load(t, "PATH=/bin", "SSE_ADDR=[::1]:0", "SSE_DEV=1", "SSE_MAX_ENTRY_BYTES=64KiB", "SSE_RING_BYTES=131072", "SSE_LIFETIME=1h30m",
		"SSE_ALLOWED_ORIGINS=https://a.example,http://localhost:5173,*", "SSE_LOG_LEVEL=debug", "SSE_LAME_DUCK=1s", "SSE_LINGER=",
		"OTEL_SERVICE_NAME=events", "OTEL_RESOURCE_ATTRIBUTES=env=prod, team=a%2Cb ,", "OTEL_SOMETHING=else")
	want := Attributes{{"env", "prod"}, {"team", "a,b"}}
	if c.Addr != "[::1]:0" || !c.Dev || c.MaxEntryBytes != 64<<10 || c.RingBytes != 128<<10 || c.Lifetime != 90*time.Minute ||
		len(c.AllowedOrigins) != 3 || c.Level() != slog.LevelDebug || c.LameDuck != time.Second || c.Linger != 15*time.Second ||
		c.ServiceName != "events" || !reflect.DeepEqual(c.ResourceAttrs, want) {
		t.Errorf("got %+v", c)
	}
	if !c.Given("SSE_DEV") || c.Given("SSE_LINGER") || c.Given("SSE_OPS_ADDR") {
		t.Error("Given is wrong")
	}
}

func TestWrongValuesNameTheVariableTheValueAndWhatIsAllowed(t *testing.T) {
	const (
		durations = `a duration from %, such as 500ms, 15s or 2m`
		sizes     = `a size from %, in bytes or such as 512KiB, 4MiB or 1GiB`
		numbers   = `a number from %`
		addresses = `host:port or :port, such as :8080 or 127.0.0.1:8080`
		origins   = `origins such as https://shop.example or http://localhost:5173, separated by commas, without a path; or *`
		prefixes  = `1 to 64 printable ASCII characters, none of space * ? [ ] { } ~ \`
	)
	in := func(form, bounds string) string { return strings.Replace(form, "%", bounds, 1) }
	for _, c := range []struct{ set, allowed string }{
		{"SSE_ADDR=8080", addresses},
		{"SSE_ADDR=localhost:http", addresses},
		{"SSE_ADDR=:65536", addresses},
		{"SSE_OPS_ADDR=off", addresses},
		{"SSE_EMBEDDED_ADDR=6380", addresses},
		{"SSE_REDIS_PREFIX=a b", prefixes},
		{"SSE_REDIS_PREFIX={sse}:", prefixes},
		{"SSE_REDIS_CONFIGURE=perhaps", "true or false"},
		{"SSE_DEV=yes", "true or false"},
		{"SSE_PPROF=on", "true or false"},
		{"SSE_AUTH=jwt", "only anonymous is built yet; jwt, webhook and signed are to come"},
		{"SSE_AUTH=none", "only anonymous is built yet; jwt, webhook and signed are to come"},
		{"SSE_ALLOWED_ORIGINS=shop.example", origins},
		{"SSE_ALLOWED_ORIGINS=https://shop.example/", origins},
		{"SSE_MAX_TOPICS=0", in(numbers, "1 to 32")},
		{"SSE_MAX_TOPICS=33", in(numbers, "1 to 32")},
		{"SSE_MAX_TOPICS=some", in(numbers, "1 to 32")},
		{"SSE_MAX_CONNECTIONS=-1", in(numbers, "0 to 10000000")},
		{"SSE_MAX_ENTRY_BYTES=4MB", in(sizes, "1KiB to 512MiB")},
		{"SSE_MAX_ENTRY_BYTES=1GiB", in(sizes, "1KiB to 512MiB")},
		{"SSE_HEARTBEAT=15", in(durations, "1s to 1h")},
		{"SSE_HEARTBEAT=0s", in(durations, "1s to 1h")},
		{"SSE_WRITE_TIMEOUT=1h", in(durations, "1s to 10m")},
		{"SSE_RETRY_MIN=-1s", in(durations, "1ms to 1h")},
		{"SSE_RETRY_MAX=2h", in(durations, "1ms to 1h")},
		{"SSE_OVERLOAD_RETRY=0", in(durations, "1s to 1h")},
		{"SSE_LIFETIME=31d", in(durations, "0s to 720h")},
		{"SSE_MAXLEN=many", in(numbers, "0 to 1000000000")},
		{"SSE_RING_BYTES=1", in(sizes, "64KiB to 4GiB")},
		{"SSE_RING_TOTAL_BYTES=-1MiB", in(sizes, "1MiB to 1TiB")},
		{"SSE_HISTORY_BYTES=9999999TiB", in(sizes, "1MiB to 1TiB")},
		{"SSE_LINGER=2h", in(durations, "1s to 1h")},
		{"SSE_LAME_DUCK=1h", in(durations, "0s to 10m")},
		{"SSE_DRAIN_WINDOW=2h", in(durations, "0s to 1h")},
		{"SSE_SHUTDOWN_TIMEOUT=0s", in(durations, "1s to 2h")},
		{"SSE_LOG_LEVEL=loud", "one of debug, info, warn, error"},
		{"SSE_LOG_FORMAT=xml", "one of auto, text, json"},
		{"OTEL_RESOURCE_ATTRIBUTES=prod", "key=value pairs separated by commas"},
	} {
		name, value, _ := strings.Cut(c.set, "=")
		want := name + `="` + strings.ReplaceAll(value, `\`, `\\`) + `" is not allowed: ` + c.allowed
		_, err := Load([]string{c.set})
		var e *Error
		if !errors.As(err, &e) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestValuesThatContradictEachOther(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"SSE_RETRY_MIN=5s"}, `SSE_RETRY_MIN="5s" is not allowed: at most SSE_RETRY_MAX, which is 3s`},
		{[]string{"SSE_RING_BYTES=1GiB"}, `SSE_RING_BYTES="1GiB" is not allowed: at most SSE_RING_TOTAL_BYTES, which is 256MiB`},
		{[]string{"REDIS_URL=redis://h", "SSE_DRAIN_WINDOW=1m"}, `SSE_SHUTDOWN_TIMEOUT="25s" is not allowed: at least SSE_LAME_DUCK and SSE_DRAIN_WINDOW together, which is 1m5s`},
	} {
		if _, err := Load(c.environ); err == nil || err.Error() != c.want {
			t.Errorf("%v: got %v", c.environ, err)
		}
	}
}

func TestUnknownVariablesAreRefusedWithAGuess(t *testing.T) {
	const list = "? (sse-gateway serve --help lists all)"
	for set, want := range map[string]string{
		"SSE_HARTBEAT=5s":    "SSE_HARTBEAT is not a variable of sse-gateway: did you mean SSE_HEARTBEAT" + list,
		"SSE_RETRY=1s":       "SSE_RETRY is not a variable of sse-gateway: did you mean SSE_RETRY_MIN" + list,
		"SSE_PORT=8081":      "SSE_PORT is not a variable of sse-gateway: did you mean SSE_ADDR" + list,
		"SSE_REDIS_URL=x":    "SSE_REDIS_URL is not a variable of sse-gateway: did you mean REDIS_URL" + list,
		"SSE_QQQQQQQQQQQQ=1": "SSE_QQQQQQQQQQQQ is not a variable of sse-gateway: remove it; sse-gateway serve --help lists all",
	} {
		if _, err := Load([]string{set}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v", set, err)
		}
	}
}

func TestServiceLinksOfKubernetesAreIgnored(t *testing.T) {
	load(t,
		"SSE_GATEWAY_SERVICE_HOST=10.0.0.7", "SSE_GATEWAY_SERVICE_PORT=80", "SSE_GATEWAY_SERVICE_PORT_HTTP=80",
		"SSE_GATEWAY_PORT=tcp://10.0.0.7:80", "SSE_GATEWAY_PORT_80_TCP=tcp://10.0.0.7:80", "SSE_GATEWAY_PORT_80_TCP_PROTO=tcp",
		"SSE_GATEWAY_PORT_80_TCP_PORT=80", "SSE_GATEWAY_PORT_80_TCP_ADDR=10.0.0.7",
		"SSE_SERVICE_HOST=10.0.0.8", "SSE_PORT=tcp://10.0.0.8:8080", "SSE_PORT_8080_TCP_ADDR=10.0.0.8",
		"SSE_REDIS_SERVICE_PORT_REDIS=6379", "SSE_REDIS_PORT=tcp://10.0.0.9:6379", "SSE_DNS_PORT_53_UDP=udp://10.0.0.9:53")
}

// What the tags say is read in full nowhere else: a wrong bound would only
// show when somebody sets the variable.
func TestTheTableIsWhole(t *testing.T) {
	table := Table()
	for _, v := range variables() {
		if !strings.Contains(table, "\n  "+v.name+" ") || v.help == "" {
			t.Errorf("%s is not in the table or has no help", v.name)
		}
		if least, greatest, ok := strings.Cut(v.allow, ".."); ok && v.number(least) >= v.number(greatest) {
			t.Errorf("%s: no value is allowed", v.name)
		}
	}
}

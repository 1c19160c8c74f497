// Package config reads the program's configuration from its environment.
//
// Every variable is one field of Config; its tags say everything about it, so
// that what is parsed, what is checked and what --help prints cannot differ:
//
//	env         name of the variable
//	envDefault  value if the variable is absent or empty
//	embedded    the default instead, where there is no REDIS_URL
//	allow       "least..greatest", or the allowed values separated by |
//	help        what it does; begins a group in the table after "# group: "
//
// A wrong or unknown variable is an *Error, one line that names the variable,
// the value and what is allowed.
package config

import (
	"fmt"
	"log/slog"
	"time"
)

// Config is the configuration of one process.
type Config struct {
	RedisURL       string   `env:"REDIS_URL" help:"# Redis: redis://, rediss:// or unix://, see below; without it the gateway runs a Redis of its own, in memory"`
	RedisPrefix    string   `env:"SSE_REDIS_PREFIX" envDefault:"sse:" help:"before a topic in its Redis key"`
	RedisConfigure bool     `env:"SSE_REDIS_CONFIGURE" envDefault:"true" help:"may the gateway switch on keyspace notifications (CONFIG SET) where they are off"`
	EmbeddedAddr   string   `env:"SSE_EMBEDDED_ADDR" envDefault:"127.0.0.1:6380" help:"address of the built-in Redis; unless set, the next free port if this one is taken"`
	Addr           string   `env:"SSE_ADDR" envDefault:":8080" embedded:"127.0.0.1:8080" help:"# HTTP: address of the public port: /events, /cursor, /publish"`
	OpsAddr        string   `env:"SSE_OPS_ADDR" envDefault:":9090" embedded:"127.0.0.1:9090" help:"address of the ops port: /livez, /readyz, /metrics"`
	Auth           string   `env:"SSE_AUTH" embedded:"anonymous" allow:"anonymous" help:"who may listen and publish; must be chosen, except without REDIS_URL or with SSE_DEV"`
	Dev            bool     `env:"SSE_DEV" envDefault:"false" help:"for trials, not for production: everybody may do everything, pages on localhost may call with credentials"`
	AllowedOrigins []string `env:"SSE_ALLOWED_ORIGINS" help:"origins of pages that may call with credentials (CORS), separated by commas; * allows all, without"`
	MaxTopics      int      `env:"SSE_MAX_TOPICS" envDefault:"32" allow:"1..32" help:"topics per connection"`
	MaxConnections int      `env:"SSE_MAX_CONNECTIONS" envDefault:"0" allow:"0..10000000" help:"open streams of this process; 0 is no limit"`
	MaxEntryBytes  Bytes    `env:"SSE_MAX_ENTRY_BYTES" envDefault:"4MiB" allow:"1KiB..512MiB" help:"largest event: larger ones are refused, and skipped where they stand in a stream"`

	Heartbeat     time.Duration `env:"SSE_HEARTBEAT" envDefault:"15s" allow:"1s..1h" help:"# Streams: no stream is silent for longer: a comment is sent before"`
	WriteTimeout  time.Duration `env:"SSE_WRITE_TIMEOUT" envDefault:"15s" allow:"1s..10m" help:"a client that takes nothing for so long is disconnected"`
	RetryMin      time.Duration `env:"SSE_RETRY_MIN" envDefault:"1s" allow:"1ms..1h" help:"least time after which a client comes back; each is told a random one"`
	RetryMax      time.Duration `env:"SSE_RETRY_MAX" envDefault:"3s" allow:"1ms..1h" help:"greatest time after which a client comes back"`
	OverloadRetry time.Duration `env:"SSE_OVERLOAD_RETRY" envDefault:"10s" allow:"1s..1h" help:"the same where the gateway is overloaded, up to twice as long"`
	Lifetime      time.Duration `env:"SSE_LIFETIME" envDefault:"0s" allow:"0s..720h" help:"streams end after so long, with jitter, and the clients come back; 0s is never"`
	Transport     string        `env:"SSE_TRANSPORT" envDefault:"auto" allow:"auto|portable" help:"who writes to clients: auto takes HTTP/1.1 connections over from the HTTP server, which saves much memory; portable leaves all to it"`

	MaxLen       int64         `env:"SSE_MAXLEN" envDefault:"1000" allow:"0..1000000000" help:"# History and memory: entries a topic keeps, about, when the gateway publishes; 0 keeps all"`
	RingBytes    Bytes         `env:"SSE_RING_BYTES" envDefault:"1MiB" allow:"64KiB..4GiB" help:"newest events kept in memory per topic"`
	PodBytes     Bytes         `env:"SSE_RING_TOTAL_BYTES" envDefault:"256MiB" allow:"1MiB..1TiB" help:"the same for all topics together"`
	HistoryBytes Bytes         `env:"SSE_HISTORY_BYTES" envDefault:"64MiB" allow:"1MiB..1TiB" help:"pages read from Redis kept for clients that come back"`
	SendBytes    Bytes         `env:"SSE_SEND_BYTES" envDefault:"256MiB" allow:"1MiB..1TiB" help:"being written to clients at a time, with the send buffers of sockets that the gateway owns; over it those that have been slow for longest are ended"`
	Linger       time.Duration `env:"SSE_LINGER" envDefault:"15s" allow:"1s..1h" help:"a topic that nobody follows any more stays in memory for so long"`

	LameDuck        time.Duration `env:"SSE_LAME_DUCK" envDefault:"5s" embedded:"0s" allow:"0s..10m" help:"# Shutdown: after SIGTERM: not ready, but still serving, for so long"`
	DrainWindow     time.Duration `env:"SSE_DRAIN_WINDOW" envDefault:"15s" embedded:"0s" allow:"0s..1h" help:"then streams end at random points of this window"`
	ShutdownTimeout time.Duration `env:"SSE_SHUTDOWN_TIMEOUT" envDefault:"25s" embedded:"2s" allow:"1s..2h" help:"whatever is still open so long after SIGTERM is cut"`

	LogLevel  string `env:"SSE_LOG_LEVEL" envDefault:"info" allow:"debug|info|warn|error" help:"# Operation: least level that is logged"`
	LogFormat string `env:"SSE_LOG_FORMAT" envDefault:"auto" allow:"auto|text|json" help:"auto is text on a terminal, else json"`
	PProf     bool   `env:"SSE_PPROF" envDefault:"false" help:"serve /debug/pprof/ on the ops port"`

	ServiceName   string     `env:"OTEL_SERVICE_NAME" envDefault:"sse-gateway" help:"service.name of the metrics"`
	ResourceAttrs Attributes `env:"OTEL_RESOURCE_ATTRIBUTES" help:"further attributes of the metrics: key=value, separated by commas"`

	given map[string]bool // variables that were set
}

// Embedded reports whether the process runs a Redis of its own.
func (c Config) Embedded() bool { return c.RedisURL == "" }

// Given reports whether a variable was set to something.
func (c Config) Given(name string) bool { return c.given[name] }

// Level returns the log level.
func (c Config) Level() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel)) // one of the allowed values
	return l
}

// Error is a variable that stops the start.
type Error struct {
	Name    string // of the variable
	Value   string // as given; never a secret
	Problem string // what is wrong and what is allowed, in one clause
}

// Error says it in one line.
func (e *Error) Error() string {
	if e.Value == "" {
		return e.Name + " " + e.Problem
	}
	return fmt.Sprintf("%s=%q %s", e.Name, e.Value, e.Problem)
}

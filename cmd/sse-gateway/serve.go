package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/errgroup"

	"github.com/ssegateway/sse-gateway/auth"
	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/ops"
	"github.com/ssegateway/sse-gateway/gateway"
	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// serve runs the gateway until a signal ends it.
//
//	                 public port                          ops port
//	         /events /cursor /publish            /livez /readyz /metrics
//	                      │                               │
//	               ┌──────▼──────┐  auth             ┌────▼────┐
//	               │   gateway   ├───────► may it?   │   ops   │
//	               └──┬───────┬──┘                   └────┬────┘
//	      live events │       │ history            ready? │ metrics of all
//	          ┌───────▼──┐ ┌──▼───────┐                   │
//	          │broadcast.│ │ replayer │ ◄─────────────────┘
//	          └───────┬──┘ └──┬───────┘
//	XREAD, XADD,      │       │ XRANGE, with few connections of its
//	notifications     │       │ own: who comes back never delays who is there
//	                ┌─▼───────▼─┐
//	                │   Redis   │  REDIS_URL, or in memory in this process
//	                └───────────┘
func (p process) serve(ctx context.Context) error {
	cfg, err := config.Load(p.environ)
	if err == nil {
		err = cfg.RequireAuth()
	}
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, cfg)
	redis.SetLogger(redisLogger{log})
	build := buildVersion()
	log.Info("starting", "version", build.version, "commit", build.commit, "go", build.goVersion, "pid", os.Getpid())

	// What is open is closed in the opposite order, whatever happens below.
	var open closers
	defer func() { open.close(log) }()

	target, err := p.redis(cfg, log, &open)
	if err != nil {
		return err
	}
	live, history := target.Client(0), target.Client(historyConnections)
	open.add("Redis", func(context.Context) error { return errors.Join(live.Close(), history.Close()) })

	metrics, err := ops.NewMetrics(attributes(cfg, build)...)
	if err != nil {
		return err
	}
	open.add("metrics", metrics.Close)

	keys := stream.Keys{Prefix: cfg.RedisPrefix, DB: target.DB()}
	b, err := broadcaster.NewRedis(live, broadcaster.RedisOptions{
		Options: broadcaster.Options{
			Limits: broadcaster.Limits{
				TopicBytes: int(cfg.RingBytes),
				TotalBytes: int64(cfg.PodBytes),
				EntryBytes: int(cfg.MaxEntryBytes),
				Linger:     cfg.Linger,
			},
			Logger:        log,
			MeterProvider: metrics.Provider(),
		},
		Keys:        keys,
		NoConfigure: !cfg.RedisConfigure,
		MaxLen:      cfg.MaxLen,
	})
	if err != nil {
		return err
	}
	open.add("broadcaster", b.Close)

	r := replayer.NewRedis(history, keys, replayerOptions(cfg))
	g, err := gateway.New(b, r, gateway.Options{
		Authorizer:     auth.Anonymous(), // the only one there is; see config.RequireAuth
		Heartbeat:      cfg.Heartbeat,
		WriteTimeout:   cfg.WriteTimeout,
		RetryMin:       cfg.RetryMin,
		RetryMax:       cfg.RetryMax,
		OverloadRetry:  cfg.OverloadRetry,
		Lifetime:       cfg.Lifetime,
		MaxTopics:      cfg.MaxTopics,
		MaxConnections: cfg.MaxConnections,
		MaxEntryBytes:  int(cfg.MaxEntryBytes),
		HistoryBytes:   int64(cfg.HistoryBytes),
		SendBytes:      int64(cfg.SendBytes),
		Portable:       cfg.Transport == "portable",
		Logger:         log,
		MeterProvider:  metrics.Provider(),
		AllowedOrigins: origins(cfg),
	})
	if err != nil {
		return err
	}
	open.add("gateway", func(context.Context) error { return g.Close() })

	var draining atomic.Bool
	operators := ops.Handler(ops.Options{
		Ready:   func() ops.Readiness { return readiness(b.Status(), draining.Load()) },
		Metrics: metrics.Handler(),
		PProf:   cfg.PProf,
	})

	publicPort, opsPort, err := listen(ctx, cfg, log)
	if err != nil {
		return err
	}
	public, opsServer := publicServer(g, cfg, log), opsServer(operators, log)
	stop := shutdown{
		lameDuck: cfg.LameDuck,
		window:   cfg.DrainWindow,
		timeout:  cfg.ShutdownTimeout,
		signals:  p.signals,
		notReady: func() { draining.Store(true) },
		streams:  g,
		public:   public,
		log:      log,
	}
	log.Info("listening", "server", "public", "addr", publicPort.Addr().String())
	log.Info("listening", "server", "ops", "addr", opsPort.Addr().String())
	log.Info("configured", "redis", target.String(), "prefix", cfg.RedisPrefix, "auth", "anonymous")
	if cfg.Dev {
		log.Warn("SSE_DEV IS ON: everybody may listen and publish, and every page on localhost may call. NOT FOR PRODUCTION")
	}
	if cfg.Embedded() {
		p.printBanner(cfg, target, publicPort.Addr(), opsPort.Addr())
	}

	// The first to end ends all; all are waited for.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serveHTTP(public, publicPort) })
	group.Go(func() error { return serveHTTP(opsServer, opsPort) })
	group.Go(func() error {
		defer func() { _, _ = public.Close(), opsServer.Close() }()
		return stop.run(ctx)
	})
	return group.Wait()
}

// replayerOptions say how much of a topic is kept: where the configuration
// says 0 for all, the Replayer's 0 is its default.
func replayerOptions(cfg config.Config) replayer.RedisOptions {
	o := replayer.RedisOptions{MaxLen: cfg.MaxLen, MaxEntry: int(cfg.MaxEntryBytes)}
	if o.MaxLen == 0 {
		o.MaxLen = -1
	}
	return o
}

// historyConnections is the size of the pool that history is read with.
const historyConnections = 8

func readiness(s broadcaster.Status, draining bool) ops.Readiness {
	switch {
	case draining:
		return ops.Readiness{Reason: "draining: the process is about to end", Way: string(s.Way)}
	case !s.Ready:
		return ops.Readiness{Reason: s.Reason}
	}
	return ops.Readiness{Ready: true, Way: string(s.Way), Detail: s.Reason}
}

// attributes describe the process in its metrics (OpenTelemetry semantic
// conventions). Those of the configuration come last and win.
func attributes(cfg config.Config, b build) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("service.name", cfg.ServiceName),
		attribute.String("service.version", b.version),
	}
	for _, a := range cfg.ResourceAttrs {
		if a.Key != "service.name" || !cfg.Given("OTEL_SERVICE_NAME") {
			attrs = append(attrs, attribute.String(a.Key, a.Value))
		}
	}
	return attrs
}

// origins returns the origins of pages that may call with credentials.
func origins(cfg config.Config) []string {
	if cfg.Dev {
		return append([]string{gateway.LocalOrigins}, cfg.AllowedOrigins...)
	}
	return cfg.AllowedOrigins
}

// closers is what the process has open.
type closers []closer

type closer struct {
	name  string
	close func(context.Context) error
}

func (c *closers) add(name string, f func(context.Context) error) { *c = append(*c, closer{name, f}) }

// closeTimeout bounds the closing of each part once no stream is left.
const closeTimeout = 2 * time.Second

// close closes the last first. What fails is logged: the process ends anyway,
// and waits for nothing that does not come.
func (c closers) close(log *slog.Logger) {
	for _, part := range slices.Backward(c) {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		done := make(chan error, 1)
		go func() { done <- part.close(ctx) }()
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
			err = ctx.Err()
		}
		cancel()
		if err != nil {
			log.Warn("closing failed", "part", part.name, "error", err)
		}
	}
}

// serveHTTP returns nil when the server was closed.
func serveHTTP(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.Addr(), err)
	}
	return nil
}

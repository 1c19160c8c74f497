package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
	"github.com/ssegateway/sse-gateway/gateway"
	"github.com/ssegateway/sse-gateway/internal/embedded"
)

const (
	// A URL may have 16 KB (it carries up to 32 topics), and a browser adds
	// cookies and its own headers.
	maxHeaderBytes    = 32 << 10
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute // of a connection between requests
	pingTimeout       = 15 * time.Second
)

// publicServer serves the gateway over HTTP/1.1 and, for proxies, HTTP/2
// without TLS. There is no write time-out, since a stream has no end; the
// gateway sets a deadline for each write.
func publicServer(h http.Handler, cfg config.Config, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ConnContext:       gateway.ConnContext,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         new(http.Protocols),
		// A deadline of the gateway ends a stream; the connection beneath many
		// of them is given up when it takes nothing at all.
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:  cfg.Heartbeat,
			PingTimeout:      pingTimeout,
			WriteByteTimeout: cfg.WriteTimeout,
		},
		ErrorLog: slog.NewLogLogger(log.With("server", "public").Handler(), slog.LevelWarn),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func opsServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.With("server", "ops").Handler(), slog.LevelWarn),
	}
}

// listen opens both ports.
func listen(ctx context.Context, cfg config.Config, log *slog.Logger) (public, ops net.Listener, err error) {
	// No Multipath TCP: its sockets do not know the options by which a client
	// that has vanished is found, and a stream resumes anyway.
	lc := net.ListenConfig{Control: deadPeers(cfg.WriteTimeout), KeepAlive: -1}
	lc.SetMultipathTCP(false)
	if public, err = listenOn(ctx, lc, "SSE_ADDR", cfg.Addr); err != nil {
		return nil, nil, err
	}
	ops, err = listenOn(ctx, net.ListenConfig{}, "SSE_OPS_ADDR", cfg.OpsAddr)
	if err != nil && cfg.Embedded() && !cfg.Given("SSE_OPS_ADDR") {
		// Nobody who only wants a first look should have to look for it.
		log.Warn("any free port instead of the usual one for operators", "error", err)
		ops, err = listenOn(ctx, net.ListenConfig{}, "SSE_OPS_ADDR", "127.0.0.1:0")
	}
	if err != nil {
		return nil, nil, errors.Join(err, public.Close())
	}
	return public, ops, nil
}

// listenOn explains a failure by the variable that the address is from.
func listenOn(ctx context.Context, lc net.ListenConfig, variable, addr string) (net.Listener, error) {
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &config.Error{Name: variable, Value: addr, Problem: "is taken by another program: stop that one, or set " +
			variable + " to another port, for example " + variable + "=" + nextPort(addr)}
	case errors.Is(err, syscall.EACCES):
		return nil, &config.Error{Name: variable, Value: addr, Problem: "may not be listened on by this user: set " + variable + " to a port above 1023"}
	}
	return nil, &config.Error{Name: variable, Value: addr, Problem: "cannot be listened on: " + err.Error()}
}

// nextPort returns the address with the port after it.
func nextPort(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(port)
	if n++; n > 65535 {
		n = 0
	}
	return net.JoinHostPort(host, strconv.Itoa(n))
}

// embeddedPorts is how many ports are tried for the built-in Redis.
const embeddedPorts = 20

// redis returns where Redis is, after starting the built-in one if there is
// no REDIS_URL.
func (p process) redis(cfg config.Config, log *slog.Logger, open *closers) (*config.Redis, error) {
	if !cfg.Embedded() {
		return config.ParseRedis(cfg.RedisURL)
	}
	addr := cfg.EmbeddedAddr
	server, err := embedded.Start(addr)
	for i := 1; i < embeddedPorts && !cfg.Given("SSE_EMBEDDED_ADDR") && errors.Is(err, syscall.EADDRINUSE); i++ {
		addr = nextPort(addr)
		server, err = embedded.Start(addr)
	}
	if err != nil {
		return nil, fmt.Errorf("starting the built-in Redis on %s: %w; set SSE_EMBEDDED_ADDR to another address, or REDIS_URL to use a Redis that is there", addr, err)
	}
	open.add("built-in Redis", func(context.Context) error { return server.Close() })
	log.Info("listening", "server", "redis", "addr", server.Addr())
	return config.ParseRedis("redis://" + server.Addr())
}

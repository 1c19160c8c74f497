package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
)

// newLogger logs to w as the configuration says.
func newLogger(w io.Writer, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Level()}
	if cfg.LogFormat == "text" || cfg.LogFormat == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// redisLogger takes what go-redis says about its connections. The parts that
// use it say themselves what a failure means, so this is for debugging.
type redisLogger struct{ log *slog.Logger }

// Printf is called by go-redis.
func (l redisLogger) Printf(ctx context.Context, format string, args ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, fmt.Sprintf(format, args...))
	}
}

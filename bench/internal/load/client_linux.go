package load

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/child"
)

// Load is the process.
type Load struct{ *child.Caller }

// Start starts this program as a load process.
func Start(self string) (*Load, error) {
	p, err := child.StartPiped("load", append(os.Environ(), "GOMAXPROCS=1"), self, "load")
	if err != nil {
		return nil, err
	}
	return &Load{child.NewCaller(p)}, nil
}

// patience bounds what has no time-out of its own.
const patience = 60 * time.Second

// Do sends a command and waits until it is done.
func (l *Load) Do(ctx context.Context, cmd Command) (Report, error) {
	if cmd.Timeout == 0 {
		cmd.Timeout = patience
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout+5*time.Second)
	defer cancel()
	var r Report
	if err := l.Call(ctx, cmd, &r); err != nil {
		return r, fmt.Errorf("%s %s: %w", cmd.Op, cmd.Group, err)
	}
	return r, nil
}

// Faults says what must not be in any report: events lost, doubled or out of
// order, and connections that ended by themselves.
func (r Report) Faults() error {
	var bad []string
	if r.Skipped > 0 || r.Repeated > 0 {
		bad = append(bad, fmt.Sprintf("%d numbers were skipped and %d repeated", r.Skipped, r.Repeated))
	}
	for kind, n := range r.Controls {
		if kind != "open" {
			bad = append(bad, fmt.Sprintf("%d control events gateway.%s", n, kind))
		}
	}
	if r.Ended > 0 {
		bad = append(bad, fmt.Sprintf("%d connections ended", r.Ended))
	}
	bad = append(bad, r.Trouble...)
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("clients: %s", strings.Join(bad, "; "))
}

package broadcaster

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/ssegateway/sse-gateway/stream"
)

// Store is what the in-process Broadcaster needs of a Replayer: the history
// is the only place that entries are read from.
type Store interface {
	Store(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error)
	Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error)
	Bounds(ctx context.Context, t stream.Topic) (stream.Info, error)
}

// Options are common to all Broadcasters. The zero Options work.
type Options struct {
	Limits        Limits
	Logger        *slog.Logger         // default: slog.Default
	MeterProvider metric.MeterProvider // default: none
}

// Local is a Broadcaster within one process.
type Local struct{ *hub }

var _ Broadcaster = Local{}

// New returns a Broadcaster for one process over a store such as an in-memory
// Replayer. Entries that reach the store by another way than BroadcastTo are
// found by the sweep, within a second or some.
func New(s Store, o Options) (Local, error) { return newLocal(s, o, defaultTiming()) }

func newLocal(s Store, o Options, timing timing) (Local, error) {
	l := Local{&hub{timing: timing}}
	l.source = local{s, l.hub}
	l.listen = local{s, l.hub}
	l.blind.Store(true) // nobody tells of what is not published through this Broadcaster
	return l, l.setUp(o)
}

func (h *hub) setUp(o Options) error {
	h.limits, h.log = o.Limits, o.Logger
	if h.log == nil {
		h.log = slog.Default()
	}
	m, meter, err := newMeters(o.MeterProvider)
	if err != nil {
		return err
	}
	h.meters = m
	h.start()
	if err := m.observe(meter, h); err != nil {
		h.stop()
		return err
	}
	return nil
}

// local is source and listener over a Store: whoever adds an entry wakes.
type local struct {
	store Store
	hub   *hub
}

func (l local) heads(ctx context.Context, topics []stream.Topic) ([]stream.Info, []error) {
	infos, errs := make([]stream.Info, len(topics)), make([]error, len(topics))
	for i, t := range topics {
		infos[i], errs[i] = l.store.Bounds(ctx, t)
	}
	return infos, errs
}

func (l local) pages(ctx context.Context, reads []tailRead) []result {
	results := make([]result, len(reads))
	for i, r := range reads {
		results[i].page, results[i].err = l.store.Read(ctx, r.topic, r.at, stream.MaxID, r.limit)
	}
	return results
}

func (l local) newer(ctx context.Context, reads []tailRead) ([]bool, error) {
	found := make([]bool, len(reads))
	for i, r := range reads {
		info, err := l.store.Bounds(ctx, r.topic)
		if err != nil {
			return nil, err
		}
		found[i] = info.LastGenerated != r.at
	}
	return found, nil
}

func (l local) add(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error) {
	id, err := l.store.Store(ctx, t, m)
	if err == nil {
		l.hub.wake(t)
	}
	return id, err
}

func (l local) load(context.Context, int) time.Duration { return 0 }
func (l local) follow(t stream.Topic)                   { go l.hub.wake(t) } // not under the hub's lock
func (l local) unfollow(stream.Topic)                   {}
func (l local) close()                                  {}

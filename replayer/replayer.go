// Package replayer keeps the history of topics and reads it again for
// connections that come back: the Replayer interface, an in-memory
// implementation and one over Redis Streams.
package replayer

import (
	"context"
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// Replayer keeps entries by topic and reads them from any position.
//
// All methods may be called concurrently. An implementation does not retry
// and does not know connections: retries, shared reads and slow clients are
// the gateway's, written once above every Replayer. Package replayertest holds
// the behaviour that each must show.
type Replayer interface {
	// Store appends one entry and returns the id it was given, greater than
	// every id the topic had before. When Store returns an id, the entry is
	// stored once; when it returns an error that is not a refusal of the
	// message (a stream.Fault), it may or may not be. A key of another type
	// is a *stream.WrongTypeError.
	Store(ctx context.Context, t stream.Topic, m stream.Message) (stream.ID, error)

	// Read returns at most limit entries after the position at and not after
	// upTo, and what became of the history after that position: see
	// stream.Page and stream.Resume. It reads the entry at the position too,
	// since its presence is the proof that nothing was lost.
	Read(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error)

	// Seek returns the position from which reading yields what s asks for.
	// It is an entry that exists, the predecessor of the first entry, the end
	// of the history, or 0-0: never a position that would read as a gap now.
	Seek(ctx context.Context, t stream.Topic, s Since) (stream.ID, error)

	// Bounds returns what is known of the topic's stream. A topic without a
	// stream is the zero Info, not an error.
	Bounds(ctx context.Context, t stream.Topic) (stream.Info, error)
}

// Since says how far back a new reader begins. Exactly one field is set; the
// zero Since begins at the end. Times are the store's clock (for Redis: TIME),
// compared with the Ms of ids.
type Since struct {
	Earliest bool          // at the oldest entry there is
	Time     time.Time     // at the first entry at or after Time
	Ago      time.Duration // at the first entry not older than Ago; > 0
	Last     int           // with the newest Last entries; > 0
}

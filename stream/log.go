package stream

import "errors"

// Position is where a reader stands in a Log. The ID is what counts; Epoch
// and Index are the log's own and let it go on without searching.
type Position struct {
	ID    ID     // the last entry taken, or the position before the first
	Epoch uint32 // the history that ID belongs to
	Index uint64 // of the frame after ID
}

// Log is a pod's window on one topic's stream: the newest frames, bounded in
// bytes, shared by all who read the topic. No method waits for Redis or for a
// client. All may be called from any goroutine.
type Log interface {
	// Topic returns whose log it is.
	Topic() Topic

	// State returns where the log stands now.
	State() LogState

	// Seek returns the position of id if reading can go on from there:
	// every entry after id, as far as the log has come, is in the window.
	// Errors: ErrUnsynced, ErrBehind, ErrAhead.
	Seek(id ID) (Position, error)

	// Read returns all frames after p. Each moves the position by one index.
	// The slice is the log's own, for all readers, and does not change.
	// Errors: ErrUnsynced, ErrBehind, ErrForked, and ErrUnavailable if there
	// is nothing to read.
	Read(p Position) ([]*Frame, error)

	// Fork tells a reader of an earlier epoch where it goes on in today's.
	Fork(epoch uint32) Fork
}

// Fork is how a history ended and another began in its place, as after a
// fail-over to a copy that lagged.
type Fork struct {
	Common  ID // the newest position known to be in both; a reader at or before it has lost nothing
	Restart ID // a reader beyond Common goes on from here, or from its own position if that is earlier
}

// LogState is where a Log stands.
type LogState struct {
	Synced bool     // the log knows its position; else only Fault counts
	Head   Position // after the newest frame
	Start  ID       // the position before the oldest frame in the window
	Closed bool     // the newest entry closes the topic
	Fault  string   // why the topic cannot be read, for people; "" if it can
}

// Conditions of a Log. None is a failure: each says what the reader does next.
var (
	// ErrUnsynced: the first position is not known yet. Wait to be woken.
	ErrUnsynced = errors.New("stream: log has no position yet")
	// ErrBehind: the window is past the position, or never held it. Read from
	// the Replayer.
	ErrBehind = errors.New("stream: position is before the window")
	// ErrAhead: the position is beyond what this pod has read so far. Another
	// pod was faster, or the history was lost: the Replayer tells.
	ErrAhead = errors.New("stream: position is beyond the log")
	// ErrForked: the history that the position belongs to has ended. See
	// Log.Fork.
	ErrForked = errors.New("stream: position is of an earlier history")
	// ErrUnavailable: the topic cannot be read for now. LogState.Fault says why.
	ErrUnavailable = errors.New("stream: topic cannot be read")
)

// Waker is told that a log it reads may have something new. Wake never
// blocks, may be called from any goroutine, and may be called for nothing.
type Waker interface{ Wake() }

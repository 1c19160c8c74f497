package broadcastertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// ReadFunc reads history, as the method Read of replayer.Replayer does.
type ReadFunc func(ctx context.Context, t stream.Topic, at, upTo stream.ID, limit int) (stream.Page, error)

// Conn is a connection as a Broadcaster sees it.
type Conn struct {
	broadcaster.Membership
	wake chan struct{}
	end  chan error
}

// NewConn returns a connection that has not been woken yet.
func NewConn() *Conn { return &Conn{wake: make(chan struct{}, 1), end: make(chan error, 16)} }

// Wake implements broadcaster.Conn.
func (c *Conn) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// End implements broadcaster.Conn.
func (c *Conn) End(err error) {
	select {
	case c.end <- err:
	default: // somebody else will see that it is told too often
	}
}

// Woken yields a value if the connection was woken since the last one.
func (c *Conn) Woken() <-chan struct{} { return c.wake }

// Ended yields what the connection was told to end for.
func (c *Conn) Ended() <-chan error { return c.end }

// Kind says what a connection is given.
type Kind string

// What a connection is given.
const (
	Sent    Kind = "event" // an event
	Skipped Kind = "skip"  // an entry that cannot be sent
	Gap     Kind = "gap"   // history was trimmed up to the id
	Reset   Kind = "reset" // the history is another; it goes on after the id
)

// Event is something a connection is given.
type Event struct {
	Kind Kind
	ID   stream.ID
	Data string
}

// String returns kind, id and data.
func (e Event) String() string {
	if e.Kind != Sent {
		return fmt.Sprintf("%s %v", e.Kind, e.ID)
	}
	return fmt.Sprintf("%s %v %.40q", e.Kind, e.ID, e.Data)
}

// Follower is a connection that follows one topic. It goes on when it is
// woken and only then, reads the log, and from history what the log does not
// hold, as the gateway does. Its methods are for one goroutine.
type Follower struct {
	Conn  *Conn
	Topic stream.Topic
	Log   stream.Log

	b     broadcaster.Broadcaster
	read  ReadFunc
	pos   stream.Position
	step  step
	ready []Event // read from history, and not given yet
}

type step uint8

const (
	joining step = iota
	resuming
	live
)

// Follow registers a connection that follows t from now on. read is needed
// only by a connection that falls behind the log.
func Follow(b broadcaster.Broadcaster, t stream.Topic, read ReadFunc) (*Follower, error) {
	f := &Follower{Conn: NewConn(), Topic: t, b: b, read: read}
	if err := b.Register(f.Conn); err != nil {
		return nil, err
	}
	var err error
	f.Log, err = b.Subscribe(f.Conn, t)
	return f, err
}

// Resume lets the connection go on after a position that it, or one before it,
// was given.
func (f *Follower) Resume(id stream.ID) {
	f.pos, f.step, f.ready = stream.Position{ID: id}, resuming, nil
}

// Position returns where the connection stands. Before it has joined that is
// nowhere.
func (f *Follower) Position() stream.ID { return f.pos.ID }

// Leave unregisters the connection.
func (f *Follower) Leave() { f.b.Unregister(f.Conn, false) }

// Joined waits until the connection has a position and returns it.
func (f *Follower) Joined(ctx context.Context) (stream.ID, error) {
	for f.step == joining && !f.join() {
		if err := f.wait(ctx); err != nil {
			return stream.ID{}, err
		}
	}
	return f.pos.ID, nil
}

// Next waits for what the connection is given next. An error is that of ctx,
// of reading history, or what the connection was told to end for.
func (f *Follower) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, err := f.advance(ctx)
		if ok || err != nil {
			return e, err
		}
		if err := f.wait(ctx); err != nil {
			return Event{}, err
		}
	}
}

// wait waits to be woken.
func (f *Follower) wait(ctx context.Context) error {
	select {
	case <-f.Conn.wake:
		return nil
	case err := <-f.Conn.end:
		return err
	case <-ctx.Done():
		return fmt.Errorf("nothing came after %v: %w (log %+v)", f.pos.ID, ctx.Err(), f.Log.State())
	}
}

// advance moves the connection as far as it can until there is something to
// give. ok is false if it has to wait.
func (f *Follower) advance(ctx context.Context) (e Event, ok bool, err error) {
	for {
		if len(f.ready) > 0 {
			e, f.ready = f.ready[0], f.ready[1:]
			f.pos.ID = e.ID
			return e, true, nil
		}
		moved := false
		switch f.step {
		case joining:
			moved = f.join()
		case resuming:
			moved, err = f.resume(ctx)
		case live:
			if e, ok, moved = f.take(); ok {
				return e, true, nil
			}
		}
		if !moved || err != nil {
			return Event{}, false, err
		}
	}
}

func (f *Follower) join() bool {
	st := f.Log.State()
	if st.Synced {
		f.pos, f.step = st.Head, live
	}
	return st.Synced
}

// resume finds the position in the log, or else reads a page of history.
func (f *Follower) resume(ctx context.Context) (moved bool, err error) {
	p, err := f.Log.Seek(f.pos.ID)
	switch {
	case err == nil:
		f.pos, f.step = p, live
		return true, nil
	case errors.Is(err, stream.ErrUnsynced):
		return false, nil
	case f.read == nil:
		return false, fmt.Errorf("position %v: %w, and there is no history to read", f.pos.ID, err)
	}
	page, err := f.read(ctx, f.Topic, f.pos.ID, stream.MaxID, 100)
	if err != nil {
		return false, err
	}
	switch page.Verdict {
	case stream.Gap:
		f.ready = append(f.ready, Event{Kind: Gap, ID: page.Start})
	case stream.Reset:
		f.ready = append(f.ready, Event{Kind: Reset, ID: page.Start})
	}
	for _, entry := range page.Entries {
		f.ready = append(f.ready, eventOf(stream.Encode(entry, 0)))
	}
	return len(f.ready) > 0, nil
}

// take reads one frame of the log.
func (f *Follower) take() (e Event, ok, moved bool) {
	frames, err := f.Log.Read(f.pos)
	switch {
	case errors.Is(err, stream.ErrForked):
		fork := f.Log.Fork(f.pos.Epoch)
		f.step = resuming
		if fork.Common.Less(f.pos.ID) {
			f.Resume(stream.MinID(f.pos.ID, fork.Restart))
			return Event{Kind: Reset, ID: f.pos.ID}, true, true
		}
		return Event{}, false, true
	case errors.Is(err, stream.ErrBehind):
		f.step = resuming
		return Event{}, false, true
	case len(frames) == 0:
		return Event{}, false, false
	}
	f.pos.ID = frames[0].ID
	f.pos.Index++
	return eventOf(frames[0]), true, true
}

// eventOf returns what a client makes of a frame.
func eventOf(fr *stream.Frame) Event {
	switch fr.Kind {
	case stream.KindGap:
		return Event{Kind: Gap, ID: fr.ID}
	case stream.KindSkip:
		return Event{Kind: Skipped, ID: fr.ID}
	}
	rest := fr.Rest(stream.FormEvent, "")
	d := sse.NewDecoder(io.MultiReader(bytes.NewReader(fr.IDLine()), bytes.NewReader(rest)))
	e, err := d.Decode()
	if err != nil || e.ID != fr.ID.String() {
		return Event{Kind: Kind(fmt.Sprintf("broken frame (%v)", err)), ID: fr.ID, Data: string(rest)}
	}
	return Event{Kind: Sent, ID: fr.ID, Data: e.Data}
}

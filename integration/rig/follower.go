package rig

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// Follower is a Stream for a test that says step by step what must come next.
type Follower struct {
	t      testing.TB
	name   string
	ask    Ask
	stream *Stream
	events chan sse.Event
	beats  chan struct{} // heartbeats, as far as somebody waits for them
	ended  chan struct{} // closed at the end of the stream
	err    error         // why; after ended

	LastEventID string // what a browser would send now
}

// Follow opens a stream that must be granted.
func Follow(t testing.TB, p *Pod, ask Ask) *Follower {
	t.Helper()
	return FollowAddr(t, p.Addr, ask)
}

// FollowAddr is Follow through something else than a pod's own port.
func FollowAddr(t testing.TB, addr string, ask Ask) *Follower {
	t.Helper()
	f := &Follower{
		t: t, ask: ask, name: strings.Join(ask.Topics, "+") + " at " + addr,
		events: make(chan sse.Event), beats: make(chan struct{}), ended: make(chan struct{}),
		LastEventID: ask.LastEventID,
	}
	ask.OnComment = func(text string) {
		select {
		case f.beats <- struct{}{}:
		default:
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	var err error
	if f.stream, err = Open(ctx, addr, ask); err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	t.Cleanup(f.Close)
	if f.stream.Status != http.StatusOK {
		body, _ := io.ReadAll(f.stream.Body)
		t.Fatalf("%s: want 200, got %d: %s", f.name, f.stream.Status, body)
	}
	go f.read(t.Context())
	return f
}

func (f *Follower) read(ctx context.Context) {
	defer close(f.ended)
	for {
		e, err := f.stream.Next()
		if err != nil {
			f.err = err
			return
		}
		select {
		case f.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// Close closes the connection from the client's side.
func (f *Follower) Close() {
	f.stream.Close()
	for {
		select {
		case <-f.events:
		case <-f.ended:
			return
		}
	}
}

// Again opens the stream anew on another pod, from where it was.
func (f *Follower) Again(p *Pod) *Follower {
	f.t.Helper()
	f.Close()
	ask := f.ask
	ask.LastEventID = f.LastEventID
	return Follow(f.t, p, ask)
}

// Header returns the header of the answer.
func (f *Follower) Header() http.Header { return f.stream.Header }

// Next returns the next event, whatever it is.
func (f *Follower) Next() sse.Event {
	f.t.Helper()
	select {
	case e := <-f.events:
		f.LastEventID = e.ID
		return e
	case <-f.ended:
		f.t.Fatalf("%s: the stream ended instead of bringing an event: %v", f.name, f.err)
	case <-time.After(Patience):
		f.t.Fatalf("%s: no event within %v", f.name, Patience)
	}
	return sse.Event{}
}

// NextOrEnd returns the next event, or false at the end of the stream.
func (f *Follower) NextOrEnd() (sse.Event, bool) {
	f.t.Helper()
	select {
	case e := <-f.events:
		f.LastEventID = e.ID
		return e, true
	case <-f.ended:
		return sse.Event{}, false
	case <-time.After(Patience):
		f.t.Fatalf("%s: neither event nor end within %v", f.name, Patience)
	}
	return sse.Event{}, false
}

// Opened reads the first block, and returns the position in it.
func (f *Follower) Opened() string {
	f.t.Helper()
	if e := f.Next(); e.Type != "gateway.open" || e.Data != "{}" || e.ID == "" || e.Retry == 0 {
		f.t.Fatalf("%s: want gateway.open with an id, retry and data {}, got %+v", f.name, e)
	}
	return f.LastEventID
}

// Want reads the events that must come next, given by their data.
func (f *Follower) Want(data ...string) {
	f.t.Helper()
	for i, want := range data {
		if e := f.Next(); e.Data != want || strings.HasPrefix(e.Type, "gateway.") {
			f.t.Fatalf("%s: want event %d of %d, %q, got %+v", f.name, i+1, len(data), want, e)
		}
	}
}

// Control reads a control event of a kind, and returns it.
func (f *Follower) Control(kind string) sse.Event {
	f.t.Helper()
	e := f.Next()
	if e.Type != "gateway."+kind {
		f.t.Fatalf("%s: want gateway.%s, got %+v", f.name, kind, e)
	}
	return e
}

// Heartbeat waits for the next heartbeat. An event before it is a failure.
func (f *Follower) Heartbeat() {
	f.t.Helper()
	select {
	case <-f.beats:
	case e := <-f.events:
		f.t.Fatalf("%s: want a heartbeat, got %+v", f.name, e)
	case <-f.ended:
		f.t.Fatalf("%s: want a heartbeat, the stream ended: %v", f.name, f.err)
	case <-time.After(Patience):
		f.t.Fatalf("%s: no heartbeat within %v", f.name, Patience)
	}
}

// CleanEnd waits for the end that tells clients not to come back.
func (f *Follower) CleanEnd() {
	f.t.Helper()
	if err := f.end(); !errors.Is(err, io.EOF) {
		f.t.Fatalf("%s: want a clean end, got %v", f.name, err)
	}
}

// Abort waits for the end that makes clients come back.
func (f *Follower) Abort() {
	f.t.Helper()
	if err := f.end(); errors.Is(err, io.EOF) {
		f.t.Fatalf("%s: want the stream to be aborted, it ended cleanly: no client would come back", f.name)
	}
}

func (f *Follower) end() error {
	f.t.Helper()
	select {
	case <-f.ended:
		return f.err
	case e := <-f.events:
		f.t.Fatalf("%s: want the end of the stream, got %+v", f.name, e)
	case <-time.After(Patience):
		f.t.Fatalf("%s: the stream has not ended within %v", f.name, Patience)
	}
	return nil
}

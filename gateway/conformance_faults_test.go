package gateway

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
)

// A suite that cannot fail proves nothing: each of these faults, on the way
// from the server to the client, must be found by the case that is about it.
func TestTransportCasesFindFaults(t *testing.T) {
	heartbeat := []byte(":\n")
	for _, f := range []struct {
		name string
		run  func(testing.TB, *rig)
		what func(w io.Writer) io.Writer
	}{
		{"a byte is missing", eventsIn10, rewrite("data: x", "data: ")},
		{"a byte is doubled", eventsIn10, rewrite("data: x", "data: xx")},
		{"an event is doubled", resumeInLog, rewrite("data: 7\n\n", "data: 7\n\ndata: 7\n\n")},
		{"an event is missing", resumeInHistory, rewrite("data: 1234\n\n", "\n\n")},
		{"a header is missing", headOf11, rewrite("X-Accel-Buffering: no\r\n", "")},
		{"a header comes twice", headOf11, rewrite("X-Accel-Buffering: no\r\n", "X-Accel-Buffering: no\r\nX-Accel-Buffering: no\r\n")},
		{"a header is spelt differently", headOf11, rewrite("Cache-Control", "cache-control")},
		{"the last chunk is missing", endsBy(endClosed, quiet, func(s *served) { s.only().end(endClosed) }), rewrite("0\r\n\r\n", "")},
		{"the last chunk comes twice", endsBy(endClosed, quiet, func(s *served) { s.only().end(endClosed) }), rewrite("0\r\n\r\n", "0\r\n\r\n0\r\n\r\n")},
		{"a cut stream has a last chunk", endsBy(endDrain, quiet, func(s *served) { drained(s.t, s.pod) }), atTheEnd("0\r\n\r\n")},
		{"the last words are missing", endsBy(endDrain, quiet, func(s *served) { drained(s.t, s.pod) }), rewrite("c\r\nretry: 1500\n\r\n", "")},
		{"a heartbeat inside an event", noBeatInsideAnEvent, insert(400_000, heartbeat)},
		{"a large event is short by a byte", largeEvent, remove(1_500_000)},
		{"a stop costs a byte", shortStops("HTTP/1.0"), remove(5000)},
		{"a cursor names another position", severalTopics, rewrite("id: 1", "id: 2")},
		{"the wrong transport", wrongTransport, nil},
	} {
		t.Run(f.name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("they are written for the direct transport's framing")
			}
			t.Parallel() // most wait for what does not come
			if f.what == nil {
				f.what = func(w io.Writer) io.Writer { return w }
			} else {
				f.run(t, &rig{direct: true, relay: func(w io.Writer) io.Writer { return w }}) // it is the fault that is noticed
			}
			c := &caught{TB: t}
			done := make(chan struct{})
			go func() { // which Fatal ends
				defer close(done)
				f.run(c, &rig{direct: true, relay: f.what, brief: true})
			}()
			<-done
			c.cleanUp()
			if len(c.said) == 0 {
				t.Error("nobody noticed")
			}
		})
	}
}

// wrongTransport is a suite that runs over the transport it is not about.
func wrongTransport(t testing.TB, r *rig) {
	o := quiet
	o.Portable = true
	r.start(t, o).open(ask("topic=a"))
}

// caught is a test whose failures are noted.
type caught struct {
	testing.TB
	said  []string
	later []func()
}

func (c *caught) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}
func (c *caught) Error(args ...any) { c.said = append(c.said, fmt.Sprintln(args...)) }
func (c *caught) Cleanup(f func())  { c.later = append(c.later, f) }

func (c *caught) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

func (c *caught) Fatal(args ...any) {
	c.Error(args...)
	runtime.Goexit()
}

func (c *caught) cleanUp() {
	for i := len(c.later) - 1; i >= 0; i-- {
		c.later[i]()
	}
}

// rewrite replaces what it sees within what is written at once.
func rewrite(old, new string) func(io.Writer) io.Writer {
	return func(w io.Writer) io.Writer {
		return writer(func(p []byte) error {
			_, err := w.Write(bytes.ReplaceAll(p, []byte(old), []byte(new)))
			return err
		})
	}
}

type writer func(p []byte) error

func (w writer) Write(p []byte) (int, error) { return len(p), w(p) }

// insert puts something in after n bytes, remove takes one out.
func insert(n int, what []byte) func(io.Writer) io.Writer {
	return func(w io.Writer) io.Writer {
		at := n
		return writer(func(p []byte) error {
			if 0 <= at && at < len(p) {
				p = bytes.Join([][]byte{p[:at], p[at:]}, what)
			}
			at -= len(p)
			_, err := w.Write(p)
			return err
		})
	}
}

func remove(n int) func(io.Writer) io.Writer {
	return func(w io.Writer) io.Writer {
		at := n
		return writer(func(p []byte) error {
			if 0 <= at && at < len(p) {
				p = append(bytes.Clone(p[:at]), p[at+1:]...)
			}
			at -= len(p)
			_, err := w.Write(p)
			return err
		})
	}
}

// atTheEnd adds to what has been written when it ends.
func atTheEnd(what string) func(io.Writer) io.Writer {
	return func(w io.Writer) io.Writer { return &afterwards{w, what} }
}

type afterwards struct {
	io.Writer
	what string
}

func (e *afterwards) Close() error {
	_, err := io.WriteString(e.Writer, e.what)
	return err
}

package client_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

func TestRunHandsOutEventsAndEndsAt204(t *testing.T) {
	s := serve(t, ends("id: 1\nevent: add\ndata: a\n\nid: 2\ndata: b\ndata: c\n\n"), noContent)
	c := newClient(t, s)
	var got []sse.Event
	err := c.Run(t.Context(), func(e sse.Event) error { got = append(got, e); return nil })
	want := []sse.Event{{ID: "1", Type: "add", Data: "a"}, {ID: "2", Data: "b\nc"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := s.count(); n != 2 {
		t.Errorf("%d requests; a plain end is followed by a reconnect, 204 by none", n)
	}
	if c.LastEventID() != "2" {
		t.Errorf("last event ID %q", c.LastEventID())
	}
}

func TestRunContinuesAfterTheLastEventItHandedOut(t *testing.T) {
	for name, first := range map[string]func(string) http.HandlerFunc{"plain end": ends, "cut": cuts} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, first("id: 1\ndata: a\n\n"), first("id: 2\ndata: b\n\n"), noContent)
			data, err := collect(t, newClient(t, s))
			if err != nil || !slices.Equal(data, []string{"a", "b"}) {
				t.Errorf("got %q, %v", data, err)
			}
			for n, want := range []string{"", "1", "2"} {
				if r, _ := s.request(t, n); r.Header.Get("Last-Event-ID") != want {
					t.Errorf("request %d: Last-Event-ID %q, want %q", n, r.Header.Get("Last-Event-ID"), want)
				}
			}
		})
	}
}

func TestAStreamCutInTheMiddleOfAnEventDeliversNoHalf(t *testing.T) {
	const stream = "id: 1\nevent: add\ndata: first\n\nid: 2\nevent: add\ndata: second\ndata: line\n\n"
	for cut := range len(stream) {
		s := serve(t, cuts(stream[:cut]), func(w http.ResponseWriter, r *http.Request) {
			switch id := r.Header.Get("Last-Event-ID"); id {
			case "":
				begin(w, stream)
			case "1":
				begin(w, "id: 2\nevent: add\ndata: second\ndata: line\n\n")
			default:
				t.Errorf("cut at %d: Last-Event-ID %q", cut, id)
			}
		}, noContent)
		data, err := collect(t, newClient(t, s))
		if err != nil || !slices.Equal(data, []string{"first", "second\nline"}) {
			t.Errorf("cut at %d: got %q, %v", cut, data, err)
		}
		s.Close()
	}
}

func TestAnIDWithoutAnEventMovesThePosition(t *testing.T) {
	s := serve(t, cuts("id: 7\n\nid: 8\n"), noContent)
	c := newClient(t, s)
	if data, err := collect(t, c); err != nil || len(data) != 0 {
		t.Errorf("got %q, %v", data, err)
	}
	if r, _ := s.request(t, 1); r.Header.Get("Last-Event-ID") != "7" {
		t.Errorf("Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
	}
}

func TestAnIDThatTheServerEmptiedIsNotSent(t *testing.T) {
	s := serve(t, cuts("id: 1\ndata: a\n\nid\ndata: b\n\n"), noContent)
	c := newClient(t, s, client.InitialID("0"))
	if data, err := collect(t, c); err != nil || len(data) != 2 {
		t.Errorf("got %q, %v", data, err)
	}
	if r, _ := s.request(t, 0); r.Header.Get("Last-Event-ID") != "0" {
		t.Errorf("first request: Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
	}
	if r, _ := s.request(t, 1); r.Header.Values("Last-Event-ID") != nil {
		t.Errorf("second request: Last-Event-ID %q", r.Header.Values("Last-Event-ID"))
	}
}

func TestEventsWithoutIDsKeepThePositionAcrossReconnects(t *testing.T) {
	s := serve(t, cuts("id: 1\ndata: a\n\n"), cuts("data: b\n\n"), noContent)
	if _, err := collect(t, newClient(t, s)); err != nil {
		t.Error(err)
	}
	if r, _ := s.request(t, 2); r.Header.Get("Last-Event-ID") != "1" {
		t.Errorf("Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
	}
}

func TestAnIDThatNoHeaderCanCarryEndsRunInsteadOfLosingThePosition(t *testing.T) {
	s := serve(t, cuts("id: 1\x012\ndata: a\n\n"), noContent)
	if _, err := collect(t, newClient(t, s)); err == nil || s.count() != 1 {
		t.Errorf("got %v after %d requests", err, s.count())
	}
}

func TestAnErrorOfTheHandlerEndsRunBeforeTheEvent(t *testing.T) {
	s := serve(t, ends("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"), ends("id: 2\ndata: b\n\n"), noContent)
	c := newClient(t, s)
	full := errors.New("disk full")
	err := c.Run(t.Context(), func(e sse.Event) error {
		if e.ID == "2" {
			return full
		}
		return nil
	})
	if err != full || c.LastEventID() != "1" {
		t.Errorf("got %v at %q", err, c.LastEventID())
	}
	data, err := collect(t, c) // goes on where the other one failed
	if err != nil || !slices.Equal(data, []string{"b"}) {
		t.Errorf("got %q, %v", data, err)
	}
	if r, _ := s.request(t, 1); r.Header.Get("Last-Event-ID") != "1" {
		t.Errorf("Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
	}
}

func TestErrStopEndsRunBehindTheEvent(t *testing.T) {
	s := serve(t, holds("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"))
	c := newClient(t, s)
	if err := c.Run(t.Context(), func(sse.Event) error { return client.ErrStop }); err != nil || c.LastEventID() != "1" {
		t.Errorf("got %v at %q", err, c.LastEventID())
	}
}

func TestTheCallersContextEndsRun(t *testing.T) {
	s := serve(t, holds("data: a\n\n"))
	ctx, cancel := context.WithCancel(t.Context())
	r := run(ctx, newClient(t, s, client.OnError(func(err error) client.Decision {
		t.Errorf("the end of the context was reported: %v", err)
		return client.Default
	})))
	r.next(t)
	cancel()
	if err := r.wait(t); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestEventsIsAnIterator(t *testing.T) {
	s := serve(t, ends("id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"), holds("id: 3\ndata: c\n\n"), status(http.StatusForbidden))
	c := newClient(t, s)
	var got []string
	for e, err := range c.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
		if e.ID == "2" {
			break
		}
	}
	for e, err := range c.Events(t.Context()) { // continues behind the last one
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Data)
		break
	}
	if !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
	if r, _ := s.request(t, 1); r.Header.Get("Last-Event-ID") != "2" {
		t.Errorf("Last-Event-ID %q", r.Header.Get("Last-Event-ID"))
	}
	var errs []error
	for _, err := range c.Events(t.Context()) {
		errs = append(errs, err)
	}
	var refused *client.ResponseError
	if len(errs) != 1 || !errors.As(errs[0], &refused) {
		t.Errorf("got %v, want one refusal", errs)
	}
}

func TestByTypeDispatchesUntypedEventsAsMessage(t *testing.T) {
	s := serve(t, ends("data: a\n\nevent: add\ndata: b\n\nevent: message\ndata: c\n\nevent: other\ndata: d\n\n"), noContent)
	got := map[string][]string{}
	to := func(name string) func(sse.Event) error {
		return func(e sse.Event) error { got[name] = append(got[name], e.Data); return nil }
	}
	err := newClient(t, s).Run(t.Context(), client.ByType(map[string]func(sse.Event) error{
		"message": to("message"), "add": to("add"), "": to("rest"),
	}))
	want := map[string][]string{"message": {"a", "c"}, "add": {"b"}, "rest": {"d"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := client.ByType(nil)(sse.Event{}); err != nil {
		t.Error(err)
	}
}

func TestCommentsAndOpeningsCanBeObserved(t *testing.T) {
	s := serve(t, ends(": hi\n:\n:\ndata: a\n\n"), ends(":\n"), noContent)
	var log []string
	c := newClient(t, s,
		client.OnOpen(func(r *http.Response) { log = append(log, "open "+r.Header.Get("Content-Type")) }),
		client.OnComment(func(text string) { log = append(log, "comment "+text) }))
	err := c.Run(t.Context(), func(e sse.Event) error { log = append(log, "event "+e.Data); return nil })
	want := []string{"open text/event-stream", "comment hi", "comment ", "comment ", "event a", "open text/event-stream", "comment "}
	if err != nil || !slices.Equal(log, want) {
		t.Errorf("got %q, %v", log, err)
	}
}

func TestAnEventOverTheLimitEndsRun(t *testing.T) {
	s := serve(t, ends("id: 1\ndata: a\n\nid: 2\ndata: "+string(make([]byte, 2000))+"\n\n"))
	c := newClient(t, s, client.MaxEventSize(1000))
	_, err := collect(t, c)
	var size *sse.SizeError
	if !errors.As(err, &size) || size.Limit != 1000 || c.LastEventID() != "1" {
		t.Errorf("got %v at %q", err, c.LastEventID())
	}
}

func TestCompressedStreamsArriveEventByEvent(t *testing.T) {
	taken := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", sse.ContentType)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		enc := sse.NewEncoder(z)
		for _, data := range []string{"a", "b"} {
			_ = enc.Encode(sse.Event{Data: data})
			_ = z.Flush()
			_ = http.NewResponseController(w).Flush()
			<-taken // the second is sent only when the first has been handed out
		}
		_ = z.Close()
	}, noContent)
	r := run(t.Context(), newClient(t, s))
	for _, want := range []string{"a", "b"} {
		if e := r.next(t); e.Data != want {
			t.Errorf("got %q, want %q", e.Data, want)
		}
		taken <- struct{}{}
	}
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

func TestAStreamOverHTTP2IsResumedAfterAReset(t *testing.T) {
	s := &server{}
	first := true
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("HTTP/%d", r.ProtoMajor)
		}
		if first {
			first = false
			cuts("id: 1\ndata: a\n\nid: 2\n")(w, r)
		}
		if id := r.Header.Get("Last-Event-ID"); id != "1" {
			t.Errorf("Last-Event-ID %q", id)
		}
		holds("id: 2\ndata: b\n\n")(w, r)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	c := newClient(t, s)
	var got []string
	for e, err := range c.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Data); e.Data == "b" {
			break
		}
	}
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
}

func TestAPanicOfTheHandlerLeavesTheClientUsable(t *testing.T) {
	s := serve(t, holds("data: a\n\n"), noContent)
	c := newClient(t, s)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = c.Run(t.Context(), func(sse.Event) error { panic("oops") })
	}()
	if _, err := collect(t, c); err != nil {
		t.Error(err)
	}
	c.Close()
}

func TestRunKnowsAPlainEndFromABrokenOne(t *testing.T) {
	s := serve(t, ends(""), cuts(""), noContent)
	var errs []error
	c := newClient(t, s, client.OnError(func(err error) client.Decision {
		errs = append(errs, err)
		return client.Default
	}))
	if _, err := collect(t, c); err != nil {
		t.Fatal(err)
	}
	if len(errs) != 2 || !errors.Is(errs[0], io.EOF) || !errors.Is(errs[1], io.ErrUnexpectedEOF) {
		t.Errorf("got %v; want one error per stream", errs)
	}
}

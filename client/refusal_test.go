package client_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ssegateway/sse-gateway/client"
)

func TestARefusalTellsStatusHeadersAndReason(t *testing.T) {
	s := serve(t, status(http.StatusUnauthorized))
	var told []error
	c := newClient(t, s, client.RetryFirst(), client.OnError(func(err error) client.Decision {
		told = append(told, err)
		return client.Default
	}))
	_, err := collect(t, c)
	var refused *client.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != 401 || refused.Header.Get("X-Why") != "because" || refused.Body != "told you so\n" {
		t.Fatalf("got %#v", err)
	}
	if len(told) != 1 || told[0] != err {
		t.Errorf("OnError was told %v", told)
	}
	if want := "client: GET " + s.URL + "/events: 401 Unauthorized: told you so"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestOnlyEventStreamsAreRead(t *testing.T) {
	for contentType, ok := range map[string]bool{
		"text/event-stream":                true,
		"text/event-stream; charset=utf-8": true,
		"text/event-stream;charset=x;;":    true,
		" Text/Event-Stream ;a=b":          true,
		"":                                 false,
		"text/html":                        false,
		"text/event-streams":               false,
		"application/json":                 false,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			if contentType == "" {
				w.Header()["Content-Type"] = nil // not even one that was guessed
			}
			send(w, "data: a\n\n")
		}, noContent)
		data, err := collect(t, newClient(t, s))
		var refused *client.ResponseError
		switch {
		case ok && (err != nil || len(data) != 1):
			t.Errorf("%q: got %q, %v", contentType, data, err)
		case !ok && (!errors.As(err, &refused) || refused.StatusCode != 200 || len(data) != 0 || !strings.Contains(err.Error(), "Content-Type")):
			t.Errorf("%q: got %q, %v", contentType, data, err)
		}
	}
}

func TestOnErrorDecides(t *testing.T) {
	t.Run("give up", func(t *testing.T) {
		s := serve(t, cuts("data: a\n\n"))
		_, err := collect(t, newClient(t, s, client.OnError(func(error) client.Decision { return client.GiveUp })))
		if err == nil || s.count() != 1 {
			t.Errorf("got %v after %d requests", err, s.count())
		}
	})
	t.Run("retry what would end Run", func(t *testing.T) {
		s := serve(t, status(401), status(404), ends("data: a\n\n"), noContent)
		data, err := collect(t, newClient(t, s, client.OnError(func(error) client.Decision { return client.Retry })))
		if err != nil || !slices.Equal(data, []string{"a"}) || s.count() != 4 {
			t.Errorf("got %q, %v after %d requests", data, err, s.count())
		}
	})
}

func TestARefusedConnectionIsRetriedAfterAFirstSuccess(t *testing.T) {
	s := serve(t, cuts("id: 1\ndata: a\n\n"), ends("id: 2\ndata: b\n\n"), noContent)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int32
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if n := dials.Add(1); n == 2 || n == 3 {
				addr = nobody
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	refused := 0
	c := newClient(t, s, client.HTTPClient(&http.Client{Transport: tr}), client.OnError(func(err error) client.Decision {
		if errors.Is(err, syscall.ECONNREFUSED) {
			refused++
		}
		return client.Default
	}))
	data, err := collect(t, c)
	if err != nil || !slices.Equal(data, []string{"a", "b"}) || refused != 2 {
		t.Errorf("got %q, %v, %d refused", data, err, refused)
	}
}

func TestNeitherErrorsNorLogsRepeatWhatIsSecretInTheURL(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var told strings.Builder
	onError := client.OnError(func(err error) client.Decision {
		told.WriteString(err.Error())
		return client.Default
	})
	s := serve(t, cuts(""), func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, status(503), status(403))
	c, err := client.New(strings.Replace(s.URL, "//", "//user:hidden@", 1)+"/events?topic=a&token=hidden", quick(s, client.Logger(logger), onError)...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = collect(t, c)
	if err == nil || s.count() != 4 {
		t.Errorf("got %v after %d requests", err, s.count())
	}
	for _, text := range []string{log.String(), told.String(), err.Error()} {
		if strings.Contains(text, "hidden") || !strings.Contains(text, "/events") {
			t.Errorf("got %q", text)
		}
	}
	if strings.Count(log.String(), "event stream opened") != 1 || strings.Count(log.String(), "event stream lost") != 3 {
		t.Errorf("logged %s", log.String())
	}
}

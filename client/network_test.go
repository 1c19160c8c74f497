package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

// network is a RoundTripper for tests on false time (testing/synctest, which sockets have no part in).
// The nth request is answered by the nth step, the last one from then on.
type network struct {
	steps []step
	times []time.Time // of the requests
	open  int         // bodies not closed
}

type step func(n *network, r *http.Request) (*http.Response, error)

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.times = append(n.times, time.Now())
	return n.steps[min(len(n.times), len(n.steps))-1](n, r)
}

// pauses returns the times between the requests.
func (n *network) pauses() []time.Duration {
	var d []time.Duration
	for i := 1; i < len(n.times); i++ {
		d = append(d, n.times[i].Sub(n.times[i-1]))
	}
	return d
}

var errRefused = errors.New("connection refused")

func refuse(*network, *http.Request) (*http.Response, error) { return nil, errRefused }

// answer is a response that is complete at once.
func answer(code int, contentType, body string, header ...string) step {
	return func(n *network, r *http.Request) (*http.Response, error) {
		h := http.Header{}
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: code, Header: h, Request: r, Body: n.body(r, strings.NewReader(body))}, nil
	}
}

func stream(text string) step { return answer(200, sse.ContentType, text) }

var end = answer(204, "", "")

// lasts is a stream that brings text, then nothing for d, then ends.
func lasts(d time.Duration, text string) step { return brings(text, after(d)) }

// brings is a stream of pieces: texts and times.
func brings(pieces ...any) step {
	return func(n *network, r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: 200,
			Header:     http.Header{"Content-Type": {sse.ContentType}},
			Request:    r,
			Body:       n.body(r, &slow{ctx: r.Context(), pieces: pieces}),
		}, nil
	}
}

// deaf is a stream that brings text, then nothing, and does not heed its context, only Close.
func deaf(text string) step {
	return func(n *network, r *http.Request) (*http.Response, error) {
		pr, pw := io.Pipe()
		go io.WriteString(pw, text)
		n.open++
		return &http.Response{
			StatusCode: 200,
			Header:     http.Header{"Content-Type": {sse.ContentType}},
			Request:    r,
			Body:       &counted{Reader: pr, n: n, close: pr.Close},
		}, nil
	}
}

type after time.Duration

type slow struct {
	ctx    context.Context
	pieces []any
}

func (s *slow) Read(p []byte) (int, error) {
	for len(s.pieces) > 0 {
		piece := s.pieces[0]
		s.pieces = s.pieces[1:]
		switch piece := piece.(type) {
		case string:
			if piece != "" {
				return copy(p, piece), nil
			}
		case after:
			select {
			case <-time.After(time.Duration(piece)):
			case <-s.ctx.Done():
				return 0, s.ctx.Err()
			}
		}
	}
	return 0, io.EOF
}

func (n *network) body(r *http.Request, body io.Reader) io.ReadCloser {
	n.open++
	return &counted{Reader: body, n: n}
}

type counted struct {
	io.Reader
	n     *network
	close func() error // may be nil
	once  sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.n.open-- })
	if c.close != nil {
		return c.close()
	}
	return nil
}

// onFalseTime runs a client over a network of steps; Run's error is returned.
func onFalseTime(t *testing.T, steps []step, opts []client.Option, check func(n *network, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: steps}
		c, err := client.New("http://test/events", append([]client.Option{
			client.HTTPClient(&http.Client{Transport: n}), client.Jitter(0),
		}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Run(t.Context(), func(sse.Event) error { return nil })
		if n.open != 0 {
			t.Errorf("%d responses were not closed", n.open)
		}
		check(n, err)
	})
}

package client_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/client"
	"github.com/ssegateway/sse-gateway/sse"
)

func seconds(s ...float64) []time.Duration {
	var d []time.Duration
	for _, s := range s {
		d = append(d, time.Duration(s*float64(time.Second)))
	}
	return d
}

func TestPauses(t *testing.T) {
	tenToSixty := []client.Option{client.InitialRetry(10 * time.Second), client.MaxRetry(time.Minute), client.ResetAfter(time.Minute)}
	unavailable := answer(503, "", "")
	for _, c := range []struct {
		name  string
		opts  []client.Option
		steps []step
		want  []time.Duration
	}{
		{"double up to the cap", tenToSixty,
			[]step{stream(""), refuse, refuse, refuse, refuse, end}, seconds(10, 20, 40, 60, 60)},
		{"are three seconds, doubling to thirty, by default", nil,
			[]step{stream(""), refuse, refuse, refuse, refuse, refuse, end}, seconds(3, 6, 12, 24, 30, 30)},
		{"double after streams that ended at once too", tenToSixty,
			[]step{stream(""), stream(""), stream("data: a\n\n"), end}, seconds(10, 20, 40)},
		{"double after refusals that may heal", tenToSixty,
			[]step{stream(""), unavailable, answer(500, "", ""), answer(429, "", ""), end}, seconds(10, 20, 40, 60)},
		{"are short again after a stream that lived for the interval", tenToSixty,
			[]step{stream(""), refuse, lasts(time.Minute, ""), refuse, end}, seconds(10, 20, 60+10, 20)},
		{"are not short again after a stream that lived less", tenToSixty,
			[]step{stream(""), refuse, lasts(time.Minute-1, ""), end}, []time.Duration{10 * time.Second, 20 * time.Second, time.Minute - 1 + 40*time.Second}},
		{"are short again after any stream where the interval is 0", append(tenToSixty[:2:2], client.ResetAfter(0)),
			[]step{stream(""), refuse, stream(""), stream(""), end}, seconds(10, 20, 10, 10)},
		{"are what the server asks for, also after reconnects and failures", tenToSixty,
			[]step{stream("retry: 1000\n"), refuse, stream(""), stream(""), end}, seconds(1, 2, 4, 8)},
		{"begin anew when the server asks for a time", tenToSixty,
			[]step{stream(""), refuse, stream("retry: 5000\n\n"), refuse, stream("data: a\nretry: 2000\n\n"), end}, seconds(10, 20, 5, 10, 2)},
		{"are longer than the cap if the server asks for it", tenToSixty,
			[]step{stream("retry: 90000\n"), refuse, refuse, end}, seconds(90, 90, 90)},
		{"double from 100 ms where they begin at 0", []client.Option{client.InitialRetry(0)},
			[]step{stream(""), refuse, refuse, refuse, end}, seconds(0, 0.1, 0.2, 0.4)},
		{"double where the server asks for 0 each time", tenToSixty,
			[]step{stream("retry: 0\n"), stream("retry: 0\n"), stream("retry: 0\n"), end}, seconds(0, 0.1, 0.2)},
		{"are all 0 where the cap is", []client.Option{client.InitialRetry(0), client.MaxRetry(0)},
			[]step{stream(""), refuse, refuse, end}, seconds(0, 0, 0)},
		{"are at least what Retry-After says", tenToSixty,
			[]step{stream(""), answer(503, "", "", "Retry-After", "25"), answer(503, "", "", "Retry-After", "25"), end}, seconds(10, 25, 40)},
		{"take Retry-After as a date too", tenToSixty, // false time begins on 1 January 2000
			[]step{stream(""), answer(503, "", "", "Retry-After", "Sat, 01 Jan 2000 00:01:00 GMT"), end}, seconds(10, 50)},
		{"pass over a Retry-After that is none", tenToSixty,
			[]step{stream(""), answer(503, "", "", "Retry-After", "-5"), answer(503, "", "", "Retry-After", "Fri, 31 Dec 1999 00:00:00 GMT"), end}, seconds(10, 20, 40)},
		{"follow the first connection where it is to be retried", append(slices.Clone(tenToSixty), client.RetryFirst()),
			[]step{refuse, unavailable, stream(""), end}, seconds(10, 20, 40)},
	} {
		t.Run(c.name, func(t *testing.T) {
			onFalseTime(t, c.steps, c.opts, func(n *network, err error) {
				if got := n.pauses(); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("got %v, %v\nwant %v", got, err, c.want)
				}
			})
		})
	}
}

func TestJitterLengthensPausesBelowTheCap(t *testing.T) {
	steps := []step{stream("")}
	for range 200 {
		steps = append(steps, refuse)
	}
	steps = append(steps, end)
	onFalseTime(t, steps, []client.Option{client.InitialRetry(10 * time.Second), client.MaxRetry(time.Minute), client.Jitter(0.5)}, func(n *network, err error) {
		if err != nil {
			t.Error(err)
		}
		seen := map[time.Duration]bool{}
		for i, d := range n.pauses() {
			low := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second}[min(i, 2)]
			if d < low || d > low*3/2 {
				t.Errorf("pause %d is %v, want %v to %v", i, d, low, low*3/2)
			}
			seen[d] = true
		}
		if len(seen) < 100 {
			t.Errorf("only %d different pauses of 201", len(seen))
		}
	})
}

func TestJitterIsSafeWithoutAPauseAndWithTheLongest(t *testing.T) {
	full := client.Jitter(1)
	onFalseTime(t, []step{stream(""), end}, []client.Option{client.InitialRetry(0), full}, func(n *network, err error) {
		if d := n.pauses(); err != nil || len(d) != 1 || d[0] != 0 {
			t.Errorf("got %v, %v", d, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // 292 years, on which nothing can be added
		n := &network{steps: []step{stream("retry: 9223372036854\n"), end}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}), full)
		if err != nil {
			t.Fatal(err)
		}
		go c.Run(t.Context(), func(sse.Event) error { return nil })
		time.Sleep(100 * 365 * 24 * time.Hour)
		synctest.Wait()
		if len(n.times) != 1 {
			t.Errorf("it came back after %v", n.pauses())
		}
		c.Close()
	})
}

func TestTheFirstConnectionIsNotRetriedByDefault(t *testing.T) {
	for name, first := range map[string]step{"refused": refuse, "503": answer(503, "", "")} {
		t.Run(name, func(t *testing.T) {
			onFalseTime(t, []step{first, end}, nil, func(n *network, err error) {
				if err == nil || len(n.times) != 1 {
					t.Errorf("got %v after %d requests", err, len(n.times))
				}
			})
		})
	}
}

func TestMaxAttemptsBoundsFailuresInARow(t *testing.T) {
	opts := []client.Option{client.MaxAttempts(3), client.OnError(func(error) client.Decision { return client.Retry })}
	onFalseTime(t, []step{refuse, refuse, stream(""), refuse, stream(""), stream(""), stream(""), stream(""), refuse}, opts, func(n *network, err error) {
		if !errors.Is(err, errRefused) || len(n.times) != 11 {
			t.Errorf("got %v after %d requests", err, len(n.times))
		}
	})
}

func TestAReadTimeoutReconnects(t *testing.T) {
	minute := client.ReadTimeout(time.Minute)
	var errs []error
	onError := client.OnError(func(err error) client.Decision { errs = append(errs, err); return client.Default })
	noHead := func(_ *network, r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for _, c := range []struct {
		name     string
		steps    []step
		want     []time.Duration
		timeouts int
	}{
		{"when nothing comes", []step{lasts(time.Hour, ""), end}, seconds(60 + 3), 1},
		{"when no more comes", []step{brings(after(50*time.Second), "data: a\n\n", after(time.Hour)), end}, seconds(50 + 60 + 3), 1},
		{"when half an event comes", []step{brings("data: a\n", after(time.Hour)), end}, seconds(60 + 3), 1},
		{"when no head comes", []step{stream(""), noHead, end}, seconds(3, 60+6), 1},
		{"but not while heartbeats come", []step{
			brings(after(59*time.Second), ":\n", after(59*time.Second), ":\n", after(59*time.Second), ":\n"), end}, seconds(3*59 + 3), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			errs = nil
			onFalseTime(t, c.steps, []client.Option{minute, onError, client.ResetAfter(0)}, func(n *network, err error) {
				if got := n.pauses(); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("got %v, %v, want %v", got, err, c.want)
				}
				timeouts := 0
				for _, err := range errs {
					if errors.Is(err, client.ErrReadTimeout) {
						timeouts++
					}
				}
				if timeouts != c.timeouts || len(errs) != len(n.times)-1 {
					t.Errorf("errors %v, want one per loss, %d of them time-outs", errs, c.timeouts)
				}
			})
		})
	}
}

func TestTheReadTimeoutDoesNotCountTheHandlersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{steps: []step{brings("data: a\n\n", "data: b\n\n", "data: c\n\n"), end}}
		c, err := client.New("http://test/", client.HTTPClient(&http.Client{Transport: n}), client.ReadTimeout(time.Minute),
			client.Prepare(func(*http.Request) error { time.Sleep(time.Hour); return nil }),
			client.OnOpen(func(*http.Response) { time.Sleep(time.Hour) }),
			client.OnError(func(err error) client.Decision {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return client.Default
			}))
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		err = c.Run(t.Context(), func(sse.Event) error { time.Sleep(time.Hour); events++; return nil })
		if err != nil || events != 3 || len(n.times) != 2 {
			t.Errorf("got %v, %d events in %d streams", err, events, len(n.times))
		}
	})
}

func TestARefusalWhoseBodyNeverEndsIsReported(t *testing.T) {
	endless := func(n *network, r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 403, Header: http.Header{}, Request: r,
			Body: n.body(r, &slow{ctx: r.Context(), pieces: []any{"no", after(time.Hour)}})}, nil
	}
	onFalseTime(t, []step{endless}, nil, func(n *network, err error) {
		var refused *client.ResponseError
		if took := time.Since(n.times[0]); !errors.As(err, &refused) || refused.Body != "no" || took > time.Second {
			t.Errorf("got %v after %v", err, took)
		}
	})
	long := answer(403, "", strings.Repeat("x", 1<<20))
	onFalseTime(t, []step{long}, nil, func(_ *network, err error) {
		var refused *client.ResponseError
		if !errors.As(err, &refused) || len(refused.Body) != 4096 || len(err.Error()) > 200 {
			t.Errorf("got %v", err)
		}
	})
}

func TestStatusesThatMayHealAreRetriedOthersEndRun(t *testing.T) {
	for code, retried := range map[int]bool{
		201: false, 205: false, 206: false, 301: false, 304: false, 400: false, 401: false, 403: false, 404: false, 410: false,
		408: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true,
	} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			onFalseTime(t, []step{stream(""), answer(code, sse.ContentType, "data: not an event\n\n"), end}, nil, func(n *network, err error) {
				var refused *client.ResponseError
				switch {
				case retried && (err != nil || len(n.times) != 3):
					t.Errorf("got %v after %d requests; want a retry", err, len(n.times))
				case !retried && (!errors.As(err, &refused) || refused.StatusCode != code || len(n.times) != 2):
					t.Errorf("got %v after %d requests; want the end", err, len(n.times))
				}
			})
		})
	}
}

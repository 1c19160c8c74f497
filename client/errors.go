package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

var (
	// ErrStop is returned by a handle function to end [Client.Run] without an error. The event counts as
	// handled.
	ErrStop = errors.New("client: stop")

	// ErrReadTimeout says that a connection brought no byte for as long as [ReadTimeout] allows.
	ErrReadTimeout = errors.New("client: no byte within the read time-out")

	// ErrClosed is what [Client.Run] returns when it is called after [Client.Close].
	ErrClosed = errors.New("client: closed")

	// ErrRunning is what [Client.Run] returns when it is called while another Run is at work.
	ErrRunning = errors.New("client: already running")
)

var (
	errUnsendableID = errors.New("client: the last event ID has control characters and cannot be sent in a header")
	errRestart      = errors.New("client: restart")
	errNoContent    = errors.New("client: 204 No Content")
)

// ResponseError says that the server answered, but not with an event stream.
type ResponseError struct {
	StatusCode int           // 200 if the Content-Type was wrong or missing
	Header     http.Header   // of the response
	Body       string        // its first 4 KiB at most, as far as they came within a second
	RetryAfter time.Duration // from the Retry-After header; 0 if there was none

	request string
}

// Error implements error. It names the request without its query.
func (e *ResponseError) Error() string {
	if e.StatusCode == http.StatusOK {
		return fmt.Sprintf("client: %s: Content-Type is %q, not %s", e.request, e.Header.Get("Content-Type"), sse.ContentType)
	}
	msg := fmt.Sprintf("client: %s: %d %s", e.request, e.StatusCode, http.StatusText(e.StatusCode))
	if line, _, _ := strings.Cut(strings.TrimSpace(e.Body), "\n"); line != "" && len(line) <= 200 {
		msg += ": " + strings.TrimSpace(line)
	}
	return msg
}

// Temporary reports whether the same request may well succeed later: 408, 425, 429 and 5xx.
func (e *ResponseError) Temporary() bool {
	switch e.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.StatusCode >= 500
}

// temporary reports whether another attempt may help.
func temporary(err error) bool {
	var response *ResponseError
	if errors.As(err, &response) {
		return response.Temporary()
	}
	var size *sse.SizeError
	return !errors.As(err, &size) && !errors.Is(err, errUnsendableID)
}

// handleError is an error that the caller's handle function returned: not one of the stream.
type handleError struct{ err error }

func (e handleError) Error() string { return e.err.Error() }

// name describes a request without what may be secret in it: user and query.
func name(req *http.Request) string {
	u := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}
	return req.Method + " " + u.String()
}

// withoutURL takes off what net/http wraps around errors, because it repeats the whole URL.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// sendable reports whether net/http accepts id as a header's value: no control characters but tab.
func sendable(id string) bool {
	for i := range len(id) {
		if c := id[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

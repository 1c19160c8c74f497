// Package auth decides who may listen and who may publish. It knows nothing
// of Server-Sent Events and imports nothing of this module, so it can be used
// alone.
//
// Everything fails closed: an Authorizer that returns an error refuses.
package auth

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Action is what a request asks to be allowed.
type Action uint8

const (
	// Subscribe is to listen to topics and to ask for their cursors.
	Subscribe Action = iota
	// Publish is to add events to topics.
	Publish
)

// String returns subscribe or publish.
func (a Action) String() string {
	if a == Publish {
		return "publish"
	}
	return "subscribe"
}

// Authorizer turns a request into a Grant, once per request, before any part
// of the answer is sent. It may be called concurrently. A *Refusal as error
// is sent to the client as it says; any other error is answered 503, and what
// it says goes to the log alone.
type Authorizer interface {
	Authorize(ctx context.Context, r *http.Request) (Grant, error)
}

// AuthorizerFunc lets a function be an Authorizer.
type AuthorizerFunc func(ctx context.Context, r *http.Request) (Grant, error)

// Authorize calls f.
func (f AuthorizerFunc) Authorize(ctx context.Context, r *http.Request) (Grant, error) {
	return f(ctx, r)
}

// Grant is what the bearer of a request may do. The zero Grant allows nothing.
type Grant struct {
	Subject  string            // who it is; "" is nobody in particular
	Expires  time.Time         // the grant ends then; the zero time is never
	Topics   []string          // topics that the connection follows besides those it asks for
	Metadata map[string]string // the application's own

	// Allow decides on one topic. Nil allows nothing.
	Allow func(a Action, topic string) bool
}

// Allows reports whether the grant covers an action on a topic.
func (g Grant) Allows(a Action, topic string) bool { return g.Allow != nil && g.Allow(a, topic) }

// Refusal is a clear no.
type Refusal struct {
	Status  int         // 401: not known who asks; 403: known, and not allowed
	Message string      // for the client; never contains a credential
	Header  http.Header // sent along, for example WWW-Authenticate; may be nil
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

// Forbidden is the refusal of an action on a topic that a grant does not cover.
func Forbidden(a Action, topic string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Message: "not allowed to " + a.String() + " to topic " + topic}
}

// AsRefusal finds the refusal in err.
func AsRefusal(err error) (*Refusal, bool) {
	var r *Refusal
	ok := errors.As(err, &r)
	return r, ok
}

// Anonymous allows everybody everything.
func Anonymous() Authorizer {
	all := Grant{Allow: func(Action, string) bool { return true }}
	return AuthorizerFunc(func(context.Context, *http.Request) (Grant, error) { return all, nil })
}

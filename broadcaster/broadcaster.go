// Package broadcaster brings what is published on a topic to every connection
// of this pod that follows it.
//
// A topic that somebody follows has one tail: a window on the topic's stream,
// read once for all its connections. Whatever says that there is something
// new carries no data, it only makes the tail read:
//
//	 wake-up ──► tail ──► flusher ──► source (Redis: one XREAD for all tails)
//	                │                    │
//	connections ◄───┴── ring of frames ◄─┘
//
// So there is one way for data to flow, whoever published and however the pod
// heard of it, and a wake-up that is lost, doubled or late can only cost time.
package broadcaster

import (
	"context"
	"errors"

	"github.com/ssegateway/sse-gateway/stream"
)

// Broadcaster is what the gateway needs of a means to reach all pods.
// New and NewRedis make one; package broadcastertest holds the behaviour that
// each must show.
//
// All methods may be called concurrently. Those without a context do not wait
// for the network.
type Broadcaster interface {
	// Register makes a connection known. It is counted from here on.
	// After Close: ErrClosed.
	Register(c Conn) error

	// Unregister forgets a connection and everything it follows. With force
	// the connection is also told to end. Unknown connections are ignored.
	Unregister(c Conn, force bool)

	// Subscribe lets a registered connection follow a topic: c is woken after
	// every change of the log that is returned. The log may have no position
	// yet; then c is woken when it has. Following twice is following once.
	// Errors: ErrClosed, ErrNotRegistered.
	Subscribe(c Conn, t stream.Topic) (stream.Log, error)

	// Unsubscribe ends what Subscribe began. The log must not be read after.
	Unsubscribe(c Conn, t stream.Topic)

	// Broadcast publishes to stream.Everyone, the topic that every connection
	// of a deployment that opted in follows.
	Broadcast(ctx context.Context, m stream.Message) (stream.ID, error)

	// BroadcastTo stores m once in each topic, in the order given, and
	// returns the ids. Connections on any pod receive it. On an error the ids
	// of the topics before the failing one are returned. Errors: a
	// stream.Fault (nothing was stored anywhere), *stream.WrongTypeError, or
	// the network's, after which the entry may or may not be stored: nothing
	// is retried.
	BroadcastTo(ctx context.Context, m stream.Message, topics ...stream.Topic) ([]stream.ID, error)

	// ConnectionCount returns the number of registered connections.
	ConnectionCount(ctx context.Context) (Count, error)

	// TopicCount returns the number of topics that connections follow.
	TopicCount(ctx context.Context) (Count, error)

	// Close ends all connections with ErrClosed and stops. Later calls return
	// nil at once. What Close waits for is bounded by ctx.
	Close(ctx context.Context) error
}

// Count is a number of connections or topics.
type Count struct {
	Local int // on this pod
}

// Conn is a connection as a Broadcaster sees it. It must be comparable; a
// pointer is. Where there are many, its type should embed Membership.
type Conn interface {
	stream.Waker
	// End asks the connection to end because of err. It does not block.
	End(err error)
}

// Errors of a Broadcaster.
var (
	ErrClosed        = errors.New("broadcaster: closed")
	ErrNotRegistered = errors.New("broadcaster: connection is not registered")
	ErrForced        = errors.New("broadcaster: connection was unregistered by force")
)

// Package load is the clients' side of a measurement: one process, one thread
// and one epoll set hold all connections, read as cheaply as can be, and still
// look at every event: its number must be the next one of its connection.
package load

import (
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// Command is a request to the process. Connections belong to groups, which are
// made by connecting; a command is about one of them.
type Command struct {
	Op    Op
	Group string

	Connect Connect       // with OpConnect
	N       int           // with OpStop: how many; with OpNap: 1 or 0
	Events  int64         // with OpWait: so many since the last reset, or
	Number  uint64        // this one on every connection
	Reset   bool          // with OpReport: counters, afterwards
	Timeout time.Duration // of connecting and waiting
}

// Op says what to do.
type Op string

const (
	// OpConnect opens connections and waits until each has its first block.
	OpConnect Op = "connect"
	// OpReconnect cuts all connections at once, and opens them again where
	// they were.
	OpReconnect Op = "reconnect"
	// OpStop stops reading on some connections.
	OpStop Op = "stop"
	// OpResume goes on reading on all.
	OpResume Op = "resume"
	// OpClose closes all, and forgets the group.
	OpClose Op = "close"
	// OpNap makes the whole process look at its sockets every millisecond, so
	// that who writes to them wakes nobody (N = 1), or wait for them again (0).
	// Latency is that much longer.
	OpNap Op = "nap"
	// OpWait waits for events.
	OpWait Op = "wait"
	// OpReport returns counters.
	OpReport Op = "report"
)

// Mode is what a connection speaks.
type Mode string

const (
	// Events are those of a pod: GET /events.
	Events Mode = "events"
	// Raw are the same without request and answer's head: those of a floor.
	Raw Mode = "raw"
	// PubSub are messages of the channel PubSubChannel, from Redis.
	PubSub Mode = "pubsub"
)

// PubSubChannel is what a PubSub connection subscribes to.
const PubSubChannel = "floor"

// Connect says what to connect to. Connection i of all that the group has had
// asks for PerConnection topics from a circle of Topics: Prefix + number, where the
// numbers begin at First + i×PerConnection.
type Connect struct {
	Addr string
	N    int
	Mode Mode

	Prefix        string
	First         int
	Topics        int
	PerConnection int
	Cursors       []Cursor // if any: connection i comes back with number i of this circle
	Next          uint64   // the first event's number, if not 0, of those without a cursor

	InFlight      int     // connections not open yet, at most; 200 if 0
	Rate          float64 // connections a second, at most; 0 is as fast as can be
	ReceiveBuffer int     // SO_RCVBUF, if not 0
	LeaveAt       uint64  // the number of the event with which a client goes by itself, if not 0
	Unchecked     bool    // do not look at numbers: connections have more than one topic
}

// Cursor is where a client was: the id, and the number that comes next.
type Cursor struct {
	ID   string
	Next uint64
}

// Report is the answer to every command.
type Report struct {
	Open    int // connections, now
	Stopped int // of them
	Ended   int // by the other side, or by what it sent
	Left    int // by themselves

	Events   int64
	Bytes    int64
	Reads    int64 // read(2) with bytes
	Segments int64 // TCP segments with data: the other side's writes, nearly

	Skipped  int64 // numbers that did not come when they should have
	Repeated int64 // numbers that came when greater ones had come
	Controls map[string]int64
	Trouble  []string // what went wrong, the first few

	Latency stats.Latency // from the time in the payload
	Opening stats.Latency // from connecting to the first block
	Took    time.Duration // this command
}

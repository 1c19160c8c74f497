package gateway

import "time"

// end is why a stream ended. Every end has one, and it is a metric's label.
type end string

const (
	endClosed   end = "closed"        // nothing more will come: all is said
	endClient   end = "client"        // the client went away
	endTimeout  end = "write_timeout" // the client took nothing for too long
	endWrite    end = "write_error"   // the connection broke
	endDrain    end = "drain"         // this pod is going away
	endLifetime end = "lifetime"      // the connection was as old as it may get
	endForced   end = "forced"        // somebody unregistered it
	endShutdown end = "shutdown"      // the broadcaster was closed
	endOverload end = "overload"      // it took too little while others took too little
	endBehind   end = "behind"        // what was half sent is no longer to be had
)

// ends are all reasons, for the metrics.
var ends = []end{endClosed, endClient, endTimeout, endWrite, endDrain, endLifetime, endForced, endShutdown, endOverload, endBehind}

// endGrace is how long a client that takes nothing holds up the end of its
// stream, unless that is a clean one.
const endGrace = time.Second

// cut reports whether the stream ends, and not as a response that is complete.
func (e end) cut() bool { return e != "" && !e.clean() }

// clean reports whether the stream ends as a response that is complete. Every
// other end cuts it, so that the client comes back.
func (e end) clean() bool { return e == endClosed }

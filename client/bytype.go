package client

import "github.com/ssegateway/sse-gateway/sse"

// ByType returns a handle function for [Client.Run] that calls the function registered under an event's
// name. Events without a type have the name "message", as in a browser. Those under "" get all events
// whose name has no function; without one, these are passed over.
func ByType(handlers map[string]func(sse.Event) error) func(sse.Event) error {
	return func(e sse.Event) error {
		if handle := handlers[e.Name()]; handle != nil {
			return handle(e)
		}
		if handle := handlers[""]; handle != nil {
			return handle(e)
		}
		return nil
	}
}

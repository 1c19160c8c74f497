package sse

import "time"

// ContentType is the media type of an event stream (WHATWG HTML §9.2.5).
const ContentType = "text/event-stream"

// DefaultType is the type of an event that names none (WHATWG HTML §9.2.6).
const DefaultType = "message"

// Event is one event of a stream.
type Event struct {
	// ID is the position in the stream that this event brings the client to.
	// Encoding: "" writes no id field, and the client stays where it was; CR, LF and NUL are refused.
	// Decoding: the last event ID when the event was dispatched, which an earlier block may have set.
	ID string

	// Type is the name under which listeners get the event. "" means "message", see [Event.Name].
	// Encoding: CR and LF are refused. Decoding: "" if the block has no event field, or an empty one.
	Type string

	// Data is the payload, of any number of lines.
	// Encoding: CR, LF and CRLF each end a line. Decoding: lines are separated by LF.
	Data string

	// Retry is the reconnection time that this event's block carries.
	// Encoding: whole milliseconds, what is below 1 ms writes no retry field.
	// Decoding: 0 if the block has no valid retry field; [Decoder.Retry] tells "none" from "0".
	Retry time.Duration
}

// Name returns the type that a listener registers for: Type, or "message" if that is empty.
func (e Event) Name() string {
	if e.Type == "" {
		return DefaultType
	}
	return e.Type
}

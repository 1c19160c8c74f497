package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Entry is one entry of a stream as Redis holds it.
type Entry struct {
	ID     ID
	Fields []string // name, value, name, value, …, in the entry's order
}

// Size returns the bytes of names and values.
func (e Entry) Size() int {
	n := 0
	for _, f := range e.Fields {
		n += len(f)
	}
	return n
}

// Field names of an entry that is an SSE event, that is, one with FieldData.
// An entry without it is a domain entry: no name is special in it, and all
// its fields are sent as one JSON object.
const (
	FieldData        = "data"
	FieldEvent       = "event"
	FieldRetry       = "retry" // milliseconds
	FieldClose       = "close" // "1": the topic ends here
	FieldTraceparent = "traceparent"
	OwnFieldPrefix   = "~" // the gateway's own fields; never sent
)

// ControlPrefix begins the event types of the gateway's own control events.
// No publisher can use it.
const ControlPrefix = "gateway."

// Fault is why an entry cannot be sent. Such an entry is counted, logged and
// skipped; it never stops its topic.
type Fault string

// The reasons for which an entry is unsendable; they are metric labels.
const (
	FaultNotUTF8       Fault = "not_utf8"       // data, event or a domain field is not UTF-8
	FaultBadEvent      Fault = "bad_event"      // the event type contains CR or LF
	FaultReservedEvent Fault = "reserved_event" // the event type begins with "gateway."
	FaultTooLarge      Fault = "too_large"      // the entry is over the limit
)

// Error says what is wrong with the entry and what to do.
func (f Fault) Error() string {
	switch f {
	case FaultNotUTF8:
		return "the entry is not UTF-8: encode binary, for example as base64"
	case FaultBadEvent:
		return "the event type contains a line end"
	case FaultReservedEvent:
		return `event types beginning with "gateway." are the gateway's own: choose another`
	case FaultTooLarge:
		return "the entry is over the size limit: send a reference to the data instead"
	}
	return string(f)
}

// Message is what an application publishes through the Go API or over HTTP.
// The zero Message is an event with empty data.
type Message struct {
	Event       string        // type; "" is "message"
	Data        string        // UTF-8; may contain line ends
	Retry       time.Duration // reconnection time for clients; below 1 ms: none
	Close       bool          // the topic ends with this event
	Traceparent string        // W3C trace context, kept with the entry
}

// Fields returns the fields of the entry that carries m. The error is a Fault.
func (m Message) Fields() ([]string, error) {
	if f := eventFault(m.Event); f != "" {
		return nil, f
	}
	if !utf8.ValidString(m.Data) {
		return nil, FaultNotUTF8
	}
	fields := make([]string, 0, 10)
	if m.Event != "" {
		fields = append(fields, FieldEvent, m.Event)
	}
	fields = append(fields, FieldData, m.Data)
	if ms := m.Retry.Milliseconds(); ms > 0 {
		fields = append(fields, FieldRetry, strconv.FormatInt(ms, 10))
	}
	if m.Close {
		fields = append(fields, FieldClose, "1")
	}
	if m.Traceparent != "" {
		fields = append(fields, FieldTraceparent, m.Traceparent)
	}
	return fields, nil
}

func eventFault(event string) Fault {
	switch {
	case strings.ContainsAny(event, "\r\n"):
		return FaultBadEvent
	case strings.HasPrefix(event, ControlPrefix):
		return FaultReservedEvent
	case !utf8.ValidString(event):
		return FaultNotUTF8
	}
	return ""
}

// decoded is an entry as an SSE event.
type decoded struct {
	event, data string
	retry       time.Duration
	close       bool
}

// decode maps the fields of an entry to an event. Of a name that stands twice
// the last value counts.
func decode(e Entry) (d decoded, f Fault) {
	isEvent := false
	for i := 0; i+1 < len(e.Fields); i += 2 {
		isEvent = isEvent || e.Fields[i] == FieldData
	}
	if !isEvent {
		d.data, f = domainJSON(e.Fields)
		return d, f
	}
	for i := 0; i+1 < len(e.Fields); i += 2 {
		switch v := e.Fields[i+1]; e.Fields[i] {
		case FieldData:
			d.data = v
		case FieldEvent:
			d.event = v
		case FieldRetry:
			// As in a browser, a value that is not a number is no value.
			d.retry = 0
			if ms, err := strconv.ParseUint(v, 10, 64); err == nil && ms <= maxRetryMs {
				d.retry = time.Duration(ms) * time.Millisecond
			}
		case FieldClose:
			d.close = v == "1"
		}
	}
	if f := eventFault(d.event); f != "" {
		return decoded{}, f
	}
	if !utf8.ValidString(d.data) {
		return decoded{}, FaultNotUTF8
	}
	return d, ""
}

const maxRetryMs = uint64(1<<63-1) / uint64(time.Millisecond)

// domainJSON writes the fields as a JSON object of strings, in their order.
// Of a name that stands twice the last value counts, at the first's place.
func domainJSON(fields []string) (string, Fault) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	put := func(s string) {
		_ = enc.Encode(s)       // a string in a buffer cannot fail
		b.Truncate(b.Len() - 1) // the line end that Encode adds
	}
	seen := make(map[string]string, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		if strings.HasPrefix(fields[i], OwnFieldPrefix) {
			continue
		}
		if !utf8.ValidString(fields[i]) || !utf8.ValidString(fields[i+1]) {
			return "", FaultNotUTF8
		}
		seen[fields[i]] = fields[i+1]
	}
	b.WriteByte('{')
	for i := 0; i+1 < len(fields); i += 2 {
		v, ok := seen[fields[i]]
		if !ok {
			continue
		}
		delete(seen, fields[i])
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		put(fields[i])
		b.WriteByte(':')
		put(v)
	}
	b.WriteByte('}')
	return b.String(), ""
}

// UnsendableError is an entry that cannot be sent, with its place.
type UnsendableError struct {
	Topic Topic
	ID    ID
	Fault Fault
}

// Error names the topic, the id and the fault.
func (e *UnsendableError) Error() string {
	return fmt.Sprintf("topic %s, entry %s: %s", e.Topic, e.ID, e.Fault.Error())
}

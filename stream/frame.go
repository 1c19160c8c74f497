package stream

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/ssegateway/sse-gateway/sse"
)

// Kind says what a frame is.
type Kind uint8

const (
	// KindEvent is an entry that is sent.
	KindEvent Kind = iota
	// KindSkip is an entry that cannot be sent. It only moves positions.
	KindSkip
	// KindGap stands in a log where entries were trimmed before the pod could
	// read them: those after From, up to and including ID.
	KindGap
)

// Frame is one entry, encoded once and sent to every connection of its topic.
// It is immutable but for forms made on demand, and may be read by many
// goroutines.
type Frame struct {
	ID    ID   // of the entry
	From  ID   // KindGap: the last position before the gap
	Kind  Kind // what it is
	Close bool // the topic ends with this entry
	Fault Fault

	plain    encoding
	envelope atomic.Pointer[encoding] // made on first use
}

// Form is a way to write an event.
type Form uint8

const (
	// FormEvent is the event as published: event, retry and data fields.
	FormEvent Form = iota
	// FormEnvelope has no event field; its data is a JSON object with the
	// members topic, id, event and data, data being a string. For clients
	// that cannot listen to named events.
	FormEnvelope
)

// encoding is a frame's bytes, ready for HTTP/1.1 with chunked framing
// (RFC 9112 §7.1), so that a transport that frames by itself sends one run:
//
//	16\r\n id: 1700000000000-0\n \r\n 1b\r\n event: paid\ndata: {}\n\n \r\n
//	      └──── id line ─────┘            └──────── rest ────────┘
//
// A transport that does not frame sends the two parts alone; a connection to
// several topics replaces the first by an id line of its own.
type encoding struct {
	buf       []byte
	idStart   uint32 // of the id line
	idEnd     uint32 // after its line end
	restChunk uint32 // of the second chunk
	restStart uint32 // of the rest
	restEnd   uint32 // after its blank line
}

// DefaultMaxEntry is the default limit on the size of an entry, in bytes.
const DefaultMaxEntry = 4 << 20

// Encode makes the frame of an entry of at most max bytes (DefaultMaxEntry if
// max is 0). An entry that cannot be sent becomes a frame of KindSkip with
// its Fault.
func Encode(e Entry, max int) *Frame {
	if max <= 0 {
		max = DefaultMaxEntry
	}
	if e.Size() > max {
		return &Frame{ID: e.ID, Kind: KindSkip, Fault: FaultTooLarge}
	}
	d, fault := decode(e)
	if fault != "" {
		return &Frame{ID: e.ID, Kind: KindSkip, Fault: fault}
	}
	f := &Frame{ID: e.ID, Close: d.close}
	rest := make([]byte, 0, len(d.data)+len(d.event)+32)
	if d.event != "" {
		rest, _ = sse.AppendType(rest, d.event) // decode has checked it
	}
	rest = sse.AppendRetry(rest, d.retry)
	rest = sse.AppendData(rest, d.data)
	rest = append(rest, '\n')
	f.plain = encode(e.ID, rest)
	return f
}

// GapFrame marks trimmed history in a log: what came after from, up to id.
func GapFrame(from, id ID) *Frame { return &Frame{ID: id, From: from, Kind: KindGap} }

func encode(id ID, rest []byte) encoding {
	var line [MaxIDLen + 5]byte
	idLine := append(id.AppendTo(append(line[:0], "id: "...)), '\n')
	e := encoding{buf: make([]byte, 0, len(idLine)+len(rest)+24)}
	e.buf = appendChunkSize(e.buf, len(idLine))
	e.idStart = uint32(len(e.buf))
	e.buf = append(e.buf, idLine...)
	e.idEnd = uint32(len(e.buf))
	e.buf = append(e.buf, '\r', '\n')
	e.restChunk = uint32(len(e.buf))
	e.buf = appendChunkSize(e.buf, len(rest))
	e.restStart = uint32(len(e.buf))
	e.buf = append(e.buf, rest...)
	e.restEnd = uint32(len(e.buf))
	e.buf = append(e.buf, '\r', '\n')
	return e
}

func appendChunkSize(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, '\r', '\n')
}

// AppendChunk appends body as one chunk of HTTP/1.1 chunked framing. An empty
// body appends nothing, since an empty chunk would end the stream.
func AppendChunk(dst, body []byte) []byte {
	if len(body) == 0 {
		return dst
	}
	dst = appendChunkSize(dst, len(body))
	dst = append(dst, body...)
	return append(dst, '\r', '\n')
}

// frameOverhead is roughly what a Frame takes beside its bytes.
const frameOverhead = 112

// Size returns the bytes of memory the frame holds, forms on demand left out.
func (f *Frame) Size() int { return frameOverhead + cap(f.plain.buf) }

// IDLine returns the line "id: …\n" of the event.
func (f *Frame) IDLine() []byte { return f.plain.buf[f.plain.idStart:f.plain.idEnd] }

// Rest returns everything after the id line, the blank line included.
func (f *Frame) Rest(form Form, t Topic) []byte {
	e := f.encoding(form, t)
	return e.buf[e.restStart:e.restEnd]
}

// RestChunk returns Rest as one chunk of HTTP/1.1 chunked framing.
func (f *Frame) RestChunk(form Form, t Topic) []byte {
	e := f.encoding(form, t)
	return e.buf[e.restChunk:]
}

// Chunks returns the whole event, id line and rest, in chunked framing.
func (f *Frame) Chunks(form Form, t Topic) []byte { return f.encoding(form, t).buf }

func (f *Frame) encoding(form Form, t Topic) *encoding {
	if form == FormEvent {
		return &f.plain
	}
	if e := f.envelope.Load(); e != nil {
		return e
	}
	e := encode(f.ID, f.envelopeRest(t))
	f.envelope.CompareAndSwap(nil, &e)
	return f.envelope.Load()
}

// envelopeRest derives the envelope from the frame's own bytes, so that the
// entry need not be kept for a form that may never be asked for.
func (f *Frame) envelopeRest(t Topic) []byte {
	event, data, retry := f.parts()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(struct { // strings in a buffer cannot fail
		Topic Topic  `json:"topic"`
		ID    ID     `json:"id"`
		Event string `json:"event"`
		Data  string `json:"data"`
	}{t, f.ID, event, data})
	rest := append([]byte(nil), retry...)
	rest = sse.AppendData(rest, strings.TrimSuffix(b.String(), "\n"))
	return append(rest, '\n')
}

// parts takes the frame's own encoding apart again. Line ends in data come
// back as LF, as a client sees them.
func (f *Frame) parts() (event, data, retryLine string) {
	event = "message"
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(f.Rest(FormEvent, "")), "\n\n"), "\n") {
		switch name, value, _ := strings.Cut(line, ": "); name {
		case "event":
			event = value
		case "retry":
			retryLine = line + "\n"
		case "data":
			lines = append(lines, value)
		}
	}
	return event, strings.Join(lines, "\n"), retryLine
}

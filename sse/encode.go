package sse

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// FieldError says that a value cannot stand in a field of one line: sent as it is, it would end the
// line and begin another field.
type FieldError struct {
	Field  string // "id" or "event"
	Offset int    // in bytes, of the first byte that cannot stand in the value
	Byte   byte   // that byte: CR, LF or, in an id only, NUL
}

// Error implements error. It does not repeat the value, which may be long or private.
func (e *FieldError) Error() string {
	return fmt.Sprintf("sse: field %s: character %q at offset %d is not allowed", e.Field, e.Byte, e.Offset)
}

// Append appends e as it stands on the wire, blank line included, in the order id, event, retry, data.
// There is always a data field, for without one a client dispatches nothing. If ID or Type cannot be
// sent, Append returns dst as it was and a [*FieldError]. It allocates only to grow dst.
//
// Bytes that are not UTF-8 are passed on; the receiver replaces them by U+FFFD.
func Append(dst []byte, e Event) ([]byte, error) {
	if i := invalidID(e.ID); i >= 0 {
		return dst, &FieldError{Field: "id", Offset: i, Byte: e.ID[i]}
	}
	if i := invalidType(e.Type); i >= 0 {
		return dst, &FieldError{Field: "event", Offset: i, Byte: e.Type[i]}
	}
	if e.ID != "" {
		dst = appendLine(dst, "id: ", e.ID)
	}
	if e.Type != "" {
		dst = appendLine(dst, "event: ", e.Type)
	}
	dst = AppendRetry(dst, e.Retry)
	dst = AppendData(dst, e.Data)
	return append(dst, '\n'), nil
}

// AppendID appends an id field, "id: 7\n". An empty id is written too: it makes the client forget its
// position. If [ValidID] refuses the id, AppendID returns dst as it was and a [*FieldError].
func AppendID[T ~string | ~[]byte](dst []byte, id T) ([]byte, error) {
	if i := invalidID(id); i >= 0 {
		return dst, &FieldError{Field: "id", Offset: i, Byte: id[i]}
	}
	return appendLine(dst, "id: ", id), nil
}

// AppendType appends an event field, "event: added\n". An empty name is written too: it means "message".
// If [ValidType] refuses the name, AppendType returns dst as it was and a [*FieldError].
func AppendType[T ~string | ~[]byte](dst []byte, name T) ([]byte, error) {
	if i := invalidType(name); i >= 0 {
		return dst, &FieldError{Field: "event", Offset: i, Byte: name[i]}
	}
	return appendLine(dst, "event: ", name), nil
}

// AppendData appends one data field for each line of data, "data: first\ndata: second\n". CR, LF and
// CRLF each end a line, so "" is one empty line and "x\n" is two lines.
func AppendData(dst []byte, data string) []byte {
	return appendLines(dst, "data: ", "data: ", data)
}

// AppendRetry appends a retry field, "retry: 3000\n", of whole milliseconds. What is below 1 ms is
// left out.
func AppendRetry(dst []byte, d time.Duration) []byte {
	if d < time.Millisecond {
		return dst
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, d.Milliseconds(), 10)
	return append(dst, '\n')
}

// AppendComment appends one comment line for each line of text, ": first\n: second\n". An empty line is
// ":\n", the shortest sign of life there is. No text can become a field. Comments may stand anywhere
// between lines, so none ends a block.
func AppendComment(dst []byte, text string) []byte {
	return appendLines(dst, ": ", ":", text)
}

// ValidID reports whether id can be sent in an id field: it contains no CR, LF or NUL
// (a client ignores an id with NUL, WHATWG HTML §9.2.6).
func ValidID[T ~string | ~[]byte](id T) bool { return invalidID(id) < 0 }

// ValidType reports whether name can be sent in an event field: it contains no CR or LF.
func ValidType[T ~string | ~[]byte](name T) bool { return invalidType(name) < 0 }

// invalidID returns the offset of the first byte that an id must not contain, or -1.
func invalidID[T ~string | ~[]byte](id T) int {
	for i := range len(id) {
		if c := id[i]; c == '\n' || c == '\r' || c == 0 {
			return i
		}
	}
	return -1
}

// invalidType returns the offset of the first byte that a type must not contain, or -1.
func invalidType[T ~string | ~[]byte](name T) int {
	for i := range len(name) {
		if c := name[i]; c == '\n' || c == '\r' {
			return i
		}
	}
	return -1
}

func appendLine[T ~string | ~[]byte](dst []byte, prefix string, value T) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendLines appends each line of text behind prefix, or behind empty if there is nothing on it.
func appendLines(dst []byte, prefix, empty, text string) []byte {
	// The next CR is looked for only when the last one found has been passed: nearly no text has any,
	// and a search from each line on would read the rest of the text once per line.
	cr := strings.IndexByte(text, '\r')
	for {
		end := strings.IndexByte(text, '\n')
		if cr >= 0 && (end < 0 || cr < end) {
			end = cr
		}
		line := text
		if end >= 0 {
			line = text[:end]
		}
		if line == "" {
			dst = append(dst, empty...)
		} else {
			dst = append(dst, prefix...)
			dst = append(dst, line...)
		}
		dst = append(dst, '\n')
		if end < 0 {
			return dst
		}
		next := end + 1
		if text[end] == '\r' && next < len(text) && text[next] == '\n' {
			next++
		}
		text = text[next:]
		if cr >= next {
			cr -= next
		} else if cr >= 0 {
			cr = strings.IndexByte(text, '\r')
		}
	}
}

// maxKeptBuffer is the largest buffer, in bytes, that an Encoder or Decoder keeps after a large event.
const maxKeptBuffer = 1 << 20

// Encoder writes events to a writer, each by one Write, so that no event is cut by another goroutine's
// writes or left half in a buffer. It does not flush: over HTTP call [net/http.ResponseController.Flush],
// over gzip [compress/gzip.Writer.Flush]. Its methods must not be called at the same time.
type Encoder struct {
	w   io.Writer
	buf []byte
}

// NewEncoder returns an Encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Encode writes e as [Append] lays it out. A [*FieldError] means that nothing was written and that the
// stream is whole; any other error is the writer's.
func (enc *Encoder) Encode(e Event) error {
	b, err := Append(enc.buf[:0], e)
	if err != nil {
		return err
	}
	return enc.write(b)
}

// Comment writes text as [AppendComment] lays it out; "" is a heartbeat. The error is the writer's.
func (enc *Encoder) Comment(text string) error {
	return enc.write(AppendComment(enc.buf[:0], text))
}

func (enc *Encoder) write(b []byte) error {
	if cap(b) <= maxKeptBuffer {
		enc.buf = b
	} else {
		enc.buf = nil
	}
	_, err := enc.w.Write(b)
	return err
}

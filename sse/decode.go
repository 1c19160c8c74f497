package sse

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"time"
)

// DefaultMaxEventSize is the largest line, and the largest data of one event, that a [Decoder] accepts
// unless [MaxEventSize] says otherwise, in bytes.
const DefaultMaxEventSize = 16 << 20

const (
	minBuffer  = 4 << 10 // bytes first allocated for reading
	scanWindow = 2 << 10 // bytes looked through for one kind of line end before the other, see lineEnd
	maxEmpty   = 100     // reads without a byte or an error before the reader is held to be broken
)

// SizeError says that a line or an event is larger than the [Decoder] accepts. The rest of the stream
// cannot be decoded.
type SizeError struct {
	What  string // "line" or "data"
	Limit int    // in bytes
}

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("sse: %s of more than %d bytes", e.What, e.Limit)
}

// DecoderOption changes how [NewDecoder] sets up a [Decoder].
type DecoderOption func(*Decoder)

// MaxEventSize sets the largest line, without its line end but with a BOM if it has one, and the largest data of one event, in bytes.
// Above it Decode returns a [*SizeError]. n < 1 means [DefaultMaxEventSize].
func MaxEventSize(n int) DecoderOption {
	return func(d *Decoder) {
		if n >= 1 {
			d.max = n
		}
	}
}

// InitialID sets the last event ID that the stream begins with, for a stream that continues another.
func InitialID(id string) DecoderOption {
	return func(d *Decoder) { d.lastID, d.id = id, id }
}

// OnComment has fn called with the text of each comment line, without the colon and one space behind
// it. It is called within Decode, so it must not call the Decoder. Heartbeats are comments, usually empty.
func OnComment(fn func(text string)) DecoderOption {
	return func(d *Decoder) { d.onComment = fn }
}

// Decoder reads events from a stream as a browser does (WHATWG HTML §9.2.6). It reads ahead, so the
// reader is its own from then on, but it never waits for a byte that it does not need: a block ended by
// CR is dispatched before it is known whether LF follows. Its methods must not be called at the same time.
type Decoder struct {
	r         io.Reader
	max       int
	onComment func(string)

	// Read state: buf[start:end] has been read and not been used, buf[start:scanned] holds no line end.
	buf                 []byte
	start, scanned, end int
	err                 error // from the reader or of the stream; final once what was read is used up
	afterCR             bool  // the last line ended with CR: an LF that follows belongs to it
	begun               bool  // the first line is behind us, and with it the place for a BOM

	// The block so far: the buffers of WHATWG HTML §9.2.6.
	data    []byte // each data line and LF
	hasData bool
	typ     string
	id      string // the last event ID buffer, not committed before the block ends
	retry   time.Duration

	// The stream so far.
	lastType  string // kept because most events of a stream share a type
	lastID    string
	reconnect time.Duration
	hasRetry  bool
}

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader, opts ...DecoderOption) *Decoder {
	d := &Decoder{r: r, max: DefaultMaxEventSize}
	for _, opt := range opts {
		opt(d)
	}
	return d
}

// LastEventID returns the last event ID as of the last block that ended, dispatched or not; it is what
// a client sends as Last-Event-ID to go on from here. "" means that there is none, or that the server
// took it back.
func (d *Decoder) LastEventID() string { return d.lastID }

// Retry returns the reconnection time that the stream last asked for; ok is false if it never did.
func (d *Decoder) Retry() (retry time.Duration, ok bool) { return d.reconnect, d.hasRetry }

// Decode returns the next event that a browser would dispatch. Blocks without a data field are no
// events, but their id and retry fields count. At the end of the stream the error is [io.EOF], and an
// unfinished block is dropped together with its id. A [*SizeError] means that a limit was passed. Other
// errors are the reader's. An error is final: Decode then returns it again.
//
// The strings of the event are valid UTF-8; what was not in the stream became U+FFFD.
func (d *Decoder) Decode() (Event, error) {
	for {
		line, err := d.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			if err := d.field(line); err != nil {
				d.fail(err)
				return Event{}, err
			}
			continue
		}
		if e, ok := d.endBlock(); ok {
			return e, nil
		}
	}
}

// field takes in a line that is not blank.
func (d *Decoder) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		if len(d.data)+len(value) > d.max {
			return &SizeError{What: "data", Limit: d.max}
		}
		d.data = append(d.data, value...)
		d.data = append(d.data, '\n')
		d.hasData = true
	case "event":
		if string(value) != d.lastType {
			d.lastType = validUTF8(value)
		}
		d.typ = d.lastType
	case "id":
		if bytes.IndexByte(value, 0) < 0 && string(value) != d.id {
			d.id = validUTF8(value)
		}
	case "retry":
		if ms, ok := parseMillis(value); ok {
			d.retry, d.reconnect, d.hasRetry = ms, ms, true
		}
	case "":
		if d.onComment != nil { // a line that begins with a colon; an empty one does not come here
			d.onComment(validUTF8(value))
		}
	}
	return nil
}

// endBlock commits the block's id and returns its event, if it has one.
func (d *Decoder) endBlock() (e Event, ok bool) {
	d.lastID = d.id
	if ok = d.hasData; ok {
		e = Event{ID: d.id, Type: d.typ, Data: validUTF8(d.data[:len(d.data)-1]), Retry: d.retry}
	}
	if cap(d.data) > maxKeptBuffer {
		d.data = nil
	}
	d.data, d.hasData, d.typ, d.retry = d.data[:0], false, "", 0
	return e, ok
}

// readLine returns the next line without its end. The bytes are valid until the next call.
func (d *Decoder) readLine() ([]byte, error) {
	for {
		if d.afterCR && d.start < d.end {
			d.afterCR = false
			if d.buf[d.start] == '\n' {
				d.start++
				d.scanned = d.start
			}
		}
		i := lineEnd(d.buf[d.scanned:d.end])
		if i < 0 {
			d.scanned = d.end
		} else {
			i += d.scanned
		}
		if size := max(i, d.scanned) - d.start; size > d.max {
			err := &SizeError{What: "line", Limit: d.max}
			d.fail(err)
			return nil, err
		}
		if i >= 0 {
			line := d.buf[d.start:i]
			d.afterCR = d.buf[i] == '\r'
			d.start = i + 1
			d.scanned = d.start
			if !d.begun {
				d.begun = true
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			return line, nil
		}
		if err := d.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads at least one byte more into buf, or returns an error.
func (d *Decoder) fill() error {
	if d.err != nil {
		return d.err
	}
	d.makeRoom()
	for range maxEmpty {
		n, err := d.r.Read(d.buf[d.end:])
		d.end += n
		d.err = err
		if n > 0 {
			return nil // the error, if any, is for when these bytes are used up
		}
		if err != nil {
			return err
		}
	}
	d.err = io.ErrNoProgress
	return d.err
}

// makeRoom makes place for at least one byte behind buf[:end].
func (d *Decoder) makeRoom() {
	if d.start == d.end {
		d.start, d.scanned, d.end = 0, 0, 0
		if len(d.buf) > maxKeptBuffer {
			d.buf = nil
		}
	}
	if d.end < len(d.buf) {
		return
	}
	to := d.buf
	if d.start == 0 {
		to = make([]byte, max(minBuffer, 2*len(d.buf)))
	}
	d.end = copy(to, d.buf[d.start:d.end])
	d.scanned -= d.start
	d.start = 0
	d.buf = to
}

// fail makes err what Decode returns from now on.
func (d *Decoder) fail(err error) {
	d.err = err
	d.start, d.scanned, d.end = 0, 0, 0
}

// lineEnd returns the offset of the first LF or CR in b, or -1. It looks for one, then for the other, in
// pieces: over all of b, a stream with only one kind of them would be searched again for each line.
func lineEnd(b []byte) int {
	for off := 0; off < len(b); off += scanWindow {
		piece := b[off:min(off+scanWindow, len(b))]
		i := bytes.IndexByte(piece, '\n')
		if i >= 0 {
			piece = piece[:i]
		}
		if j := bytes.IndexByte(piece, '\r'); j >= 0 {
			i = j
		}
		if i >= 0 {
			return off + i
		}
	}
	return -1
}

// parseMillis reads a retry field's value: ASCII digits only, in ms. A time that does not fit
// [time.Duration] (292 years) is not taken.
func parseMillis(value []byte) (d time.Duration, ok bool) {
	const limit = math.MaxInt64 / int64(time.Millisecond)
	var ms int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		if ms = ms*10 + int64(c-'0'); ms > limit {
			return 0, false
		}
	}
	return time.Duration(ms) * time.Millisecond, len(value) > 0
}

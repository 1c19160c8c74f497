package stream

import "fmt"

// Page is a run of entries read from a topic's stream, from a position on.
//
//	Verdict     Start                          Entries
//	Contiguous  the position                   after it
//	Gap         the position before the first  from the first entry that is left;
//	            entry that is left             what came between is gone
//	Reset       the position, or the end of    after Start; they may not be what
//	            the history if nothing follows followed the position once
type Page struct {
	Verdict Verdict
	Start   ID
	Entries []Entry
	More    bool // the limit ended the page: there may be more up to the bound
}

// End returns the position after the page: its last entry, or Start.
func (p Page) End() ID {
	if n := len(p.Entries); n > 0 {
		return p.Entries[n-1].ID
	}
	return p.Start
}

// WrongTypeError is a topic whose key holds something else than a stream.
type WrongTypeError struct{ Key string }

// Error names the key and what to do.
func (e *WrongTypeError) Error() string {
	return fmt.Sprintf("key %s does not hold a stream: rename or delete it (TYPE %[1]s tells what it is), or publish under another topic", e.Key)
}

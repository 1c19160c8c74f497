package stream

import (
	"cmp"
	"errors"
	"math"
	"strconv"
)

// ID is the id of a Redis stream entry, written "ms-seq": two unsigned
// 64-bit numbers. Ids are ordered and otherwise opaque: Ms is a clock reading
// only where the publisher left the choice of the id to Redis.
// The zero ID, "0-0", is before every entry; no entry can have it.
type ID struct{ Ms, Seq uint64 }

// MaxID is the greatest id, at or after every entry.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// MaxIDLen is the length of the longest id as text.
const MaxIDLen = 41

var errID = errors.New(`stream: an id is two decimal numbers without leading zeros, "ms-seq"`)

// ParseID reads the canonical form that Redis prints and nothing else: no
// sign, no leading zero, both parts present.
func ParseID(s string) (ID, error) {
	dash := -1
	for i := 0; i < len(s); i++ {
		if s[i] == '-' {
			dash = i
			break
		}
	}
	if dash < 0 {
		return ID{}, errID
	}
	ms, ok1 := parseUint(s[:dash])
	seq, ok2 := parseUint(s[dash+1:])
	if !ok1 || !ok2 {
		return ID{}, errID
	}
	return ID{ms, seq}, nil
}

func parseUint(s string) (uint64, bool) {
	if s == "" || len(s) > 20 || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		d := uint64(s[i] - '0')
		if d > 9 {
			return 0, false
		}
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// AppendTo appends the text form of id to dst.
func (id ID) AppendTo(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.Ms, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// String returns "ms-seq".
func (id ID) String() string {
	var b [MaxIDLen]byte
	return string(id.AppendTo(b[:0]))
}

// MarshalText and UnmarshalText let ids stand in JSON as strings.
func (id ID) MarshalText() ([]byte, error) { return id.AppendTo(nil), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Compare returns -1, 0 or 1 as id is before, equal to or after other.
func (id ID) Compare(other ID) int {
	if c := cmp.Compare(id.Ms, other.Ms); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, other.Seq)
}

// Less reports whether id is before other.
func (id ID) Less(other ID) bool { return id.Compare(other) < 0 }

// IsZero reports whether id is 0-0.
func (id ID) IsZero() bool { return id == ID{} }

// Prev returns the numeric predecessor, the greatest id below this one.
// The predecessor of 0-0 is 0-0.
func (id ID) Prev() ID {
	switch {
	case id.Seq > 0:
		return ID{id.Ms, id.Seq - 1}
	case id.Ms > 0:
		return ID{id.Ms - 1, math.MaxUint64}
	}
	return ID{}
}

// Next returns the numeric successor. The successor of MaxID is MaxID.
func (id ID) Next() ID {
	switch {
	case id.Seq < math.MaxUint64:
		return ID{id.Ms, id.Seq + 1}
	case id.Ms < math.MaxUint64:
		return ID{id.Ms + 1, 0}
	}
	return MaxID
}

// MinID returns the lesser of two ids.
func MinID(a, b ID) ID {
	if b.Less(a) {
		return b
	}
	return a
}

package stream

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"strings"
)

// A cursor is what a client holds of its position: the SSE id, returned as
// Last-Event-ID. On a connection to one topic it is the plain id. On several
// it names a position for each:
//
//	1700000000000-0.AQJKtMC8…
//	└─ plain id ──┘ └ base64url of:
//
//	  salt    1 byte
//	  own     3 bytes   hash of the topic that the plain id belongs to
//	  base    uvarint   the least Ms of the positions that follow
//	  and for every other topic:
//	  hash    3 bytes
//	  ms      varint    Ms - base; bit 6 of the first byte: a seq follows
//	  seq     uvarint   only if not zero; ms 0 with seq 0 stands for 0-0
//
// The order of topics does not matter, since each component carries a hash of
// its topic's name. The salt is the first with which the hashes of the topics
// of the connection all differ. The suffix after the dot does not name the
// plain id, so it stays as it is until another topic moves.

// MaxCursorTopics is the greatest number of topics a cursor can name within
// MaxCursorLen bytes.
const MaxCursorTopics = 32

// MaxCursorLen is the greatest length of a cursor in bytes.
const MaxCursorLen = 1024

const (
	hashLen    = 3
	cursorMark = '.'
)

// ErrCursor is a cursor that the gateway did not write.
var ErrCursor = errors.New("stream: not a cursor of this gateway")

// Cursor is a parsed cursor. The zero Cursor names no topic.
type Cursor struct {
	plain  ID
	valid  bool
	vector bool
	salt   byte
	own    [hashLen]byte
	others []component
}

type component struct {
	hash [hashLen]byte
	id   ID
}

// ParseCursor reads a cursor. Errors are ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	if len(s) > MaxCursorLen {
		return Cursor{}, ErrCursor
	}
	plain, suffix, vector := strings.Cut(s, string(cursorMark))
	id, err := ParseID(plain)
	if err != nil {
		return Cursor{}, ErrCursor
	}
	c := Cursor{plain: id, valid: true, vector: vector}
	if !vector {
		return c, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(suffix)
	if err != nil || len(b) < 1+hashLen || strings.ContainsAny(suffix, "\r\n") { // which base64 passes over
		return Cursor{}, ErrCursor
	}
	c.salt = b[0]
	copy(c.own[:], b[1:])
	b = b[1+hashLen:]
	base, n := binary.Uvarint(b)
	if n <= 0 {
		return Cursor{}, ErrCursor
	}
	for b = b[n:]; len(b) > 0; {
		if len(b) < hashLen || len(c.others) == MaxCursorTopics {
			return Cursor{}, ErrCursor
		}
		var k component
		copy(k.hash[:], b)
		var ok bool
		if k.id, b, ok = readPosition(b[hashLen:], base); !ok {
			return Cursor{}, ErrCursor
		}
		c.others = append(c.others, k)
	}
	return c, nil
}

// Position returns the position that the cursor names for t. A plain id names
// no topic; first says that t is the one topic, or the first of those that
// the client asked for, and then a plain id is its position.
func (c Cursor) Position(t Topic, first bool) (ID, bool) {
	if !c.valid {
		return ID{}, false
	}
	if !c.vector {
		return c.plain, first
	}
	h := hash(t, c.salt)
	if h == c.own {
		return c.plain, true
	}
	for _, k := range c.others {
		if k.hash == h {
			return k.id, true
		}
	}
	return ID{}, false
}

// Vector writes the cursors of a connection to several topics. It holds what
// depends on the topics alone, and may be shared and used concurrently.
type Vector struct {
	salt   byte
	hashes [][hashLen]byte
}

// NewVector prepares cursors for topics, at most MaxCursorTopics, all
// different.
func NewVector(topics []Topic) *Vector {
	v := &Vector{hashes: make([][hashLen]byte, len(topics))}
	for salt := range 256 {
		v.salt = byte(salt)
		seen := make(map[[hashLen]byte]bool, len(topics))
		for i, t := range topics {
			v.hashes[i] = hash(t, v.salt)
			seen[v.hashes[i]] = true
		}
		if len(seen) == len(topics) {
			break
		}
	}
	return v
}

// AppendSuffix appends what follows the plain id in a cursor whose plain id
// is of topic own: the mark and the positions of all other topics. The
// positions in at are in the order of NewVector's topics.
func (v *Vector) AppendSuffix(dst []byte, own int, at []ID) []byte {
	base := uint64(math.MaxUint64)
	for i, id := range at {
		if i != own && !id.IsZero() {
			base = min(base, id.Ms)
		}
	}
	if base == math.MaxUint64 {
		base = 0 // nothing is measured from it, or one position that fits as well
	}
	var raw [MaxCursorLen]byte
	b := append(raw[:0], v.salt)
	b = append(b, v.hashes[own][:]...)
	b = binary.AppendUvarint(b, base)
	for i := range v.hashes {
		if i != own {
			b = append(b, v.hashes[i][:]...)
			b = appendPosition(b, base, at[i])
		}
	}
	dst = append(dst, cursorMark)
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// appendPosition writes Ms as its distance from base, modulo 2^64, least bits
// first: 6 bits in the first byte beside the mark that a seq follows, then 7
// in each. A topic without entries stands at 0-0, far from all clocks, and has
// a short form of its own.
func appendPosition(b []byte, base uint64, id ID) []byte {
	if id.IsZero() {
		return append(b, 0x40, 0)
	}
	d := id.Ms - base
	first := byte(d & 0x3f)
	if id.Seq != 0 {
		first |= 0x40
	}
	if d >>= 6; d != 0 {
		b = binary.AppendUvarint(append(b, first|0x80), d)
	} else {
		b = append(b, first)
	}
	if id.Seq != 0 {
		b = binary.AppendUvarint(b, id.Seq)
	}
	return b
}

func readPosition(b []byte, base uint64) (ID, []byte, bool) {
	if len(b) == 0 {
		return ID{}, nil, false
	}
	first := b[0]
	d := uint64(first & 0x3f)
	b = b[1:]
	if first&0x80 != 0 {
		high, n := binary.Uvarint(b)
		if n <= 0 || high > math.MaxUint64>>6 {
			return ID{}, nil, false
		}
		d |= high << 6
		b = b[n:]
	}
	id := ID{Ms: base + d}
	if first&0x40 != 0 {
		seq, n := binary.Uvarint(b)
		if n <= 0 {
			return ID{}, nil, false
		}
		b = b[n:]
		if seq == 0 {
			if d != 0 {
				return ID{}, nil, false
			}
			return ID{}, b, true
		}
		id.Seq = seq
	}
	return id, b, true
}

// hash is FNV-1a of the name, then mixed with the salt (the finalizer of
// MurmurHash3): equal on every pod and in every version.
func hash(t Topic, salt byte) (out [hashLen]byte) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t))
	x := h.Sum64() + uint64(salt)*0x9e3779b97f4a7c15
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	out[0], out[1], out[2] = byte(x), byte(x>>8), byte(x>>16)
	return out
}

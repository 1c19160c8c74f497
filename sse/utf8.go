package sse

import (
	"strings"
	"unicode/utf8"
)

// validUTF8 returns b as a string in which each maximal part of an ill-formed sequence is one U+FFFD, as
// the UTF-8 decoder of the Encoding Standard has it (WHATWG Encoding §8.1.1). [strings.ToValidUTF8]
// would make one of a whole run, and a conversion by way of runes one of each byte.
func validUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	s.Grow(len(b) + utf8.UTFMax)
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			s.Write(b[:n])
			b = b[n:]
			continue
		}
		s.WriteRune(utf8.RuneError)
		b = b[illFormed(b):]
	}
	return s.String()
}

// illFormed returns how many bytes at the beginning of b, where no well-formed sequence is, could begin
// one; at least 1. The ranges are those of Unicode's table 3-7.
func illFormed(b []byte) int {
	lo, hi := byte(0x80), byte(0xbf) // what the second byte may be
	var more int                     // bytes behind the first in a well-formed sequence
	switch c := b[0]; {
	case 0xc2 <= c && c <= 0xdf:
		more = 1
	case c == 0xe0:
		more, lo = 2, 0xa0
	case c == 0xed:
		more, hi = 2, 0x9f
	case 0xe1 <= c && c <= 0xef:
		more = 2
	case c == 0xf0:
		more, lo = 3, 0x90
	case 0xf1 <= c && c <= 0xf3:
		more = 3
	case c == 0xf4:
		more, hi = 3, 0x8f
	}
	n := 1
	for n <= more && n < len(b) && lo <= b[n] && b[n] <= hi {
		n++
		lo, hi = 0x80, 0xbf
	}
	return n
}

// Package wire makes and takes apart what travels in a measurement: payloads
// that carry a time and a number, and the chunked event streams around them.
package wire

import (
	"fmt"
	"strconv"
)

// PayloadSize is that of every event's data, in bytes.
const PayloadSize = 200

// A payload is
//
//	0         19 20       30 31            200
//	| time, ns  | number    | x x x x x … x |
//
// in decimal digits of fixed width, with a space after each.
const (
	timeDigits   = 19
	numberAt     = timeDigits + 1
	numberDigits = 10
	paddingAt    = numberAt + numberDigits + 1
)

// AppendPayload appends a payload that was made at ns (Unix time) and is the
// topic's event of that number.
func AppendPayload(b []byte, ns int64, number uint64) []byte {
	b = appendFixed(b, uint64(ns), timeDigits)
	b = append(b, ' ')
	b = appendFixed(b, number, numberDigits)
	b = append(b, ' ')
	for range PayloadSize - paddingAt {
		b = append(b, 'x')
	}
	return b
}

// ParsePayload returns what AppendPayload was given.
func ParsePayload(p []byte) (ns int64, number uint64, err error) {
	if len(p) != PayloadSize || p[timeDigits] != ' ' || p[paddingAt-1] != ' ' {
		return 0, 0, fmt.Errorf("not a payload of the bench: %.40q", p)
	}
	t, ok1 := digits(p[:timeDigits])
	number, ok2 := digits(p[numberAt : numberAt+numberDigits])
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("not a payload of the bench: %.40q", p)
	}
	return int64(t), number, nil
}

// AppendChunk appends an event as one chunk of an HTTP/1.1 answer, as a pod
// sends it to a connection with one topic.
func AppendChunk(b []byte, id string, payload []byte) []byte {
	size := len("id: \ndata: \n\n") + len(id) + len(payload)
	b = strconv.AppendInt(b, int64(size), 16)
	b = append(b, "\r\nid: "...)
	b = append(b, id...)
	b = append(b, "\ndata: "...)
	b = append(b, payload...)
	return append(b, "\n\n\r\n"...)
}

func appendFixed(b []byte, v uint64, width int) []byte {
	at := len(b)
	for range width {
		b = append(b, '0')
	}
	for i := at + width - 1; i >= at; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}

func digits(p []byte) (v uint64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

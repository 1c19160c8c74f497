package sse_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

// parsed is what a whole stream comes to.
type parsed struct {
	events   []sse.Event
	comments []string
	lastID   string
	retry    time.Duration
	hasRetry bool
}

// reference parses a whole stream, step by step as WHATWG HTML §9.2.6 tells it, with no eye to speed.
// It shares no code with the Decoder, so that what both agree on is not one mistake made once.
func reference(stream, initialID string) parsed {
	text := strings.TrimPrefix(decodeUTF8(stream), "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	lines := strings.Split(text, "\n")
	lines = lines[:len(lines)-1] // what follows the last line end is not a line

	p := parsed{lastID: initialID}
	var dataBuffer, typeBuffer string
	var blockRetry time.Duration
	idBuffer := initialID
	for _, line := range lines {
		if line == "" {
			p.lastID = idBuffer
			if dataBuffer != "" {
				p.events = append(p.events, sse.Event{
					ID:    p.lastID,
					Type:  typeBuffer,
					Data:  strings.TrimSuffix(dataBuffer, "\n"),
					Retry: blockRetry,
				})
			}
			dataBuffer, typeBuffer, blockRetry = "", "", 0
			continue
		}
		field, value, hasColon := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if hasColon && field == "" {
			p.comments = append(p.comments, value)
			continue
		}
		switch field {
		case "event":
			typeBuffer = value
		case "data":
			dataBuffer += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				idBuffer = value
			}
		case "retry":
			if strings.Trim(value, "0123456789") != "" {
				continue
			}
			ms, err := strconv.ParseInt(value, 10, 64)
			d := time.Duration(ms) * time.Millisecond
			if err == nil && d.Milliseconds() == ms {
				blockRetry, p.retry, p.hasRetry = d, d, true
			}
		}
	}
	return p
}

// decodeUTF8 is the UTF-8 decoder's handler of WHATWG Encoding §8.1.1, byte by byte.
func decodeUTF8(s string) string {
	var out []rune
	var codePoint rune
	var needed, seen int
	lower, upper := byte(0x80), byte(0xBF)
	for i := 0; i < len(s); {
		b := s[i]
		i++
		if needed == 0 {
			switch {
			case b <= 0x7F:
				out = append(out, rune(b))
			case 0xC2 <= b && b <= 0xDF:
				needed, codePoint = 1, rune(b&0x1F)
			case 0xE0 <= b && b <= 0xEF:
				if b == 0xE0 {
					lower = 0xA0
				}
				if b == 0xED {
					upper = 0x9F
				}
				needed, codePoint = 2, rune(b&0xF)
			case 0xF0 <= b && b <= 0xF4:
				if b == 0xF0 {
					lower = 0x90
				}
				if b == 0xF4 {
					upper = 0x8F
				}
				needed, codePoint = 3, rune(b&0x7)
			default:
				out = append(out, 0xFFFD)
			}
			continue
		}
		if b < lower || b > upper {
			codePoint, needed, seen = 0, 0, 0
			lower, upper = 0x80, 0xBF
			i-- // the byte is looked at again
			out = append(out, 0xFFFD)
			continue
		}
		lower, upper = 0x80, 0xBF
		codePoint = codePoint<<6 | rune(b&0x3F)
		if seen++; seen == needed {
			out = append(out, codePoint)
			codePoint, needed, seen = 0, 0, 0
		}
	}
	if needed != 0 {
		out = append(out, 0xFFFD)
	}
	return string(out)
}

func (p parsed) equal(q parsed) bool {
	return slices.Equal(p.events, q.events) && slices.Equal(p.comments, q.comments) &&
		p.lastID == q.lastID && p.retry == q.retry && p.hasRetry == q.hasRetry
}

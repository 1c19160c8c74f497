package wire

import (
	"bytes"
	"errors"
	"fmt"
)

// Handler is told what a Scanner finds. The slices are valid during the call.
type Handler interface {
	// Event is called for an event of a topic.
	Event(id, data []byte) error
	// Control is called for an event of the gateway's own, with the part of
	// its type behind "gateway.".
	Control(kind string, id []byte) error
}

type phase uint8

const (
	inHead    phase = iota // status line and headers
	inSize                 // a chunk's size
	inBody                 // its content
	afterBody              // the line end behind it
	inTrailer              // behind the last chunk
	atEnd
)

// Scanner reads the answer to a request for /events, in pieces that may end
// anywhere. The zero value expects the status line. It keeps no buffer of its
// own but for what is not complete yet, because a load process holds thousands.
type Scanner struct {
	phase  phase
	left   int    // bytes of the chunk still to come; its size while that is read
	digits int    // of the size, so far
	rest   []byte // of the head, or of a block of lines
}

// SkipHead makes the scanner expect the first chunk.
func (s *Scanner) SkipHead() { s.phase = inSize }

// Ended reports whether the last chunk has come: a clean end.
func (s *Scanner) Ended() bool { return s.phase == atEnd }

// Feed reads the next piece. scratch is memory to work in, used by any number
// of scanners in turn; it is returned because it may have grown.
func (s *Scanner) Feed(p, scratch []byte, h Handler) ([]byte, error) {
	if s.phase == inHead {
		var err error
		if p, err = s.readHead(p); err != nil || s.phase == inHead {
			return scratch, err
		}
	}
	body := append(scratch[:0], s.rest...)
	body, err := s.dechunk(p, body)
	if err != nil {
		return body, err
	}
	used, err := readBlocks(body, h)
	s.rest = append(s.rest[:0], body[used:]...)
	return body, err
}

// readHead returns what follows the head, once that is complete.
func (s *Scanner) readHead(p []byte) ([]byte, error) {
	const longest = 8 << 10
	s.rest = append(s.rest, p...)
	head, after, complete := bytes.Cut(s.rest, []byte("\r\n\r\n"))
	if !complete {
		if len(s.rest) > longest {
			return nil, errors.New("the head of an answer does not end")
		}
		return nil, nil
	}
	status, headers, _ := bytes.Cut(head, []byte("\r\n"))
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 200 ")) {
		return nil, fmt.Errorf("answered %q", status)
	}
	if !bytes.Contains(bytes.ToLower(headers), []byte("transfer-encoding: chunked")) {
		return nil, errors.New("the answer is not chunked")
	}
	s.phase, s.rest = inSize, nil
	return after, nil
}

// dechunk appends the content of chunks to body.
func (s *Scanner) dechunk(p, body []byte) ([]byte, error) {
	for len(p) > 0 {
		switch s.phase {
		case inBody:
			n := min(len(p), s.left)
			body, p = append(body, p[:n]...), p[n:]
			if s.left -= n; s.left == 0 {
				s.phase = afterBody
			}
			continue
		case inSize:
			if err := s.sizeByte(p[0]); err != nil {
				return body, err
			}
		case afterBody, inTrailer:
			switch p[0] {
			case '\r':
			case '\n':
				if s.phase == inTrailer {
					s.phase = atEnd
				} else {
					s.phase = inSize
				}
			default:
				return body, fmt.Errorf("%q where a chunk ends", p[0])
			}
		default:
			return body, errors.New("bytes after the last chunk")
		}
		p = p[1:]
	}
	return body, nil
}

func (s *Scanner) sizeByte(c byte) error {
	const mostDigits = 7
	switch {
	case '0' <= c && c <= '9':
		s.left = s.left<<4 | int(c-'0')
	case 'a' <= c && c <= 'f':
		s.left = s.left<<4 | int(c-'a'+10)
	case 'A' <= c && c <= 'F':
		s.left = s.left<<4 | int(c-'A'+10)
	case c == '\r' && s.digits > 0:
		return nil
	case c == '\n' && s.digits > 0:
		s.digits = 0
		if s.phase = inBody; s.left == 0 {
			s.phase = inTrailer
		}
		return nil
	default:
		return fmt.Errorf("%q in the size of a chunk", c)
	}
	if s.digits++; s.digits > mostDigits {
		return errors.New("a chunk is too large")
	}
	return nil
}

// readBlocks handles all complete blocks of lines, and returns how many bytes
// they are.
func readBlocks(b []byte, h Handler) (used int, err error) {
	var id, kind, data []byte
	for at := 0; ; {
		end := bytes.IndexByte(b[at:], '\n')
		if end < 0 {
			return used, nil
		}
		line := b[at : at+end]
		first := at == used // in its block
		at += end + 1
		switch {
		case len(line) == 0:
			used = at
			if data == nil {
				continue
			}
			if name, ours := bytes.CutPrefix(kind, []byte("gateway.")); ours {
				err = h.Control(string(name), id)
			} else {
				err = h.Event(id, data)
			}
			if err != nil {
				return used, err
			}
			id, kind, data = nil, nil, nil
		case line[0] == ':': // a heartbeat
			if first {
				used = at
			}
		case bytes.HasPrefix(line, []byte("id: ")):
			id = line[len("id: "):]
		case bytes.HasPrefix(line, []byte("data: ")):
			data = line[len("data: "):]
		case bytes.HasPrefix(line, []byte("event: ")):
			kind = line[len("event: "):]
		case bytes.HasPrefix(line, []byte("retry: ")):
		default:
			return used, fmt.Errorf("not a line of an event stream: %.40q", line)
		}
	}
}

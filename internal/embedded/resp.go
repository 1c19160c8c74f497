package embedded

import (
	"bufio"
	"bytes"
	"strconv"

	"github.com/alicebob/miniredis/v2/server"
)

// recorder carries out commands and keeps the replies, instead of sending
// them to a client.
type recorder struct {
	s    *Server
	peer *server.Peer
	buf  bytes.Buffer
}

func (s *Server) newRecorder() *recorder {
	r := &recorder{s: s}
	r.peer = server.NewPeer(bufio.NewWriter(&r.buf))
	s.peersMu.Lock()
	s.peers[r.peer] = nil // the hook lets it pass
	s.peersMu.Unlock()
	return r
}

// do carries out one command and returns the reply. It is valid until the
// next.
func (r *recorder) do(args ...string) reply {
	r.buf.Reset()
	r.s.srv.Dispatch(r.peer, args)
	r.peer.Flush()
	return r.buf.Bytes()
}

// doAs carries out a command for a client: in its database, transaction and
// version of the protocol.
func (r *recorder) doAs(p *server.Peer, cmd string, args []string) reply {
	r.peer.Ctx, r.peer.Resp3 = p.Ctx, p.Resp3
	out := r.do(append([]string{cmd}, args...)...)
	p.Ctx, p.Resp3 = r.peer.Ctx, r.peer.Resp3
	return out
}

// write returns what fn writes, in the protocol of p.
func (r *recorder) write(p *server.Peer, fn func(*server.Peer)) reply {
	r.buf.Reset()
	r.peer.Resp3 = p.Resp3
	fn(r.peer)
	r.peer.Flush()
	return r.buf.Bytes()
}

// reply is one reply in the Redis protocol, RESP2 or RESP3.
type reply []byte

func (r reply) isError() bool { return len(r) == 0 || r[0] == '-' }
func (r reply) isOK() bool    { return string(r) == "+OK\r\n" }

// integer returns the value of an integer reply, 0 for anything else.
func (r reply) integer() int {
	if len(r) < 4 || r[0] != ':' {
		return 0
	}
	n, _ := strconv.Atoi(string(r[1 : len(r)-2]))
	return n
}

// bulk returns the value of a bulk string reply.
func (r reply) bulk() (string, bool) {
	if len(r) == 0 || r[0] != '$' {
		return "", false
	}
	head := bytes.IndexByte(r, '\n') + 1
	if n, err := strconv.Atoi(string(r[1:max(head-2, 1)])); err != nil || n < 0 || head+n > len(r) {
		return "", false
	}
	return string(r[head : len(r)-2]), true
}

// elements returns the elements of an array or map reply; ok is false if it is
// neither.
func (r reply) elements() (list []reply, ok bool) {
	if len(r) == 0 {
		return nil, false
	}
	n, rest := r.header()
	switch {
	case n < 0 || bytes.IndexByte([]byte("*~>%"), r[0]) < 0:
		return nil, false
	case r[0] == '%':
		n *= 2
	}
	for range n {
		size := rest.size()
		if size == 0 {
			return nil, false
		}
		list = append(list, rest[:size])
		rest = rest[size:]
	}
	return list, true
}

// header returns the number in the first line and what is after the line.
func (r reply) header() (n int, rest reply) {
	end := bytes.IndexByte(r, '\n')
	if end < 2 {
		return -1, nil
	}
	n, err := strconv.Atoi(string(r[1 : end-1]))
	if err != nil {
		return -1, nil
	}
	return n, r[end+1:]
}

// size returns the length of the first reply in r, 0 if it is not whole.
func (r reply) size() int {
	end := bytes.IndexByte(r, '\n') + 1
	if end == 0 {
		return 0
	}
	switch r[0] {
	case '$', '=', '!':
		if n, _ := r.header(); n >= 0 {
			end += n + 2
		}
	case '*', '~', '>', '%', '|':
		n, _ := r.header()
		if r[0] == '%' || r[0] == '|' {
			n *= 2
		}
		for range n {
			size := r[min(end, len(r)):].size()
			if size == 0 {
				return 0
			}
			end += size
		}
	}
	if end > len(r) {
		return 0
	}
	return end
}

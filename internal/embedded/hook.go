package embedded

import (
	"slices"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
)

// session is what the hook knows of a client.
type session struct {
	db     int
	rec    *recorder
	script bool // a script's calls, not a client

	inTx  bool
	queue []command // of the transaction
}

// command is a command with its arguments; name is in upper case.
type command struct {
	name string
	args []string
}

// session returns the session of p, or nil if p is one of our recorders. A
// client's first command comes before miniredis has given it a context; the
// peer of a script's calls has one from the start.
func (s *Server) session(p *server.Peer) *session {
	s.peersMu.Lock()
	ss, known := s.peers[p]
	s.peersMu.Unlock()
	if known {
		return ss
	}
	if p.Ctx != nil {
		return &session{script: true, db: s.scriptDB, rec: s.script}
	}
	ss = &session{rec: s.newRecorder()}
	s.peersMu.Lock()
	s.peers[p] = ss
	s.peersMu.Unlock()
	p.OnDisconnect(func() {
		s.peersMu.Lock()
		delete(s.peers, ss.rec.peer)
		delete(s.peers, p)
		s.peersMu.Unlock()
	})
	return ss
}

// hook sees every command before miniredis does, and returns true if it has
// answered it. It runs on the goroutine of the client's connection; for calls
// of a script, on that of the client who runs it, who holds mu.
func (s *Server) hook(p *server.Peer, name string, args ...string) (done bool) {
	ss := s.session(p)
	if ss == nil {
		return false
	}
	c := command{name, args}
	switch {
	case ss.script:
		if !changes(c) && !isXInfoStream(c) {
			return false
		}
		ask := func(args ...string) reply { return ss.rec.doAs(p, args[0], args[1:]) }
		p.WriteRaw(s.carryOut(ask, ss, p, c))
		return true
	case ss.inTx:
		return s.hookTx(ss, p, c)
	}
	return s.hookClient(ss, p, c)
}

func (s *Server) hookClient(ss *session, p *server.Peer, c command) (done bool) {
	switch {
	case c.name == "MULTI":
		out := ss.rec.doAs(p, c.name, c.args)
		ss.inTx = out.isOK()
		p.WriteRaw(string(out))
	case c.name == "SELECT":
		out := ss.rec.doAs(p, c.name, c.args)
		if out.isOK() {
			ss.db, _ = strconv.Atoi(c.args[0])
		}
		p.WriteRaw(string(out))
	case c.name == "XLEN":
		// For a key of another type miniredis writes two replies.
		out := ss.rec.doAs(p, c.name, c.args)
		p.WriteRaw(string(out[:out.size()]))
	case c.name == "XREAD":
		return s.hookXRead(ss, p, c.args)
	case c.name == "INFO":
		p.WriteBulk(s.info(c.args))
	case c.name == "CONFIG":
		config(p, c.args)
	case c.name == "COMMAND" && len(c.args) > 0:
		// miniredis answers COMMAND DOCS with another list, of which redis-cli
		// dies. When it is refused, redis-cli asks in the old way.
		p.WriteError("ERR Unknown COMMAND subcommand '" + c.args[0] + "'")
	case c.name == "CLUSTER":
		p.WriteError("ERR This instance has cluster support disabled")
	case changes(c) || isScript(c) || isXInfoStream(c):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.scriptDB = ss.db
		out := s.carryOut(s.ask(ss.db), ss, p, c)
		s.publish()
		p.WriteRaw(out)
	default:
		return false
	}
	return true
}

// hookTx sees the commands between MULTI and EXEC.
func (s *Server) hookTx(ss *session, p *server.Peer, c command) (done bool) {
	switch c.name {
	case "QUIT":
		return false
	case "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE":
		p.WriteError("ERR " + c.name + " is not supported in a transaction")
	case "EXEC":
		s.mu.Lock()
		defer s.mu.Unlock()
		s.scriptDB = ss.db
		out := s.exec(ss, p, c)
		ss.inTx, ss.queue = false, nil
		s.publish()
		p.WriteRaw(out)
	case "DISCARD":
		out := ss.rec.doAs(p, c.name, c.args)
		ss.inTx, ss.queue = false, nil
		p.WriteRaw(string(out))
	default:
		checked, fault := normalize(c)
		if fault != "" {
			// Let the transaction fail, as Redis does.
			ss.rec.doAs(p, c.name, nil)
			p.WriteError(fault)
			return true
		}
		out := ss.rec.doAs(p, checked.name, checked.args)
		if string(out) == "+QUEUED\r\n" {
			ss.queue = append(ss.queue, checked)
		}
		p.WriteRaw(string(out))
	}
	return true
}

// exec carries out a transaction. What it changes is known from the replies.
func (s *Server) exec(ss *session, p *server.Peer, c command) string {
	changes := make([]*change, len(ss.queue))
	db := ss.db
	for i, queued := range ss.queue {
		if queued.name == "SELECT" {
			db, _ = strconv.Atoi(queued.args[0])
		}
		changes[i] = s.prepare(s.ask(db), db, queued)
	}
	out := slices.Clone(ss.rec.doAs(p, c.name, c.args))
	replies, ok := out.elements()
	if !ok || len(replies) != len(ss.queue) {
		return string(out) // discarded, or a watched key has changed
	}
	answer := []byte("*" + strconv.Itoa(len(replies)) + "\r\n")
	for i, r := range replies {
		queued := ss.queue[i]
		if queued.name == "SELECT" && r.isOK() {
			ss.db, _ = strconv.Atoi(queued.args[0])
		}
		s.apply(s.ask(ss.db), changes[i], r)
		if isXInfoStream(queued) && !r.isError() {
			// The entries named are those after the transaction.
			r = s.xinfo(s.ask(ss.db), p, ss.db, queued.args[1], r)
		}
		answer = append(answer, r...)
	}
	return string(answer)
}

// carryOut carries out a command outside of a transaction, and returns the
// reply for p. The caller holds mu.
func (s *Server) carryOut(ask asker, ss *session, p *server.Peer, c command) string {
	c, fault := normalize(c)
	if fault != "" {
		return "-" + fault + "\r\n"
	}
	ch := s.prepare(ask, ss.db, c)
	if ch.fault != "" {
		return "-" + ch.fault + "\r\n"
	}
	out := slices.Clone(ss.rec.doAs(p, c.name, c.args))
	if isXInfoStream(c) && !out.isError() {
		out = s.xinfo(ask, p, ss.db, c.args[1], out)
	}
	s.apply(ask, ch, out)
	return string(out)
}

// normalize checks the commands that miniredis checks badly.
func normalize(c command) (command, string) {
	switch c.name {
	case "XADD":
		a, fault := parseXAdd(c.args)
		if fault != "" {
			return c, fault
		}
		return command{c.name, a.args()}, ""
	case "XTRIM":
		key, t, fault := parseXTrim(c.args)
		if fault != "" {
			return c, fault
		}
		return command{c.name, append([]string{key}, t.args()...)}, ""
	}
	return c, ""
}

// changes reports whether c may change a stream or remove a key.
func changes(c command) bool {
	switch c.name {
	case "XADD", "XDEL", "XTRIM", "DEL", "UNLINK", "RENAME", "RENAMENX", "FLUSHALL", "FLUSHDB":
		return true
	}
	return false
}

func isScript(c command) bool {
	switch c.name {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO":
		return true
	}
	return false
}

// isXInfoStream reports whether c is XINFO STREAM key. With FULL it is left to
// miniredis.
func isXInfoStream(c command) bool {
	return c.name == "XINFO" && len(c.args) == 2 && strings.EqualFold(c.args[0], "STREAM")
}

// hookXRead refuses keys of other types, which miniredis passes over.
func (s *Server) hookXRead(ss *session, p *server.Peer, args []string) (done bool) {
	for i, a := range args {
		if !strings.EqualFold(a, "STREAMS") {
			continue
		}
		keys := args[i+1:]
		s.mu.Lock()
		defer s.mu.Unlock()
		ask := s.ask(ss.db)
		for _, key := range keys[:len(keys)/2] {
			if t := string(ask("TYPE", key)); t != "+stream\r\n" && t != "+none\r\n" {
				p.WriteError(errWrongType)
				return true
			}
		}
		return false
	}
	return false
}

const errWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"

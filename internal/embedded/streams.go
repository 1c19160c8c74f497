package embedded

import (
	"slices"
	"strconv"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/ssegateway/sse-gateway/stream"
)

// dbKey is a key in a database.
type dbKey struct {
	db  int
	key string
}

// counters are what Redis 7 counts for a stream and miniredis does not.
type counters struct {
	added      uint64
	maxDeleted stream.ID
	last       stream.ID // last generated; tells when another stream has taken the place
	length     int
}

// note is a keyspace notification to be published.
type note struct {
	dbKey
	event string
}

// asker carries out a command on behalf of the hook. The reply is valid until
// the next.
type asker func(args ...string) reply

// ask returns an asker for a database. The caller holds mu, and miniredis is
// carrying nothing out.
func (s *Server) ask(db int) asker {
	if s.selected != db {
		s.scratch.do("SELECT", strconv.Itoa(db))
		s.selected = db
	}
	return s.scratch.do
}

// sync returns the counters of a stream, nil if there is none. A stream that
// came about in another way than by XADD, by COPY or RESTORE, counts as never
// trimmed, like one that an older Redis has saved.
func (s *Server) sync(ask asker, k dbKey) *counters {
	pairs, ok := ask("XINFO", "STREAM", k.key).elements()
	if !ok {
		delete(s.streams, k)
		return nil
	}
	var length int
	var last stream.ID
	for i := 0; i+1 < len(pairs); i += 2 {
		switch name, _ := pairs[i].bulk(); name {
		case "length":
			length = pairs[i+1].integer()
		case "last-generated-id":
			id, _ := pairs[i+1].bulk()
			last, _ = parseID(id)
		}
	}
	if newest, ok := entryID(ask("XREVRANGE", k.key, "+", "-", "COUNT", "1")); ok && last.Less(newest) {
		last = newest
	}
	c := s.streams[k]
	if c == nil || c.last != last {
		c = &counters{added: uint64(length), last: last}
		s.streams[k] = c
	}
	c.length = length
	return c
}

// entryID returns the id of the first entry in a reply of XRANGE.
func entryID(r reply) (stream.ID, bool) {
	list, _ := r.elements()
	if len(list) == 0 {
		return stream.ID{}, false
	}
	entry, _ := list[0].elements()
	if len(entry) == 0 {
		return stream.ID{}, false
	}
	text, _ := entry[0].bulk()
	return parseID(text)
}

// change is a command that changes keys, and what was there before it.
type change struct {
	command
	db    int
	fault string // an error reply, in place of carrying it out

	present []string    // keys that DEL removes
	deleted []stream.ID // entries that XDEL removes
}

func (c *change) key() dbKey { return dbKey{c.db, c.args[0]} }

// prepare looks at what a command is going to change.
func (s *Server) prepare(ask asker, db int, c command) *change {
	ch := &change{command: c, db: db}
	if len(c.args) == 0 {
		return ch
	}
	switch c.name {
	case "XADD":
		if k := s.sync(ask, ch.key()); k != nil && !k.allows(c.args) {
			ch.fault = errTooSmall
		}
	case "XTRIM", "RENAME", "RENAMENX":
		s.sync(ask, ch.key())
	case "XINFO":
		s.sync(ask, dbKey{db, c.args[len(c.args)-1]})
	case "XDEL":
		s.sync(ask, ch.key())
		for _, text := range c.args[1:] {
			id, ok := parseID(text)
			if !ok {
				continue
			}
			if _, ok := entryID(ask("XRANGE", c.args[0], id.String(), id.String())); ok {
				ch.deleted = append(ch.deleted, id)
			}
		}
	case "DEL", "UNLINK":
		for _, key := range c.args {
			if ask("EXISTS", key).integer() == 1 {
				ch.present = append(ch.present, key)
			}
		}
	}
	return ch
}

// allows reports whether an XADD with an id of the caller's choice goes on
// from the last generated id. miniredis forgets ids with their entries.
func (k *counters) allows(xadd []string) bool {
	a, _ := parseXAdd(xadd)
	if id, ok := parseID(a.id); ok {
		return k.last.Less(id)
	}
	if ms, ok := cutAutomatic(a.id); ok {
		return ms >= k.last.Ms
	}
	return true
}

// apply takes in what a command has changed, by its reply.
func (s *Server) apply(ask asker, ch *change, r reply) {
	if r.isError() || len(ch.args) == 0 && ch.name != "FLUSHALL" && ch.name != "FLUSHDB" {
		return
	}
	switch ch.name {
	case "XADD":
		s.added(ask, ch, r)
	case "XDEL":
		if n := r.integer(); n > 0 {
			s.removed(ch, n)
			s.note(ch.db, ch.args[0], "xdel")
		}
	case "XTRIM":
		if n := r.integer(); n > 0 {
			s.counters(ch.key()).length -= n
			s.note(ch.db, ch.args[0], "xtrim")
		}
	case "DEL", "UNLINK":
		n := r.integer()
		if n != len(ch.present) { // a transaction made or removed some before
			ch.present = ch.args
		}
		if n == 0 {
			return
		}
		for _, key := range ch.present {
			delete(s.streams, dbKey{ch.db, key})
			s.note(ch.db, key, "del")
		}
	case "RENAME", "RENAMENX":
		from, to := ch.key(), dbKey{ch.db, ch.args[1]}
		if from == to || !r.isOK() && r.integer() == 0 {
			return
		}
		delete(s.streams, to)
		if c := s.streams[from]; c != nil {
			s.streams[to] = c
		}
		delete(s.streams, from)
		s.note(ch.db, from.key, "rename_from")
		s.note(ch.db, to.key, "rename_to")
	case "FLUSHALL":
		clear(s.streams) // Redis notifies nobody either
	case "FLUSHDB":
		for k := range s.streams {
			if k.db == ch.db {
				delete(s.streams, k)
			}
		}
	}
}

func (s *Server) added(ask asker, ch *change, r reply) {
	text, ok := r.bulk()
	id, valid := parseID(text)
	if !ok || !valid {
		return // NOMKSTREAM, and no stream
	}
	c := s.counters(ch.key())
	c.added++
	c.last = id
	c.length++
	s.note(ch.db, ch.args[0], "xadd")
	if a, _ := parseXAdd(ch.args); a.trim.strategy == "" {
		return
	}
	if n := ask("XLEN", ch.args[0]).integer(); n < c.length {
		c.length = n
		s.note(ch.db, ch.args[0], "xtrim")
	}
}

// removed counts n entries deleted by XDEL.
func (s *Server) removed(ch *change, n int) {
	c := s.counters(ch.key())
	c.length -= n
	if n != len(ch.deleted) { // a transaction added some of them before
		ch.deleted = nil
		for _, text := range ch.args[1:] {
			if id, ok := parseID(text); ok && !c.last.Less(id) {
				ch.deleted = append(ch.deleted, id)
			}
		}
	}
	if len(ch.deleted) > 0 {
		if id := slices.MaxFunc(ch.deleted, stream.ID.Compare); c.maxDeleted.Less(id) {
			c.maxDeleted = id
		}
	}
}

func (s *Server) counters(k dbKey) *counters {
	c := s.streams[k]
	if c == nil {
		c = &counters{}
		s.streams[k] = c
	}
	return c
}

// xinfo returns the reply to XINFO STREAM in full. short is that of miniredis.
func (s *Server) xinfo(ask asker, p *server.Peer, db int, key string, short reply) reply {
	c := s.counters(dbKey{db, key})
	var length int
	if pairs, _ := short.elements(); len(pairs) > 1 {
		length = pairs[1].integer()
	}
	groups, _ := ask("XINFO", "GROUPS", key).elements()
	first, firstID := entry(ask("XRANGE", key, "-", "+", "COUNT", "1"))
	last, _ := entry(ask("XREVRANGE", key, "+", "-", "COUNT", "1"))
	return s.answers.write(p, func(p *server.Peer) {
		number := func(name string, n int) {
			p.WriteBulk(name)
			p.WriteInt(n)
		}
		text := func(name string, id stream.ID) {
			p.WriteBulk(name)
			p.WriteBulk(id.String())
		}
		entry := func(name, raw string) {
			p.WriteBulk(name)
			if raw == "" {
				p.WriteNull()
			} else {
				p.WriteRaw(raw)
			}
		}
		p.WriteMapLen(10)
		number("length", length)
		number("radix-tree-keys", min(length, 1))
		number("radix-tree-nodes", min(length, 1)+1)
		text("last-generated-id", c.last)
		text("max-deleted-entry-id", c.maxDeleted)
		number("entries-added", int(c.added))
		text("recorded-first-entry-id", firstID)
		number("groups", len(groups))
		entry("first-entry", first)
		entry("last-entry", last)
	})
}

// entry returns the only entry of an XRANGE as it stands in the reply, and its
// id.
func entry(r reply) (raw string, id stream.ID) {
	id, ok := entryID(r)
	if !ok {
		return "", id
	}
	list, _ := r.elements()
	return string(list[0]), id
}

func (s *Server) note(db int, key, event string) {
	s.notes = append(s.notes, note{dbKey{db, key}, event})
}

// noteExpired drops streams that have gone by themselves.
func (s *Server) noteExpired() {
	for k := range s.streams {
		switch s.redis.DB(k.db).Type(k.key) {
		case "stream":
		case "":
			delete(s.streams, k)
			s.note(k.db, k.key, "expired")
		default:
			delete(s.streams, k)
		}
	}
}

// publish sends the notifications that are due. The caller holds mu.
func (s *Server) publish() {
	for _, n := range s.notes {
		s.redis.Publish("__keyspace@"+strconv.Itoa(n.db)+"__:"+n.key, n.event)
	}
	s.notes = s.notes[:0]
}

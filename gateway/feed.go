package gateway

import (
	"errors"

	"github.com/ssegateway/sse-gateway/replayer"
	"github.com/ssegateway/sse-gateway/stream"
)

// feed is a session's reading of one topic: first from the history, as far as
// the client is behind, then from the log that all connections share.
//
//	joining ──────────────── the log's head ────────────────┐
//	seeking ── history.seek ──► resuming ─── log.Seek ──────► live
//	                             │ ▲   ▲                       │
//	                history.page │ │   └─ behind, or forked ───┘
//	                             ▼ │
//	                            paging
type feed struct {
	log   stream.Log
	since *replayer.Since // seeking
	fault *string         // that the client has been told of; nil is none

	pos     stream.Position // what the client has been sent
	at      stream.ID       // the same as of the end of the batch that is being filled
	step    step
	stuck   bool // live: what comes next is not an event, and step deals with it
	checked bool // resuming, ahead of the log: the position was found to exist
	told    bool // the client was told that history is gone up to this position
}

type step uint8

const (
	joining  step = iota // waits for the log's first position
	seeking              // waits for the position of since
	resuming             // has a position, which is to be found in log or history
	paging               // has a position, and the history has a page with what follows
	live                 // has a position in the log
)

func (f *feed) topic() stream.Topic { return f.log.Topic() }

func (f *feed) placed() bool { return f.step >= resuming }

// resume continues after id, wherever that is.
func (f *feed) resume(id stream.ID) {
	f.told = f.told && id == f.pos.ID
	f.pos = stream.Position{ID: id}
	f.step, f.stuck, f.checked = resuming, false, false
}

// moved notes that the client has been sent the frame after pos.
func (f *feed) moved(id stream.ID) {
	f.pos.ID = id
	f.pos.Index++
	f.checked, f.told = false, false
}

// untold reports whether a page says that history is gone, and the client has
// not been told. A page read later from a position that was told of may say
// that more is gone by now.
func (f *feed) untold(pg *page) bool {
	return pg.at == f.pos.ID && pg.verdict != stream.Contiguous && (!f.told || pg.start != pg.at)
}

// step moves all feeds that can move without sending, and puts the control
// events that this takes into the outbox.
func (s *session) step(b *batch) {
	for i := range s.feeds {
		f := &s.feeds[i]
		for len(s.out) < maxOutbox && (f.step != live || f.stuck) && s.stepFeed(b, i) {
		}
	}
}

// stepFeed moves one feed by one step. It reports whether it moved.
func (s *session) stepFeed(b *batch, i int) (moved bool) {
	f := &s.feeds[i]
	switch f.step {
	case joining:
		return s.join(i)
	case seeking:
		id, ok := s.g.history.seek(f.topic(), *f.since, s)
		if ok {
			f.resume(id)
			s.at(i, id)
		}
		return ok
	}
	if !s.opened {
		return false // what is gone is told after the first block
	}
	if f.step != live {
		return s.place(b, i)
	}
	frames, err := f.log.Read(f.pos)
	f.stuck = err != nil || len(frames) > 0 && frames[0].Kind != stream.KindEvent
	switch {
	case errors.Is(err, stream.ErrForked):
		s.fork(b, i)
	case errors.Is(err, stream.ErrUnavailable):
		f.stuck = false
		s.tellFault(b, i)
		return false
	case err != nil:
		f.resume(f.pos.ID)
	case f.stuck:
		s.pass(b, i, frames[0])
	}
	return f.step != live || f.stuck
}

// pass moves a feed past a frame that is not sent as an event.
func (s *session) pass(b *batch, i int, fr *stream.Frame) {
	from := s.feeds[i].pos.ID
	s.feeds[i].moved(fr.ID)
	s.at(i, fr.ID)
	if fr.Kind == stream.KindGap {
		s.feeds[i].told = true
		s.tell(b, i, controlGap, lossData{Topic: s.feeds[i].topic(), From: &from, To: fr.ID})
	}
}

// stepPart looks for the rest of a frame that was sent in part, which may
// have left the log meanwhile. It reports whether it moved.
func (s *session) stepPart(i int) (moved bool) {
	f := &s.feeds[i]
	if f.step == live {
		frames, err := f.log.Read(f.pos)
		switch {
		case err == nil:
			return s.stillThere(frames)
		case errors.Is(err, stream.ErrUnavailable):
			return false
		}
		f.resume(f.pos.ID) // in another history its entry will be missing
		return true
	}
	if p, err := f.log.Seek(f.pos.ID); err == nil {
		f.pos, f.step = p, live
		return true
	}
	pg := s.page(f)
	switch {
	case pg == nil:
		return false
	case f.untold(pg):
		return s.stillThere(nil)
	}
	f.step = paging
	return s.stillThere(pg.frames[pg.after(f.pos.ID):])
}

// stillThere ends the session unless frames, which follow the position, begin
// with an event, as they did when a part of it was sent.
func (s *session) stillThere(frames []*stream.Frame) bool {
	if len(frames) > 0 && frames[0].Kind == stream.KindEvent {
		return true
	}
	s.giveUp()
	return false
}

// join takes the log's head for the position of a client that has none.
func (s *session) join(i int) bool {
	f := &s.feeds[i]
	st := f.log.State()
	switch {
	case st.Synced:
		f.pos, f.step = st.Head, live
	case st.Fault != "":
		// Nothing can be read under this key. The client's other topics do
		// not wait for it.
		f.resume(stream.ID{})
	default:
		return false
	}
	s.at(i, f.pos.ID)
	return true
}

// place looks for a position in the log, and in the history if it is not there.
func (s *session) place(b *batch, i int) (moved bool) {
	f := &s.feeds[i]
	f.step = resuming
	p, err := f.log.Seek(f.pos.ID)
	switch {
	case err == nil:
		f.pos, f.step = p, live
		return true
	case errors.Is(err, stream.ErrUnsynced):
		s.tellFault(b, i)
		return false
	case errors.Is(err, stream.ErrAhead) && f.checked:
		return false // the log will come past it
	}
	pg := s.page(f)
	if pg == nil {
		s.tellFault(b, i) // in case there never will be one
		return false
	}
	if f.untold(pg) {
		s.lost(b, i, pg.verdict, pg.start)
		return true
	}
	if first := pg.after(f.pos.ID); first < len(pg.frames) {
		if fr := pg.frames[first]; fr.Kind != stream.KindEvent {
			s.pass(b, i, fr)
			return true
		}
		f.step = paging // fill sends it
		return false
	}
	// Nothing is left, as far as was asked for. That position is the log's: of
	// the history only it can say whether it goes on there.
	if p, err := f.log.Seek(pg.covers); err == nil {
		f.pos, f.step = p, live
		s.at(i, pg.covers)
		return true
	}
	f.checked = errors.Is(err, stream.ErrAhead)
	return false
}

// lost tells the client that history is gone, and goes on after id.
func (s *session) lost(b *batch, i int, v stream.Verdict, id stream.ID) {
	f := &s.feeds[i]
	from := f.pos.ID
	f.resume(id)
	f.told = true
	s.at(i, id)
	kind := controlReset
	if v == stream.Gap {
		kind = controlGap
	}
	s.tell(b, i, kind, lossData{Topic: f.topic(), From: &from, To: id})
}

// page returns the history's page that goes on after the feed's position, or
// nil until it is there. Of a position beyond the log it tells only whether it
// exists.
func (s *session) page(f *feed) *page {
	head := f.log.State().Head
	upTo := f.pos.ID
	if upTo.Less(head.ID) {
		upTo = head.ID
	}
	return s.g.history.page(f.topic(), head.Epoch, f.pos.ID, upTo, s)
}

// fork takes a feed to the history that has replaced the one it was reading.
func (s *session) fork(b *batch, i int) {
	f := &s.feeds[i]
	fork := f.log.Fork(f.pos.Epoch)
	if fork.Common.Less(f.pos.ID) {
		s.lost(b, i, stream.Reset, stream.MinID(f.pos.ID, fork.Restart))
		return
	}
	f.resume(f.pos.ID)
}

// fill adds the frames of a feed to b. It reports whether there may be more.
func (s *session) fill(b *batch, i int) (again bool) {
	f := &s.feeds[i]
	switch f.step {
	case live:
		return s.fillLive(b, i)
	case paging:
		pg := s.page(f)
		if pg == nil || f.untold(pg) {
			return false // step waits for it, or deals with it
		}
		frames := pg.frames[pg.after(f.pos.ID):]
		s.writeAll(b, i, frames)
		return len(frames) > 0
	}
	return false
}

// fillLive adds what the log has.
func (s *session) fillLive(b *batch, i int) (again bool) {
	f := &s.feeds[i]
	frames, err := f.log.Read(f.pos)
	if err != nil {
		f.stuck = !errors.Is(err, stream.ErrUnavailable) || f.fault == nil
		return f.stuck
	}
	f.fault = nil
	return !s.writeAll(b, i, frames)
}

// writeAll adds frames to b. It reports false if it could not add all: b is
// full, or one is not sent as an event.
func (s *session) writeAll(b *batch, i int, frames []*stream.Frame) bool {
	for _, fr := range frames {
		switch {
		case fr.Kind != stream.KindEvent:
			s.feeds[i].stuck = true
			return false
		case b.full() && len(b.marks) > 0, !s.write(b, i, fr):
			return false
		}
	}
	return true
}

// write adds one frame to b. It reports whether there was room for all of it.
func (s *session) write(b *batch, i int, f *stream.Frame) bool {
	t := s.feeds[i].topic()
	s.at(i, f.ID)
	switch {
	case s.multi != nil:
		var line, chunk [stream.MaxCursorLen + 32]byte
		id := s.appendIDLine(line[:0], i)
		if b.frame {
			b.add(stream.AppendChunk(chunk[:0], id))
			b.add(f.RestChunk(s.form, t))
		} else {
			b.add(id)
			b.add(f.Rest(s.form, t))
		}
	case b.frame:
		b.add(f.Chunks(s.form, t))
	default:
		b.add(f.IDLine())
		b.add(f.Rest(s.form, t))
	}
	return b.close(i, f.ID)
}

// appendIDLine appends "id: <cursor>\n", the cursor being the session's
// position with feed i as the one that has just moved.
func (s *session) appendIDLine(dst []byte, i int) []byte {
	dst = s.feeds[i].at.AppendTo(append(dst, "id: "...))
	if m := s.multi; m != nil {
		if m.of != i {
			for k := range s.feeds {
				m.ids[k] = s.feeds[k].at
			}
			m.suffix = m.vector.AppendSuffix(m.suffix[:0], i, m.ids)
			m.of = i
		}
		dst = append(dst, m.suffix...)
	}
	return append(dst, '\n')
}

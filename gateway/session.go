package gateway

import (
	"errors"
	"sync/atomic"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// session is where one client stands in each of its topics. next, commit and
// finish are its connection's, never called at the same time; Wake and End may
// be called from anywhere.
//
// There are as many as there are clients, and most follow one topic and wait.
// So it is one object, with what most do not need left out of it, and what an
// event needs together.
type session struct {
	// All up to part, but for cause, is owned by the connection.
	cause   atomic.Pointer[end]
	feeds   []feed
	out     []byte // outbox: bytes that are in no log, framed
	outSent int32
	turn    int8 // the feed that is first in the next batch
	form    stream.Form
	opened  bool    // the first block is in the outbox, or has been sent
	final   bool    // the last bytes are in the outbox
	one     [1]feed // the feeds of most
	multi   *multi  // nil with one topic
	part    part    // a frame that was sent in part

	g        *Gateway
	notifier notifier
	broadcaster.Membership
	writing write
	index   int32 // in Gateway.sessions; its lock guards it
	control bool  // control events are sent
	bad     bool  // the client's cursor was not one
}

// part is how much of the next frame has been sent already.
type part struct {
	id    stream.ID
	bytes int32
	feed  int32
}

// multi is what a session with several topics needs to write its cursors.
type multi struct {
	vector *stream.Vector
	ids    []stream.ID // scratch
	suffix []byte      // of the cursor, for events of feed of
	of     int         // -1: to be made anew
}

// maxOutbox bounds the bytes in no log that wait for a client.
const maxOutbox = 64 << 10

// newSession makes the session of a subscription.
func newSession(g *Gateway, sub *subscription) *session {
	s := &session{}
	s.init(g, sub)
	return s
}

// init makes s the session of a subscription. Its feeds are not followed yet.
func (s *session) init(g *Gateway, sub *subscription) {
	s.g, s.form, s.control, s.bad = g, sub.form, sub.control, sub.badCursor
	s.feeds = s.one[:]
	if n := len(sub.topics); n > 1 {
		s.feeds = make([]feed, n)
		s.multi = &multi{vector: stream.NewVector(sub.topics), ids: make([]stream.ID, n), of: -1}
	}
	for i, t := range sub.topics {
		f := &s.feeds[i]
		if id, ok := sub.cursor.Position(t, i == 0); ok && sub.hasCursor {
			f.resume(id)
			f.at = id
		} else if sub.since != nil && !sub.badCursor {
			f.since, f.step = sub.since, seeking
		}
	}
}

// follow subscribes to the session's topics. Positions are asked for at once.
func (s *session) follow(topics []stream.Topic) error {
	if err := s.g.live.Register(s); err != nil {
		return err
	}
	for i, t := range topics {
		log, err := s.g.live.Subscribe(s, t)
		if err != nil {
			s.g.live.Unregister(s, false)
			return err
		}
		s.feeds[i].log = log
	}
	return nil
}

// Wake tells the transport that there may be something to send.
func (s *session) Wake() { s.notifier.notify() }

// End ends the session because the Broadcaster says so.
func (s *session) End(err error) {
	switch {
	case errors.Is(err, broadcaster.ErrForced):
		s.end(endForced)
	default:
		s.end(endShutdown)
	}
}

// end ends the session. The first reason counts. A client that takes nothing
// cannot be told.
func (s *session) end(why end) {
	if s.conclude(why) && why.cut() {
		s.writing.hurry(s.notifier)
	}
}

// conclude settles why the session ends, unless that is settled.
func (s *session) conclude(why end) bool {
	if !s.cause.CompareAndSwap(nil, &why) {
		return false
	}
	s.Wake()
	return true
}

// giveUp ends the session inside an event whose rest is not to be had, also if
// it was about to end as complete.
func (s *session) giveUp() {
	why := endBehind
	s.cause.Store(&why)
}

// ended returns why the session ends; "" if it does not.
func (s *session) ended() end {
	if why := s.cause.Load(); why != nil {
		return *why
	}
	return ""
}

// next fills b with what is to be sent now. It does not move the session:
// commit does. It never blocks.
func (s *session) next(b *batch) state {
	if s.part.bytes > 0 {
		return s.nextPart(b)
	}
	if int(s.outSent) == len(s.out) {
		s.emptyOutbox()
		s.fillOutbox(b)
	}
	b.addOutbox(s.out[s.outSent:])
	switch {
	case s.final:
		return ending
	case s.opened:
		s.rewind()
		if s.fillFrames(b, int(s.turn), len(s.feeds)) == more {
			return more
		}
	}
	if b.out > 0 {
		return more // behind the outbox there may be another one
	}
	return idle
}

// nextPart goes on with a frame that was sent in part. Nothing may stand
// inside it, so whatever else there is to do is done behind it.
func (s *session) nextPart(b *batch) state {
	i := int(s.part.feed)
	s.rewind()
	for len(b.marks) == 0 {
		b.sent = int(s.part.bytes)
		s.fill(b, i)
		if len(b.marks) == 0 && !s.stepPart(i) {
			if why := s.ended(); why != "" && !why.clean() {
				return ending // the client discards the half event
			}
			return idle
		}
	}
	if b.marks[0].id != s.part.id {
		// Deleted, or of a history that is no more: its rest is not to be had.
		b.reset()
		s.giveUp()
		return ending
	}
	if s.ended() != "" {
		b.cut(1) // then the last words
	} else {
		s.fillFrames(b, i+1, len(s.feeds)-1)
	}
	return more
}

// fillFrames adds frames of n feeds, beginning with the one whose turn it is,
// so that a busy topic does not keep the others from being sent.
func (s *session) fillFrames(b *batch, turn, n int) state {
	state := idle
	for k := range n {
		if b.full() {
			return more
		}
		if s.fill(b, (turn+k)%len(s.feeds)) {
			state = more
		}
	}
	return state
}

// rewind makes the feeds say again where the client is, after a batch of which
// not all was sent.
func (s *session) rewind() {
	for i := range s.feeds {
		s.at(i, s.feeds[i].pos.ID)
	}
}

// at notes that the position of feed i in the batch is id. A cursor's suffix
// does not name the feed that it is for, and so outlives its moves.
func (s *session) at(i int, id stream.ID) {
	if s.feeds[i].at == id {
		return
	}
	s.feeds[i].at = id
	if s.multi != nil && s.multi.of != i {
		s.multi.of = -1
	}
}

// fillOutbox puts what is in no log into the outbox: the first block, control
// events, the last words.
func (s *session) fillOutbox(b *batch) {
	s.rewind()
	if s.ended() != "" {
		s.say(b, s.lastWords(nil))
		s.final = true
		return
	}
	s.step(b)
	if s.opened || !s.placed() {
		return
	}
	s.opened = true
	s.say(b, s.firstBlock(nil))
	if s.bad {
		for i := range s.feeds {
			s.tell(b, i, controlReset, lossData{Topic: s.feeds[i].topic(), To: s.feeds[i].at, Reason: reasonCursor})
		}
	}
	s.step(b)
}

// placed reports whether all feeds have positions.
func (s *session) placed() bool {
	for i := range s.feeds {
		if !s.feeds[i].placed() {
			return false
		}
	}
	return true
}

// keepOutbox is how many bytes of an empty outbox a session keeps: enough for
// a heartbeat. Most have nothing else to say after their first block.
const keepOutbox = 16

// emptyOutbox makes room in an outbox that has been sent.
func (s *session) emptyOutbox() {
	if s.out, s.outSent = s.out[:0], 0; cap(s.out) > keepOutbox {
		s.out = nil
	}
}

// say appends whole lines to the outbox.
func (s *session) say(b *batch, p []byte) {
	if b.frame {
		s.out = stream.AppendChunk(s.out, p)
		return
	}
	s.out = append(s.out, p...)
}

// heartbeat puts a comment into the outbox, if nothing else waits there. A
// comment line without a blank line may stand between events and inside none.
func (s *session) heartbeat(b *batch) {
	for i := range s.feeds {
		s.feeds[i].checked = false // one ahead of its log looks whether it still may be
	}
	if len(s.out) == int(s.outSent) && s.part.bytes == 0 {
		s.emptyOutbox()
		s.say(b, sse.AppendComment(nil, ""))
	}
}

// commit moves the session past the first n bytes of b, which its last next
// filled.
func (s *session) commit(b *batch, n int) {
	out := min(n, b.out)
	s.outSent += int32(out)
	n -= out
	if n == 0 {
		return
	}
	done, end := 0, 0
	for done < len(b.marks) && b.marks[done].end-b.out <= n {
		m := b.marks[done]
		s.feeds[m.feed].moved(m.id)
		s.turn = int8((m.feed + 1) % len(s.feeds))
		end = m.end - b.out
		done++
	}
	if done > 0 {
		s.part.bytes = 0
	}
	s.part.bytes += int32(n - end)
	if done < len(b.marks) {
		s.part.feed, s.part.id = int32(b.marks[done].feed), b.marks[done].id
	}
	b.delivered += done
}

// finish is the one end of a session, whatever came first.
func (s *session) finish(why end) {
	s.close()
	s.g.meters.ended(why)
	s.g.remove(s)
}

// close ends what follow began.
func (s *session) close() {
	s.g.live.Unregister(s, false)
	for i := range s.feeds {
		switch f := &s.feeds[i]; f.step {
		case seeking:
			s.g.history.forgetSeek(f.topic(), *f.since, s)
		case resuming, paging:
			s.g.history.forget(f.topic(), f.pos.ID, s)
		}
	}
}

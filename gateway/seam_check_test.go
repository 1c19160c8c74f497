package gateway

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// checkDeliveries checks that each entry was counted once.
func (c *simClient) checkDeliveries(conn *simConn, got []simEvent) {
	entries := 0
	for _, e := range got {
		if e.kind == "" {
			entries++
		}
	}
	// An event is complete before the framing behind it is.
	if d := entries - conn.delivered; d != 0 && (d != 1 || conn.s.part.bytes == 0) {
		c.fault("%d entries were counted as %d deliveries", entries, conn.delivered)
	}
}

// lines checks that nothing stands inside a block that is not of it. It
// reports whether text ends inside one.
func (c *simClient) lines(text string) (inside bool) {
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case !strings.HasSuffix(line, "\n"):
			return true
		case line == "\n":
			inside = false
		case name == "id" && !inside:
			inside = true
		case inside && (name == "" || name == "id"), !inside && name != "" && name != "retry":
			c.fault("line %q at the wrong place in %q", line, text)
			return inside
		}
	}
	return inside
}

var simLabel = regexp.MustCompile(`#([a-z]+)#(\d+)#`)

// take takes in one event. first is the index of the connection's first.
func (c *simClient) take(e sse.Event, first int) {
	got := simEvent{cursor: e.ID, at: map[stream.Topic]stream.ID{}}
	cursor, err := stream.ParseCursor(e.ID)
	if err != nil {
		c.fault("event %+v: %v", e, err)
		return
	}
	for i, t := range c.topics {
		id, ok := cursor.Position(t, i == 0)
		if !ok {
			c.fault("event %+v does not say where topic %s is", e, t)
		}
		got.at[t] = id
	}
	var before *simEvent
	if len(c.got) > 0 {
		before = &c.got[len(c.got)-1]
	}
	isFirst := len(c.got) == first
	switch {
	case strings.HasPrefix(e.Type, stream.ControlPrefix):
		c.takeControl(e, &got, before, isFirst)
	case isFirst && c.control:
		c.fault("begins with %+v", e)
	default:
		c.takeEntry(e, &got)
	}
	if before != nil && c.sim.fault == "" {
		c.moved(before, &got)
	}
	c.got = append(c.got, got)
}

func (c *simClient) takeControl(e sse.Event, got, before *simEvent, isFirst bool) {
	got.kind = e.Type
	if (e.Type == controlOpen) != isFirst {
		c.fault("event %d is %s", len(c.got), e.Type)
	}
	var data struct {
		Topic    stream.Topic
		From, To stream.ID
	}
	if err := json.Unmarshal([]byte(e.Data), &data); err != nil {
		c.fault("%s: %v", e.Data, err)
	}
	got.topic, got.to = data.Topic, data.To
	switch e.Type {
	case controlGap:
		c.sim.stream(data.Topic).checkGap(c, data.From, data.To)
	case controlReset:
		c.sim.stream(data.Topic).checkReset(c, data.From, data.To)
	default:
		return
	}
	if got.at[data.Topic] != data.To {
		c.fault("%s to %v has id %v", e.Type, data.To, got.at)
	}
	// A doubt may be told twice, but the same gap is told once.
	s := c.sim.stream(data.Topic)
	again := before != nil && before.kind == e.Type && before.topic == data.Topic && data.From == data.To
	if again && e.Type == controlGap && s.counters && !s.forked {
		c.fault("%s %s twice", e.Type, e.Data)
	}
}

// takeEntry finds out which entry an event is, and whether it is that.
func (c *simClient) takeEntry(e sse.Event, got *simEvent) {
	label := simLabel.FindStringSubmatch(e.Data)
	if label == nil {
		c.fault("unknown event %+v", e)
		return
	}
	got.topic = stream.Topic(label[1])
	serial, _ := strconv.Atoi(label[2])
	got.entry = c.sim.entries[serial]
	want := sse.Event{ID: e.ID, Type: got.entry.event, Data: got.entry.data, Retry: e.Retry}
	if c.form == stream.FormEnvelope {
		var env struct{ Topic, ID, Event, Data string }
		if err := json.Unmarshal([]byte(e.Data), &env); err != nil {
			c.fault("%s: %v", e.Data, err)
		}
		if env.Topic != label[1] || env.ID != got.entry.id.String() {
			c.fault("envelope %+v of entry %v", env, got.entry.id)
		}
		if want.Type == "" {
			want.Type = sse.DefaultType
		}
		e.Type, e.Data = env.Event, env.Data
	}
	if e != want || !got.entry.sendable {
		c.fault("got %+v\nwant %+v", e, want)
	}
	if got.at[got.topic] != got.entry.id || !strings.HasPrefix(e.ID, got.entry.id.String()) {
		c.fault("entry %v has id %s", got.entry.id, e.ID)
	}
}

// moved checks that positions move on, and past nothing that is owed.
func (c *simClient) moved(from, to *simEvent) {
	for _, t := range c.topics {
		if to.topic == t && to.kind == controlReset {
			continue
		}
		p, q := from.at[t], to.at[t]
		if q.Less(p) || to.topic == t && to.kind == "" && q == p {
			c.fault("topic %s goes from %v to %v", t, p, q)
		}
		s := c.sim.stream(t)
		for _, e := range s.entries {
			if s.forked || !p.Less(e.id) || q.Less(e.id) || !e.sendable || e.fate == simDeleted {
				continue
			}
			if to.topic == t && (to.kind == controlGap || to.kind == "" && e.id == q) {
				continue
			}
			c.fault("topic %s moves from %v to %v past %v, which was not sent", t, p, q, e.id)
		}
		if to.kind == controlOpen && p != q {
			c.fault("came back at %v and is told %v", p, q)
		}
	}
}

// check compares all that a client has got of a topic, since history was last
// said to be gone, with the stream.
func (c *simClient) check(t stream.Topic) {
	var since stream.ID
	var run []simEntry
	if len(c.got) == 0 {
		if c.control { // else there may have been nothing to get
			c.fault("got nothing")
		}
		return
	}
	for i, e := range c.got {
		switch {
		case i == 0 && e.kind == controlOpen:
			since = e.at[t]
		case i == 0:
			since = e.at[t].Prev() // control=off: the first event tells where it was
			if e.topic != t {
				since = e.at[t]
			}
			fallthrough
		case e.topic == t && e.kind == "":
			if e.topic == t {
				run = append(run, e.entry)
			}
		case e.topic == t && (e.kind == controlGap || e.kind == controlReset):
			since, run = e.to, nil
		}
	}
	for _, e := range c.sim.stream(t).entries {
		for len(run) > 0 && run[0].id.Less(e.id) {
			c.fault("topic %s: entry %v is doubled, or of another history", t, run[0].id)
			return
		}
		switch {
		case len(run) > 0 && run[0].serial == e.serial:
			run = run[1:]
		case since.Less(e.id) && e.fate != simDeleted && e.sendable:
			c.fault("topic %s: lost entry %v (since %v)", t, e.id, since)
			return
		}
	}
	if len(run) > 0 {
		c.fault("topic %s: entry %v is doubled, or of no history", t, run[0].id)
	}
}

// checkGap checks that entries between from and to are really gone, and all.
func (s *simStream) checkGap(c *simClient, from, to stream.ID) {
	if s.forked || !s.counters {
		return // what was there cannot be told
	}
	gone := from.IsZero() && s.deleted
	for _, e := range s.entries {
		// If the entry itself is gone, nobody can tell whether others behind
		// it are: the rule then doubts.
		gone = gone || e.id == from && e.fate != simPresent
		if !from.Less(e.id) || to.Less(e.id) {
			continue
		}
		gone = true
		if e.fate == simPresent {
			c.fault("topic %s: told of a gap from %v to %v, but %v is there", s.topic, from, to, e.id)
		}
	}
	if !gone {
		c.fault("topic %s: told of a gap from %v to %v, where nothing is gone", s.topic, from, to)
	}
}

// checkReset checks that a history was lost. Whether from was of it cannot
// always be told.
func (s *simStream) checkReset(c *simClient, from, to stream.ID) {
	if !s.forked || from.IsZero() {
		c.fault("topic %s: told of a reset from %v to %v, but the history is the same", s.topic, from, to)
	}
}

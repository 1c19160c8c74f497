package gateway

import (
	"encoding/json"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// Control events tell a client what happened to its stream. Their types begin
// with "gateway.", which no publisher can use; their data is a JSON object;
// their id is the connection's cursor.
const (
	controlOpen  = stream.ControlPrefix + "open"        // {}: the first event of every connection
	controlGap   = stream.ControlPrefix + "gap"         // lossData: entries after from, up to to, were trimmed
	controlReset = stream.ControlPrefix + "reset"       // lossData: the history that from belongs to is gone
	controlFault = stream.ControlPrefix + "unavailable" // faultData: a topic cannot be read for now
)

// lossData says which part of a topic's history the client does not get.
type lossData struct {
	Topic  stream.Topic `json:"topic"`
	From   *stream.ID   `json:"from,omitempty"` // where the client was
	To     stream.ID    `json:"to"`             // where it is now
	Reason string       `json:"reason,omitempty"`
}

const reasonCursor = "Last-Event-ID is not a cursor of this gateway: the stream begins now"

// faultData says why a topic cannot be read.
type faultData struct {
	Topic  stream.Topic `json:"topic"`
	Reason string       `json:"reason"`
}

// firstBlock is the first thing a client is sent. It makes the client hold a
// position before it has received anything, so that it resumes exactly even
// then. It must be an event: Firefox takes over an id only with one.
func (s *session) firstBlock(dst []byte) []byte {
	dst = sse.AppendRetry(dst, between(s.g.opt.RetryMin, s.g.opt.RetryMax))
	if !s.control {
		// The ids then come with the events. A block without an event would
		// be taken for one by some clients.
		return sse.AppendComment(dst, "")
	}
	return s.appendControl(dst, 0, controlOpen, struct{}{})
}

// lastWords is what a client is sent before its stream is cut.
func (s *session) lastWords(dst []byte) []byte {
	switch s.ended() {
	case endClosed:
		return dst
	case endShutdown, endForced:
		return sse.AppendRetry(dst, between(s.g.opt.OverloadRetry, 2*s.g.opt.OverloadRetry))
	}
	return sse.AppendRetry(dst, between(s.g.opt.RetryMin, s.g.opt.RetryMax))
}

// tell puts a control event about feed i into the outbox.
func (s *session) tell(b *batch, i int, kind string, data any) {
	switch kind {
	case controlGap:
		s.g.meters.gaps.Add(1)
	case controlReset:
		s.g.meters.resets.Add(1)
	}
	if s.control {
		s.say(b, s.appendControl(nil, i, kind, data))
	}
}

// tellFault tells, once, that a topic cannot be read.
func (s *session) tellFault(b *batch, i int) {
	f := &s.feeds[i]
	switch fault := f.log.State().Fault; {
	case fault == "":
		f.fault = nil
	case f.fault == nil || *f.fault != fault:
		if s.opened {
			s.tell(b, i, controlFault, faultData{f.topic(), fault})
		}
		f.fault = &fault
	}
}

func (s *session) appendControl(dst []byte, i int, kind string, data any) []byte {
	js, err := json.Marshal(data)
	if err != nil {
		panic("gateway: control data cannot be JSON: " + err.Error())
	}
	dst = s.appendIDLine(dst, i)
	dst, _ = sse.AppendType(dst, kind) // a constant
	dst = sse.AppendData(dst, string(js))
	return append(dst, '\n')
}

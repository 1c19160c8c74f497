package replayer

import (
	"bytes"
	"context"
	"io"

	"github.com/ssegateway/sse-gateway/sse"
	"github.com/ssegateway/sse-gateway/stream"
)

// replayPage is how many entries Replay reads at a time.
const replayPage = 256

// Replay reads everything after the position after, up to and including upTo,
// and calls send for each event, in order. Entries that cannot be sent are
// left out. It returns how many events were sent, and the worst of what
// became of the history on the way: with stream.Gap or stream.Reset the events
// are not all that followed the position once. An error is send's, which ends
// the replay, or the Replayer's.
func Replay(ctx context.Context, r Replayer, t stream.Topic, after, upTo stream.ID, send func(sse.Event) error) (n int, v stream.Verdict, err error) {
	for {
		p, err := r.Read(ctx, t, after, upTo, replayPage)
		if err != nil {
			return n, v, err
		}
		v = max(v, p.Verdict)
		for _, e := range p.Entries {
			event, ok, err := eventOf(e)
			if ok {
				err = send(event)
			}
			if err != nil {
				return n, v, err
			}
			if ok {
				n++
			}
		}
		if !p.More || p.End() == after {
			return n, v, nil
		}
		after = p.End()
	}
}

// eventOf returns what a client makes of an entry, by way of what it is sent:
// there is one place that knows how entries become events.
func eventOf(e stream.Entry) (event sse.Event, ok bool, err error) {
	f := stream.Encode(e, 0)
	if f.Kind != stream.KindEvent {
		return sse.Event{}, false, nil
	}
	id, rest := f.IDLine(), f.Rest(stream.FormEvent, "")
	d := sse.NewDecoder(io.MultiReader(bytes.NewReader(id), bytes.NewReader(rest)), sse.MaxEventSize(len(id)+len(rest)))
	event, err = d.Decode()
	return event, err == nil, err
}

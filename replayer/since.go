package replayer

import (
	"time"

	"github.com/ssegateway/sse-gateway/stream"
)

// moment returns the time that s begins at, by the store's clock.
func (s Since) moment(now time.Time) time.Time {
	if s.Ago > 0 {
		return now.Add(-s.Ago)
	}
	return s.Time
}

// firstAt returns the least id that an entry of a moment can have.
func firstAt(t time.Time) stream.ID {
	return stream.ID{Ms: uint64(max(t.UnixMilli(), 0))}
}

// earliest returns the position before the oldest entry that reads as
// contiguous: 0-0 as long as nothing was trimmed, so that it stays good for as
// long as possible.
func earliest(s stream.Info) stream.ID {
	switch {
	case s.Length == 0:
		return endOf(s)
	case s.Counters && s.Added == s.Length:
		return stream.ID{}
	}
	return s.First.Prev()
}

// endOf returns the position after everything there is: the newest entry, or
// where it was.
func endOf(s stream.Info) stream.ID {
	if s.Last.IsZero() {
		return s.LastGenerated
	}
	return s.Last
}

package client

import (
	"math"
	"time"
)

// zeroStep is the pause from which doubling goes on where the first is 0, which doubled stays 0.
const zeroStep = 100 * time.Millisecond

// backoff computes the pauses between attempts: base, doubled with each failure in a row up to cap,
// lengthened by jitter. It is not safe for concurrent use.
type backoff struct {
	base   time.Duration // the option's, later the server's
	cap    time.Duration // but never less than base
	jitter float64       // 0 to 1

	failures int // pauses since the last reset
}

// next returns the next pause; random is from [0, 1).
func (b *backoff) next(random float64) time.Duration {
	limit := max(b.cap, b.base)
	d, doublings := b.base, b.failures
	if d == 0 && doublings > 0 {
		d, doublings = zeroStep, doublings-1
	}
	for ; doublings > 0 && d < limit; doublings-- {
		if d > limit/2 {
			d = limit
		} else {
			d *= 2
		}
	}
	d = min(d, limit)
	b.failures++

	// The random part lies below the limit too, or all would meet there; but never below base, which
	// may be what the server asked for.
	d = max(b.base, min(d, time.Duration(float64(limit)/(1+b.jitter))))
	extra := time.Duration(random * b.jitter * float64(d))
	if extra > math.MaxInt64-d {
		return math.MaxInt64
	}
	return d + extra
}

// reset makes the next pause the first one again.
func (b *backoff) reset() { b.failures = 0 }

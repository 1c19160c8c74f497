// Package stats turns many values into few: latencies into a histogram,
// rounds of a measurement into a median and a range.
package stats

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Buckets are linear within a power of two, 64 in each, so that a value is
// off by 1.6 % at most.
const (
	subBits = 6
	sub     = 1 << subBits
)

// Histogram counts durations from 0 to 18 minutes; longer ones count as that.
// The zero value is empty.
type Histogram struct {
	n      int64
	max    int64
	counts [(40 - subBits + 1) * sub]int64
}

// Add counts one value. A negative one, from clocks that disagree, counts as 0.
func (h *Histogram) Add(d time.Duration) {
	v := min(max(int64(d), 0), 1<<40-1)
	h.n++
	h.max = max(h.max, v)
	h.counts[bucket(v)]++
}

// Reset empties it.
func (h *Histogram) Reset() { *h = Histogram{} }

func bucket(v int64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return (shift+1)<<subBits + int(v>>shift) - sub
}

// middle returns the middle of a bucket.
func middle(i int) int64 {
	if i < sub {
		return int64(i)
	}
	shift := i>>subBits - 1
	low := int64(sub+i&(sub-1)) << shift
	return low + int64(1)<<shift/2
}

// Quantile returns the value that a share q of all values does not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(math.Ceil(q * float64(h.n)))
	var seen int64
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= rank {
			return time.Duration(min(middle(i), h.max))
		}
	}
	return 0
}

// Latency is what a histogram says, in short.
type Latency struct {
	N                        int64
	P50, P90, P99, P999, Max time.Duration
}

// Summary returns the usual quantiles.
func (h *Histogram) Summary() Latency {
	return Latency{
		N: h.n, P50: h.Quantile(.5), P90: h.Quantile(.9), P99: h.Quantile(.99), P999: h.Quantile(.999), Max: time.Duration(h.max),
	}
}

// Spread is what a figure was over the rounds of a measurement.
type Spread struct {
	N                int
	Median, Min, Max float64
}

// Of returns the spread of values; the median of an even number of them is
// between the two in the middle.
func Of(values []float64) Spread {
	n := len(values)
	if n == 0 {
		return Spread{}
	}
	v := slices.Sorted(slices.Values(values))
	return Spread{n, (v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

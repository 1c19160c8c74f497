package stats

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreOffByTwoPercentAtMost(t *testing.T) {
	var h Histogram
	for i := 1; i <= 100_000; i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{
		.001: 100 * time.Microsecond, .5: 50 * time.Millisecond, .9: 90 * time.Millisecond, .999: 99900 * time.Microsecond, 1: 100 * time.Millisecond,
	} {
		if got := h.Quantile(q); math.Abs(float64(got-want)) > .02*float64(want) {
			t.Errorf("q %v: want %v, got %v", q, want, got)
		}
	}
	if s := h.Summary(); s.N != 100_000 || s.Max != 100*time.Millisecond {
		t.Errorf("got %+v", s)
	}
}

func TestEveryValueFallsIntoABucketNearIt(t *testing.T) {
	for v := int64(0); v < 1<<40; v += v/7 + 1 {
		if m := middle(bucket(v)); math.Abs(float64(m-v)) > .016*float64(v) {
			t.Fatalf("%d counts as %d", v, m)
		}
	}
	var h Histogram
	h.Add(-time.Second)
	h.Add(time.Hour)
	if h.Quantile(.5) != 0 {
		t.Error("a negative value does not count as 0")
	}
}

func TestNoValueHasNoQuantile(t *testing.T) {
	var h Histogram
	if s := h.Summary(); s != (Latency{}) {
		t.Errorf("got %+v", s)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{1, 3, 3, 3}},
		{[]float64{3, 1, 2}, Spread{3, 2, 1, 3}},
		{[]float64{4, 1, 2, 3}, Spread{4, 2.5, 1, 4}},
	} {
		if got := Of(c.in); got != c.want {
			t.Errorf("%v: want %+v, got %+v", c.in, c.want, got)
		}
	}
}

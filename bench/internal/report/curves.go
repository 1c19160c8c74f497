package report

import (
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// latencyCurves draws median and p99 by the rate of deliveries.
func latencyCurves(scenario string) func([]Result) (*plot.Plot, error) {
	return func(all []Result) (*plot.Plot, error) {
		r, ok := find(all, scenario)
		if !ok {
			return nil, nil
		}
		curves := medianCurves(r.Rounds)
		if len(curves) == 0 {
			return nil, nil
		}
		return drawCurves(curves)
	}
}

func drawCurves(curves []curve) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "deliveries per second", "ms"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, ticks{}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, ticks{}
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, vg.Millimeter
	p.Add(plotter.NewGrid())
	for _, c := range curves {
		for _, q := range []struct {
			name  string
			value func(Point) float64
			dash  []vg.Length
		}{
			{"p99", func(x Point) float64 { return x.P99 }, nil},
			{"p50", func(x Point) float64 { return x.P50 }, []vg.Length{vg.Points(4), vg.Points(3)}},
		} {
			xys := make(plotter.XYs, len(c.points))
			for i, x := range c.points {
				xys[i] = plotter.XY{X: x.Rate, Y: max(q.value(x), .001)} // a logarithm knows no 0
			}
			line, err := plotter.NewLine(xys)
			if err != nil {
				return nil, err
			}
			line.Color, line.Dashes, line.Width = colors[c.variant], q.dash, vg.Points(1.5)
			p.Add(line)
			p.Legend.Add(c.variant+" "+q.name, line)
		}
	}
	return p, nil
}

// ticks are those of a logarithmic axis, with numbers as people write them.
type ticks struct{ plot.LogTicks }

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	all := t.LogTicks.Ticks(low, high)
	for i := range all {
		if all[i].Label != "" {
			all[i].Label = number(all[i].Value)
		}
	}
	return all
}

type curve struct {
	variant string
	points  []Point
}

// medianCurves takes, of each variant and at each rate, the median of all
// rounds that got so far.
func medianCurves(rounds []Round) (out []curve) {
	var variants []string
	var rates []float64
	for _, r := range rounds {
		if len(r.Curve) > 0 && !slices.Contains(variants, r.Variant) {
			variants = append(variants, r.Variant)
		}
		for _, x := range r.Curve {
			if !slices.Contains(rates, x.Rate) {
				rates = append(rates, x.Rate)
			}
		}
	}
	slices.Sort(rates)
	slices.SortFunc(variants, func(a, b string) int { return order(a) - order(b) })
	for _, v := range variants {
		c := curve{variant: v}
		for _, rate := range rates {
			var p50, p99 []float64
			for _, r := range rounds {
				for _, x := range r.Curve {
					if r.Variant == v && x.Rate == rate {
						p50, p99 = append(p50, x.P50), append(p99, x.P99)
					}
				}
			}
			if len(p50) > 0 {
				c.points = append(c.points, Point{Rate: rate, P50: stats.Of(p50).Median, P99: stats.Of(p99).Median})
			}
		}
		out = append(out, c)
	}
	return out
}

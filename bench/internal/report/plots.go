package report

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// plots are the files that Plots writes, and what their titles are.
var plots = map[string]string{
	"cpu.svg":         "CPU per delivery",
	"memory.svg":      "memory per idle connection",
	"latency.svg":     "latency by load: one topic to 1,000 connections",
	"latency-100.svg": "latency by load: 100 topics of 10 connections each",
}

var colors = map[string]color.Color{
	"floor":    color.RGBA{0x9a, 0xa0, 0xa6, 0xff},
	"direct":   color.RGBA{0x1f, 0x6f, 0xb2, 0xff},
	"portable": color.RGBA{0xe0, 0x8a, 0x1e, 0xff},
}

const (
	plotWidth  = 17 * vg.Centimeter
	plotHeight = 8.5 * vg.Centimeter
)

// Plots draws what the results in a folder have data for.
func Plots(dir string) error {
	all, err := Load(dir)
	if err != nil {
		return err
	}
	cpu := bars{figure: "CPU per delivery", unit: "µs", scenarios: []string{"one-to-many", "pending-10", "pending-50", "bursts"}}
	memory := bars{figure: "RSS per connection", unit: "KB", scenarios: []string{"idle-100-topics", "idle-own-topic", "idle-8-topics"}}
	for name, draw := range map[string]func([]Result) (*plot.Plot, error){
		"cpu.svg": cpu.draw, "memory.svg": memory.draw, "latency.svg": latencyCurves("latency-by-load"), "latency-100.svg": latencyCurves("latency-by-load-100"),
	} {
		p, err := draw(all)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if p == nil { // nothing to draw
			continue
		}
		p.Title.Text = plots[name]
		p.Title.Padding = vg.Millimeter * 2
		if err := p.Save(plotWidth, plotHeight, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// bars draws the medians of one figure: a group for each scenario, a bar for
// each variant, with a line from least to greatest.
type bars struct {
	figure, unit string
	scenarios    []string
}

func (b bars) draw(all []Result) (*plot.Plot, error) {
	spreads := make(map[string][]stats.Spread) // by variant, one per group
	var variants, groups []string
	for _, name := range b.scenarios {
		at := slices.IndexFunc(all, func(r Result) bool { return r.Name == name })
		if at < 0 {
			continue
		}
		groups = append(groups, name)
		for _, line := range all[at].Lines() {
			if line.Figure != b.figure {
				continue
			}
			if !slices.Contains(variants, line.Variant) {
				variants = append(variants, line.Variant)
			}
			have := spreads[line.Variant]
			have = append(have, make([]stats.Spread, len(groups)-len(have))...)
			have[len(groups)-1] = line.Spread
			spreads[line.Variant] = have
		}
	}
	if len(variants) == 0 {
		return nil, nil
	}
	slices.SortFunc(variants, func(a, b string) int { return order(a) - order(b) })
	p := plot.New()
	p.Y.Label.Text = b.unit
	p.Y.Min = 0
	p.Legend.Top, p.Legend.Padding, p.Legend.XOffs = true, vg.Millimeter, -2*vg.Millimeter
	p.NominalX(groups...)
	const width = 1.1 * vg.Centimeter
	for i, v := range variants {
		if err := addBars(p, v, spreads[v], width, vg.Length(float64(i)-float64(len(variants)-1)/2)*width); err != nil {
			return nil, err
		}
	}
	p.Y.Max *= 1.15 // room for the numbers
	return p, nil
}

func addBars(p *plot.Plot, variant string, spreads []stats.Spread, width, offset vg.Length) error {
	medians := make(plotter.Values, len(spreads))
	labels := plotter.XYLabels{XYs: make(plotter.XYs, len(spreads)), Labels: make([]string, len(spreads))}
	for i, s := range spreads {
		medians[i] = s.Median
		labels.XYs[i] = plotter.XY{X: float64(i), Y: s.Median}
		labels.Labels[i] = number(s.Median)
		p.Y.Max = math.Max(p.Y.Max, s.Max)
	}
	chart, err := plotter.NewBarChart(medians, width)
	if err != nil {
		return err
	}
	chart.Color, chart.Offset, chart.LineStyle.Width = colors[variant], offset, 0
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	texts.Offset.X, texts.Offset.Y = offset, vg.Millimeter
	for i := range texts.TextStyle {
		texts.TextStyle[i].XAlign = draw.XCenter
	}
	p.Add(chart, ranges{spreads, offset}, texts)
	p.Legend.Add(variant, chart)
	return nil
}

// ranges draws a thin line from the least to the greatest value of each bar.
type ranges struct {
	spreads []stats.Spread
	offset  vg.Length
}

// Plot implements plot.Plotter.
func (r ranges) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, s := range r.spreads {
		at := x(float64(i)) + r.offset
		c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: vg.Points(1)}, at, y(s.Min), at, y(s.Max))
	}
}

// order puts the floor first and what is closer to it before what is not.
func order(variant string) int {
	return slices.Index([]string{"floor", "direct", "portable"}, variant)
}

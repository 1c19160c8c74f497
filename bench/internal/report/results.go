// Package report keeps what was measured, and shows it as tables, plots and
// a section of a document.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/proc"
	"github.com/ssegateway/sse-gateway/bench/internal/stats"
)

// Scenario describes what is measured.
type Scenario struct {
	Name       string
	What       string   // one sentence
	Variants   []string // run in turn
	MostRounds int      // if not 0: it takes long
	Ratios     []Ratio
	Targets    []Target
}

// Ratio is a figure divided by the same one of another variant, in the same
// round.
type Ratio struct {
	Name, Of, Base string // name of the ratio, the figure, the variant below the line
}

// Target is what a figure should be.
type Target struct {
	Figure, Variant string
	Limit           float64
	AtLeast         bool // else at most
}

// Met reports whether a value is good enough.
func (t Target) Met(v float64) bool {
	if t.AtLeast {
		return v >= t.Limit
	}
	return v <= t.Limit
}

// Result is one run of a scenario.
type Result struct {
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Machine Machine   `json:"machine"`
	Quick   bool      `json:"quick,omitempty"` // small and short: to be thrown away
	Rounds  []Round   `json:"rounds"`
}

// Machine is what it ran on.
type Machine struct {
	proc.Machine
	Go, Redis, Commit string
}

// Round is one measurement of one variant.
type Round struct {
	Variant string   `json:"variant"`
	Number  int      `json:"number"`
	Error   string   `json:"error,omitempty"`
	Figures []Figure `json:"figures"`
	Curve   []Point  `json:"curve,omitempty"`
}

// Figure is a value with a name.
type Figure struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit,omitempty"`
	Value float64 `json:"value"`
}

// Point is the latency at a rate.
type Point struct {
	Rate     float64 `json:"rate"` // deliveries per second
	P50, P99 float64 // ms
	Busy     float64 // share of the machine that all processes took
}

// Add adds a figure.
func (r *Round) Add(name, unit string, value float64) {
	r.Figures = append(r.Figures, Figure{name, unit, value})
}

func (r *Round) value(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// Compare adds the scenario's ratios to rounds.
func (s Scenario) Compare(rounds []Round) {
	for _, ratio := range s.Ratios {
		base := make(map[int]float64)
		for _, r := range rounds {
			if v, ok := r.value(ratio.Of); ok && r.Variant == ratio.Base && v != 0 {
				base[r.Number] = v
			}
		}
		for i := range rounds {
			r := &rounds[i]
			v, ok := r.value(ratio.Of)
			if below := base[r.Number]; ok && below != 0 && r.Variant != ratio.Base {
				r.Add(ratio.Name, "×", v/below)
			}
		}
	}
}

// Line is a figure of a variant over all rounds.
type Line struct {
	Figure, Unit, Variant string
	stats.Spread
}

// Lines returns all figures in the order in which they first come, and of each
// all variants.
func (r Result) Lines() (lines []Line) {
	type key struct{ figure, variant string }
	values := make(map[key][]float64)
	var names []Figure
	var variants []string
	for _, round := range r.Rounds {
		if !slices.Contains(variants, round.Variant) {
			variants = append(variants, round.Variant)
		}
		for _, f := range round.Figures {
			if !slices.ContainsFunc(names, func(g Figure) bool { return g.Name == f.Name }) {
				names = append(names, f)
			}
			values[key{f.Name, round.Variant}] = append(values[key{f.Name, round.Variant}], f.Value)
		}
	}
	for _, f := range names {
		for _, v := range variants {
			if all := values[key{f.Name, v}]; len(all) > 0 {
				lines = append(lines, Line{f.Name, f.Unit, v, stats.Of(all)})
			}
		}
	}
	return lines
}

// fileName is that of all results in a folder.
const fileName = "results.json"

// Load reads the results in a folder, the last one of each scenario.
func Load(dir string) ([]Result, error) {
	raw, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Result
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, fileName), err)
	}
	return all, nil
}

// Save puts a result in place of the scenario's last one.
func Save(dir string, r Result) error {
	all, err := Load(dir)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(o Result) bool { return o.Name == r.Name })
	if at < 0 {
		all = append(all, r)
	} else {
		all[at] = r
	}
	raw, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, fileName), append(raw, '\n'), 0o644)
}

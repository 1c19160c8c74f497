package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var example = Scenario{
	Name: "example", What: "an example", Variants: []string{"floor", "direct"},
	Ratios:  []Ratio{{Name: "ratio", Of: "cost", Base: "floor"}},
	Targets: []Target{{Figure: "ratio", Variant: "direct", Limit: 2}},
}

func exampleResult() Result {
	r := Result{Name: "example", Time: time.Unix(1_800_000_000, 0).UTC(), Machine: Machine{Go: "go1.26", Redis: "7", Commit: "abc"}}
	for i, v := range [][2]float64{{1, 2}, {4, 4}, {3, 6}} {
		for k, name := range []string{"floor", "direct"} {
			round := Round{Variant: name, Number: i + 1}
			round.Add("cost", "µs", v[k])
			r.Rounds = append(r.Rounds, round)
		}
	}
	example.Compare(r.Rounds)
	return r
}

func TestRatiosAreMadeWithinARound(t *testing.T) {
	lines := exampleResult().Lines()
	if len(lines) != 3 {
		t.Fatalf("got %+v", lines)
	}
	// The median of 2/1, 4/4 and 6/3, and not the medians' ratio, 4/3.
	if l := lines[2]; l.Figure != "ratio" || l.Variant != "direct" || l.Median != 2 || l.Min != 1 || l.Max != 2 {
		t.Errorf("got %+v", l)
	}
}

func TestTargets(t *testing.T) {
	most, least := Target{Limit: 2}, Target{Limit: 2, AtLeast: true}
	for _, c := range []struct {
		t    Target
		v    float64
		want bool
	}{{most, 2, true}, {most, 2.1, false}, {least, 2, true}, {least, 1.9, false}} {
		if c.t.Met(c.v) != c.want {
			t.Errorf("%+v, %v", c.t, c.v)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1.234: "1.23", 12.3456: "12.3", 123.4: "123", 0.012345: "0.0123", 1.5: "1.5", 100: "100",
		1234: "1,230", 1_234_567: "1,230,000", 999.9: "1,000", -1.5: "-1.5", -12345: "-12,300",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: want %s, got %s", v, want, got)
		}
	}
}

func TestAResultTakesThePlaceOfTheLastOne(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Save(dir, exampleResult()); err != nil {
			t.Fatal(err)
		}
	}
	other := exampleResult()
	other.Name = "other"
	if err := Save(dir, other); err != nil {
		t.Fatal(err)
	}
	all, err := Load(dir)
	if err != nil || len(all) != 2 || len(all[0].Rounds) != 6 {
		t.Fatalf("got %+v, %v", all, err)
	}
}

func TestPublish(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	page := filepath.Join(docs, "performance.md")
	if err := os.WriteFile(page, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := exampleResult()
	r.Quick = true
	if err := Save(dir, r); err != nil {
		t.Fatal(err)
	}
	if err := Publish(dir, docs, []Scenario{example}); err == nil {
		t.Error("published what was tried only")
	}
	r.Quick = false
	if err := Save(dir, r); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the marks stay
		if err := Publish(dir, docs, []Scenario{example}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "\nafter\n", "| example: ratio, direct | ≤\u00a02 | met | 2 × |", "| cost, µs | 3 (1 – 4) | 4 (2 – 6) |"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Error("the old results are still there")
	}
}

func TestPlotsAreDrawnFromWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	if err := Plots(dir); err != nil {
		t.Fatal(err)
	}
	r := exampleResult()
	r.Name = "one-to-many"
	for i := range r.Rounds {
		r.Rounds[i].Figures[0].Name = "CPU per delivery"
	}
	load := Result{Name: "latency-by-load", Rounds: []Round{
		{Variant: "direct", Number: 1, Curve: []Point{{1000, 1, 2, .5}, {2000, 1, 5, .3}}},
		{Variant: "direct", Number: 2, Curve: []Point{{1000, 3, 4, .5}}},
	}}
	for _, r := range []Result{r, load} {
		if err := Save(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := Plots(dir); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{"cpu.svg": true, "latency.svg": true, "memory.svg": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c := medianCurves(load.Rounds); len(c) != 1 || len(c[0].points) != 2 || c[0].points[0] != (Point{Rate: 1000, P50: 2, P99: 3}) {
		t.Errorf("got %+v", c)
	}
}

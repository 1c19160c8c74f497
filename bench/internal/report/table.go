package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// List shows what there is to be measured.
func List(w io.Writer, all []Scenario) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, strings.Join(s.Variants, " "), s.What)
	}
	return t.Flush()
}

// Table shows a result.
func Table(w io.Writer, s Scenario, r Result) error {
	fmt.Fprintf(w, "\n%s: %s\n", s.Name, s.What)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "\t\tmedian\tmin – max\trounds\ttarget\n")
	last := ""
	for _, line := range r.Lines() {
		name := line.Figure
		if name == last {
			name = ""
		}
		last = line.Figure
		limit, verdict := s.verdict(line)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s – %s\t%d\t%s %s\n", name, line.Variant, quantity(line.Median, line.Unit),
			number(line.Min), number(line.Max), line.N, limit, verdict)
	}
	return t.Flush()
}

// verdict says what the target is and whether it was reached, or nothing.
func (s Scenario) verdict(line Line) (limit, verdict string) {
	for _, t := range s.Targets {
		if t.Figure != line.Figure || t.Variant != line.Variant {
			continue
		}
		sign := "≤"
		verdict = "missed"
		if t.AtLeast {
			sign = "≥"
		}
		if t.Met(line.Median) {
			verdict = "met"
		}
		return sign + "\u00a0" + number(t.Limit), verdict
	}
	return "", ""
}

func quantity(v float64, unit string) string {
	if unit == "" {
		return number(v)
	}
	return number(v) + " " + unit
}

// number writes three significant digits, with thousands set apart.
func number(v float64) string {
	if math.Abs(v) < 999.5 {
		digits := 0
		if v != 0 {
			digits = min(max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0), 4)
		}
		s := strconv.FormatFloat(v, 'f', digits, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	step := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	s := strconv.FormatFloat(math.Round(v/step)*step, 'f', 0, 64)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

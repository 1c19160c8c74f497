package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Marks in the document between which the results are.
const (
	beginMark = "<!-- results: written by go run ./bench -markdown -->"
	endMark   = "<!-- end of results -->"
)

// Publish writes the results in dir into docs/performance.md, and puts the
// plots and the raw rounds next to it.
func Publish(dir, docs string, scenarios []Scenario) error {
	all, err := Load(dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("there are no results in %s", dir)
	}
	for _, r := range all {
		if r.Quick {
			return fmt.Errorf("the results of %s were got with -quick: they say nothing", r.Name)
		}
	}
	if err := Plots(dir); err != nil {
		return err
	}
	files := map[string]string{fileName: "performance.json"}
	var shown []string
	for name := range plots {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			files[name] = "performance-" + name
			shown = append(shown, name)
		}
	}
	slices.Sort(shown)
	for from, to := range files {
		raw, err := os.ReadFile(filepath.Join(dir, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(docs, to), raw, 0o644); err != nil {
			return err
		}
	}
	path := filepath.Join(docs, "performance.md")
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	page, err = between(page, Markdown(scenarios, all, shown))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, page, 0o644)
}

// between puts text between the marks of a page.
func between(page []byte, text string) ([]byte, error) {
	before, rest, ok1 := bytes.Cut(page, []byte(beginMark))
	_, after, ok2 := bytes.Cut(rest, []byte(endMark))
	if !ok1 || !ok2 {
		return nil, errors.New("it has no place for results: " + beginMark + " … " + endMark)
	}
	return slices.Concat(before, []byte(beginMark+"\n\n"+text+"\n"), []byte(endMark), after), nil
}

// Markdown renders results: the targets first, then a table for each scenario.
func Markdown(scenarios []Scenario, all []Result, shown []string) string {
	var b strings.Builder
	last := slices.MaxFunc(all, func(a, b Result) int { return a.Time.Compare(b.Time) })
	fmt.Fprintf(&b, "%s. Commit %s, %s. Median, and in parentheses least and greatest of all rounds.\n\n", last.Machine.sentence(), last.Machine.Commit, last.Time.Format("2 January 2006"))
	b.WriteString("| | target | | measured |\n|---|---|---|---|\n")
	for _, s := range scenarios {
		r, ok := find(all, s.Name)
		if !ok {
			continue
		}
		for _, line := range r.Lines() {
			if limit, verdict := s.verdict(line); verdict != "" {
				fmt.Fprintf(&b, "| %s: %s, %s | %s | %s | %s |\n", s.Name, line.Figure, line.Variant, limit, verdict, quantity(line.Median, line.Unit))
			}
		}
	}
	for _, name := range shown {
		fmt.Fprintf(&b, "\n![%s](performance-%s)\n", plots[name], name)
	}
	for _, s := range scenarios {
		if r, ok := find(all, s.Name); ok {
			s.section(&b, r, last.Machine.Commit)
		}
	}
	return b.String()
}

func find(all []Result, name string) (Result, bool) {
	for _, r := range all {
		if r.Name == name {
			return r, true
		}
	}
	return Result{}, false
}

// section is a scenario's table: a line for each figure, a column for each
// variant.
func (s Scenario) section(b *strings.Builder, r Result, commit string) {
	rounds := 0
	for _, round := range r.Rounds {
		rounds = max(rounds, round.Number)
	}
	plural := "s"
	if rounds == 1 {
		plural = ""
	}
	fmt.Fprintf(b, "\n### %s\n\n%s; %d round%s", s.Name, upper(s.What), rounds, plural)
	if r.Machine.Commit != commit {
		fmt.Fprintf(b, " of commit %s", r.Machine.Commit)
	}
	b.WriteString(".\n\n| |")
	for _, v := range s.Variants {
		fmt.Fprintf(b, " %s |", v)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(s.Variants)) + "\n")
	lines := r.Lines()
	var done []string
	for _, first := range lines {
		if slices.Contains(done, first.Figure) {
			continue
		}
		done = append(done, first.Figure)
		fmt.Fprintf(b, "| %s |", name(first.Figure, first.Unit))
		for _, v := range s.Variants {
			cell := ""
			for _, line := range lines {
				if line.Figure == first.Figure && line.Variant == v {
					cell = fmt.Sprintf("%s (%s – %s)", number(line.Median), number(line.Min), number(line.Max))
				}
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	for _, round := range r.Rounds {
		if round.Error != "" {
			fmt.Fprintf(b, "\nRound %d of %s failed: %s\n", round.Number, round.Variant, strings.SplitN(round.Error, "\n", 2)[0])
		}
	}
}

func name(figure, unit string) string {
	if unit == "" || unit == "×" {
		return figure
	}
	return figure + ", " + unit
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (m Machine) sentence() string {
	kind := "A machine"
	if m.Virtual {
		kind = "A shared virtual machine"
	}
	return fmt.Sprintf("%s with %d cores (%s) and %.0f GB, Linux %s, Go %s, Redis %s",
		kind, m.Cores, m.CPU, float64(m.Memory)/(1<<30), m.Kernel, strings.TrimPrefix(m.Go, "go"), m.Redis)
}

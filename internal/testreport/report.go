package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json (go doc test2json), or of go build -json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string // "" is the package itself
	Elapsed    float64
	Output     string
}

// result is a test that ended.
type result struct {
	name    string // package and test
	elapsed time.Duration
}

// report collects events. Output is kept until it is known whether it matters.
type report struct {
	out     io.Writer
	verbose bool
	said    map[string][]string // by package and test

	passed          int
	failed, skipped []string
	broken          []string // packages that failed
	slow            []result
}

func newReport(out io.Writer, verbose bool) *report {
	return &report{out: out, verbose: verbose, said: make(map[string][]string)}
}

// read takes in events until the end. Lines that are none are shown.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				fmt.Fprintf(r.out, "%s\n", strings.TrimRight(string(line), "\r\n"))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event) {
	name := e.Package
	if e.Test != "" {
		name += "." + e.Test
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if r.verbose && e.Test != "" {
			fmt.Fprint(r.out, e.Output)
		} else {
			r.said[name] = append(r.said[name], e.Output)
		}
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(name, e)
		}
		delete(r.said, name)
	}
}

func (r *report) endTest(name string, e event) {
	switch e.Action {
	case "pass":
		r.passed++
		if !strings.Contains(e.Test, "/") {
			r.slow = append(r.slow, result{name, time.Duration(e.Elapsed * float64(time.Second))})
		}
	case "skip":
		r.skipped = append(r.skipped, name)
	case "fail":
		r.failed = append(r.failed, name)
		r.print(r.said[name])
	}
}

// endPackage prints all that a package said if it failed, else its last line:
// ok and the time, or that it has no tests.
func (r *report) endPackage(e event) {
	said := r.said[e.Package]
	if e.Action != "fail" {
		for _, line := range said {
			if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "?") {
				fmt.Fprint(r.out, line)
			}
		}
		return
	}
	r.broken = append(r.broken, e.Package)
	// A test that was running when its process died never ends.
	for name, lines := range r.said {
		if strings.HasPrefix(name, e.Package+".") {
			r.failed = append(r.failed, name)
			r.print(lines)
			delete(r.said, name)
		}
	}
	r.print(said)
}

func (r *report) print(lines []string) { fmt.Fprint(r.out, strings.Join(lines, "")) }

// slowTests is how many of the slowest tests are named.
const slowTests = 5

// finish prints the summary and reports whether all is well.
func (r *report) finish(noSkips bool) bool {
	slices.SortStableFunc(r.slow, func(a, b result) int { return int(b.elapsed - a.elapsed) })
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	for _, s := range r.slow[:min(slowTests, len(r.slow))] {
		fmt.Fprintf(r.out, "  %6.1fs %s\n", s.elapsed.Seconds(), s.name)
	}
	ok := true
	complain := func(what string, names []string) {
		if len(names) > 0 {
			ok = false
			fmt.Fprintf(r.out, "%s:\n  %s\n", what, strings.Join(names, "\n  "))
		}
	}
	complain("FAILED tests", r.failed)
	complain("FAILED packages", r.broken)
	if noSkips {
		complain("SKIPPED, where none may be", r.skipped)
	}
	if r.passed+len(r.failed)+len(r.skipped) == 0 {
		ok = false
		fmt.Fprintln(r.out, "NO TEST RAN")
	}
	return ok
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/proc"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

// scenario is something to measure.
type scenario struct {
	report.Scenario
	run func(ctx context.Context, l *lab) (*report.Round, error)
}

// bench is one run of this program.
type bench struct {
	options
	self, gateway string // binaries
	tmp           string // removed at the end
	log           io.Writer
}

// limit bounds one measurement, whatever happens in it.
const limit = 10 * time.Minute

// prepare builds the gateway, unless TEST_GATEWAY names one.
func prepare(ctx context.Context, o options, log io.Writer) (b *bench, err error) {
	b = &bench{options: o, log: log, gateway: os.Getenv("TEST_GATEWAY")}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if b.out, err = filepath.Abs(o.out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return nil, err
	}
	if b.tmp, err = os.MkdirTemp("", "sse-gateway-bench-"); err != nil {
		return nil, err
	}
	if b.gateway != "" {
		return b, nil
	}
	b.gateway = filepath.Join(b.tmp, "sse-gateway")
	build := exec.CommandContext(ctx, "go", "build", "-o", b.gateway, "github.com/ssegateway/sse-gateway/cmd/sse-gateway")
	if out, err := build.CombinedOutput(); err != nil {
		b.close()
		return nil, fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.tmp) }

// conns and seconds scale what a scenario asks for, with -quick.
func (b *bench) conns(n int) int {
	if b.quick && n > 100 {
		return n / 10
	}
	return n
}

func (b *bench) seconds(s float64) float64 {
	if b.quick {
		return max(s/3, 1)
	}
	return s
}

// runAll runs the scenarios and writes results after each. It goes on after a
// failure, and returns all failures.
func (b *bench) runAll(ctx context.Context, stdout io.Writer) error {
	machine, err := b.machine(ctx)
	if err != nil {
		return err
	}
	var failures []error
	found := false
	for _, s := range scenarios() {
		if !b.options.run.MatchString(s.Name) {
			continue
		}
		found = true
		result := report.Result{Name: s.Name, Time: time.Now().UTC().Truncate(time.Second), Machine: machine, Quick: b.quick}
		result.Rounds = b.rounds(ctx, s)
		if ctx.Err() != nil { // the last results stay
			return errors.Join(append(failures, ctx.Err())...)
		}
		s.Compare(result.Rounds)
		for _, r := range result.Rounds {
			if r.Error != "" {
				failures = append(failures, fmt.Errorf("%s, %s, round %d: %s", s.Name, r.Variant, r.Number, r.Error))
			}
		}
		if err := report.Save(b.out, result); err != nil {
			return err
		}
		if err := report.Table(stdout, s.Scenario, result); err != nil {
			return err
		}
	}
	if !found {
		return fmt.Errorf("no scenario is called %q; -list shows them", b.options.run)
	}
	if err := report.Plots(b.out); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// rounds runs the variants of a scenario in turn, and each round begins with
// another one.
func (b *bench) rounds(ctx context.Context, s scenario) (all []report.Round) {
	variants := slices.DeleteFunc(slices.Clone(s.Variants), func(v string) bool { return !b.variants.MatchString(v) })
	n := b.runs
	if s.MostRounds > 0 {
		n = min(n, s.MostRounds)
	}
	for i := range n {
		for k := range variants {
			v := variants[(i+k)%len(variants)]
			start := time.Now()
			r := b.round(ctx, s, variant(v))
			r.Variant, r.Number = v, i+1
			all = append(all, *r)
			outcome := "done"
			if r.Error != "" {
				outcome = "FAILED: " + r.Error
			}
			fmt.Fprintf(b.log, "%s, round %d of %d, %s: %s in %.1f s\n", s.Name, i+1, n, v, outcome, time.Since(start).Seconds())
			if ctx.Err() != nil {
				return all
			}
		}
	}
	return all
}

// round makes one measurement in a fresh lab.
func (b *bench) round(ctx context.Context, s scenario, v variant) *report.Round {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l, err := b.newLab(ctx, s.Name, v)
	defer l.close()
	if err != nil {
		return &report.Round{Error: err.Error()}
	}
	r, err := s.run(ctx, l)
	if r == nil {
		r = &report.Round{}
	}
	if err != nil {
		r.Error = err.Error() + l.lastWords()
	}
	return r
}

// lastWords says what has become of the pod.
func (l *lab) lastWords() (words string) {
	if l.pod == nil {
		return ""
	}
	select {
	case <-l.pod.Done():
		words = "\nthe pod has ended"
	default:
	}
	if said := l.pod.Said(); said != "" {
		words += "\nthe pod said last: " + said[strings.LastIndexByte(said, '\n')+1:]
	}
	return words
}

func (b *bench) machine(ctx context.Context) (report.Machine, error) {
	m, err := proc.ThisMachine()
	if err != nil {
		return report.Machine{}, err
	}
	out, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return report.Machine{}, fmt.Errorf("redis-server --version: %w", err)
	}
	version := ""
	for _, word := range strings.Fields(string(out)) {
		if v, ok := strings.CutPrefix(word, "v="); ok {
			version = v
		}
	}
	commit := "unknown"
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return report.Machine{Machine: m, Go: runtime.Version(), Redis: version, Commit: commit}, nil
}

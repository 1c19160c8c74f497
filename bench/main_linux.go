package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/floor"
	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

func main() {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "load":
		err = load.Main()
	case "floor":
		err = floor.Main()
	default:
		// Interrupted, everything ends as it does at the end: the processes that
		// were started are killed.
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	run, variants *regexp.Regexp
	runs          int
	settle        time.Duration
	quick         bool
	profile       int
	out           string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	runExpr := flags.String("run", ".", "scenarios to run, a `regexp`")
	variantExpr := flags.String("variants", ".", "variants to run, a `regexp`")
	flags.IntVar(&o.runs, "runs", 5, "rounds of each scenario")
	flags.DurationVar(&o.settle, "settle", time.Minute, "how long connections are idle before their memory is measured")
	flags.BoolVar(&o.quick, "quick", false, "a tenth of the connections for a third of the time: tries the bench, measures nothing")
	flags.IntVar(&o.profile, "profile", 0, "profile the pod's CPU for so many `seconds` of each measurement, which disturbs it")
	flags.StringVar(&o.out, "out", filepath.Join("bench", "results"), "`folder` for results.json, plots and profiles")
	list := flags.Bool("list", false, "list the scenarios and end")
	markdown := flags.Bool("markdown", false, "write the results in -out into docs/performance.md and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? All arguments are flags, see -help", flags.Arg(0))
	}
	var err error
	if o.run, err = regexp.Compile(*runExpr); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.variants, err = regexp.Compile(*variantExpr); err != nil {
		return fmt.Errorf("-variants: %w", err)
	}
	switch {
	case *list:
		return report.List(stdout, definitions())
	case *markdown:
		return report.Publish(o.out, "docs", definitions())
	}
	b, err := prepare(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	return b.runAll(ctx, stdout)
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v3"
)

// Stamped at build time: -ldflags "-X main.version=v1.2.3 -X main.commit=…".
var version, commit string

// build says what the program was made of.
type build struct{ version, commit, goVersion string }

// String returns it in one line.
func (b build) String() string { return b.version + " (" + b.commit + ", " + b.goVersion + ")" }

// buildVersion falls back to what go build and go install leave in the binary.
func buildVersion() build {
	b := build{version: version, commit: commit, goVersion: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.version = cmp.Or(b.version, info.Main.Version)
		dirty := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && b.commit == "":
				b.commit = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true" && commit == "":
				dirty = "+changes"
			}
		}
		b.commit += dirty
	}
	b.version = cmp.Or(b.version, "(devel)")
	b.commit = cmp.Or(b.commit, "commit unknown")
	return b
}

func (p process) versionCommand() *cli.Command {
	return &cli.Command{
		Name:      "version",
		Usage:     "print version, commit and Go version",
		UsageText: "sse-gateway version",
		Action: func(context.Context, *cli.Command) error {
			_, err := fmt.Fprintln(p.stdout, "sse-gateway", buildVersion())
			return err
		},
	}
}

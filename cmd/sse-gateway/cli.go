package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/ssegateway/sse-gateway/cmd/sse-gateway/internal/config"
)

// process is everything that the program gets from its surroundings. Nothing
// else is read, so a test is a process too.
type process struct {
	args           []string // the program's name first
	environ        []string // as os.Environ
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        <-chan os.Signal // SIGINT and SIGTERM
}

// Exit codes, documented in --help. Being ended by a signal at once is 128
// and the signal's number, as a shell has it.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

const description = `Publish with one XADD from any language, listen with one new EventSource(url):

   sse-gateway                                                  # Redis built in, for a first look
   curl -N 'localhost:8080/events?topic=orders'
   redis-cli -p 6380 XADD sse:orders '*' event paid data '{"n":1}'

   REDIS_URL=redis://… SSE_AUTH=anonymous sse-gateway           # as many as you like, behind any load balancer

Without a command it serves. It is configured by its environment alone:
sse-gateway serve --help lists all variables.

Exit codes: 0 done, or stopped in order by SIGTERM or SIGINT; 1 failed;
2 wrong usage or configuration; 128+n ended at once by signal n.`

// run is the program. It returns its exit code.
func run(ctx context.Context, p process) int {
	err := p.command().Run(ctx, p.args)
	var (
		usage  *usageError
		wrong  *config.Error
		signal *signalError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &signal):
		fmt.Fprintln(p.stderr, "sse-gateway:", err)
		return signal.code()
	case errors.As(err, &usage), errors.As(err, &wrong):
		fmt.Fprintln(p.stderr, "sse-gateway:", err)
		return exitUsage
	}
	fmt.Fprintln(p.stderr, "sse-gateway:", err)
	return exitFail
}

func (p process) command() *cli.Command {
	serve := &cli.Command{
		Name:        "serve",
		Usage:       "run the gateway (the default)",
		UsageText:   "sse-gateway [serve]",
		Description: "Configured by its environment. An empty variable is one that is not set;\nunknown ones that begin with SSE_ stop the start.\n\n" + config.Table() + "\n" + redisForms,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usagef("serve takes no arguments: it is configured by its environment, see sse-gateway serve --help")
			}
			return p.serve(ctx)
		},
	}
	root := &cli.Command{
		Name:        "sse-gateway",
		Usage:       "events from Redis Streams to browsers over Server-Sent Events",
		UsageText:   "sse-gateway [command]",
		Description: description,
		Version:     buildVersion().String(),
		Commands:    []*cli.Command{serve, p.publishCommand(), p.subscribeCommand(), p.healthcheckCommand(), p.versionCommand()},
		Reader:      p.stdin,
		Writer:      p.stdout,
		ErrWriter:   p.stderr,
		// run prints the error and decides on the exit code.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	root.Action = func(ctx context.Context, c *cli.Command) error {
		if name := c.Args().First(); name != "" {
			return usagef("there is no command %q: did you mean %s? (sse-gateway --help lists all)", name, cli.SuggestCommand(root.Commands, name))
		}
		return serve.Action(ctx, c)
	}
	for _, c := range append(root.Commands, root) {
		c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
			return usagef("%s (see %s --help)", strings.TrimSuffix(err.Error(), "\n"), c.FullName())
		}
	}
	return root
}

const redisForms = `REDIS_URL has one of three forms. Characters such as @ : / ? # in a password are
percent-encoded: %40 %3A %2F %3F %23.

  one node  redis://user:password@host:6379/0   rediss:// for TLS, unix:///path?db=0
  Cluster   redis://host:6379?cluster=true      or more seeds: redis://host:6379?addr=host2:6379
  Sentinel  redis://sentinel:26379/0?master_name=mymaster&addr=sentinel2:26379&password=…`

// usageError is a command that cannot be carried out as it was given.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// signalError is a command that a signal ended before it was done.
type signalError struct{ signal os.Signal }

func (e *signalError) Error() string { return "ended at once: " + e.signal.String() }

func (e *signalError) code() int {
	if n, ok := e.signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFail
}

// untilSignal returns a context that ends with the first signal, whose
// *signalError is then its cause.
func (p process) untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case s := <-p.signals:
			cancel(&signalError{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

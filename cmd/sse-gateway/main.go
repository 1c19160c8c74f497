// Command sse-gateway takes events from Redis Streams to browsers over
// Server-Sent Events.
//
//	main, cli      the process: its arguments, signals and exit code
//	serve          the gateway itself: where everything is wired
//	listen, shutdown, banner, log
//	               its sockets, its end, what it says
//	publish, subscribe, healthcheck, version
//	               the other commands
//	internal/config  the environment: every variable in one table
//	internal/ops     the operators' port
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 2) // the second must not get lost
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	os.Exit(run(context.Background(), process{
		args:    os.Args,
		environ: os.Environ(),
		stdin:   os.Stdin,
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		signals: signals,
	}))
}

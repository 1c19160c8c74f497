package rig

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// maxLogLines bounds what is kept of a program's output.
const maxLogLines = 20_000

// Log keeps the output of a program, by lines. It may be used concurrently.
type Log struct {
	mu      sync.Mutex
	lines   []string
	partial []byte
	grown   chan struct{} // closed, and replaced, with every write
}

// NewLog returns an empty Log.
func NewLog() *Log { return &Log{grown: make(chan struct{})} }

// Write takes output in.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, b...)
	for {
		line, rest, ok := bytes.Cut(l.partial, []byte{'\n'})
		if !ok {
			break
		}
		l.lines = append(l.lines, string(line))
		l.partial = rest
	}
	if n := len(l.lines) - maxLogLines; n > 0 {
		l.lines = l.lines[n:]
	}
	close(l.grown)
	l.grown = make(chan struct{})
	return len(b), nil
}

// Lines returns the whole lines kept so far.
func (l *Log) Lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines[:len(l.lines):len(l.lines)]
}

// Await returns the first line, old or new, that fits.
func (l *Log) Await(ctx context.Context, fits func(line string) bool) (string, error) {
	for {
		l.mu.Lock()
		lines, grown := l.lines, l.grown
		l.mu.Unlock()
		for _, line := range lines {
			if fits(line) {
				return line, nil
			}
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", fmt.Errorf("no such line in the log: %w", ctx.Err())
		}
	}
}

// Tail returns the last n lines.
func (l *Log) Tail(n int) string {
	lines := l.Lines()
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// showIfFailed prints the end of a log when the test has failed.
func showIfFailed(t testing.TB, name string, tail func() string) {
	if t.Failed() {
		t.Logf("── the last lines of %s ──\n%s", name, tail())
	}
}

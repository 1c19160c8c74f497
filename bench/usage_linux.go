package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/proc"
	"github.com/ssegateway/sse-gateway/bench/internal/resp"
)

// usage is what the processes have used up to a moment, or between two.
type usage struct {
	at                  time.Time
	wall                time.Duration
	server, redis, load time.Duration // CPU
	switches            int64         // of context, of the server
	reads               int64         // of streams, by Redis
	commands            int64         // all of Redis
}

// begin notes what has been used so far, and starts a profile if one is asked
// for.
func (l *lab) begin(ctx context.Context) (usage, error) {
	if l.profile > 0 && l.pod != nil {
		go func() {
			if err := l.saveProfile(ctx); err != nil {
				fmt.Fprintln(l.log, "profile:", err)
			}
		}()
	}
	return l.used()
}

// since returns what has been used since begin.
func (l *lab) since(begin usage) (usage, error) {
	u, err := l.used()
	if err != nil {
		return u, err
	}
	return usage{
		at: u.at, wall: u.at.Sub(begin.at), server: u.server - begin.server, redis: u.redis - begin.redis, load: u.load - begin.load,
		switches: u.switches - begin.switches, reads: u.reads - begin.reads, commands: u.commands - begin.commands,
	}, nil
}

func (l *lab) used() (u usage, err error) {
	u.at = time.Now()
	if u.server, err = proc.CPU(l.server()); err != nil {
		return u, err
	}
	if u.load, err = proc.CPU(l.load.PID()); err != nil {
		return u, err
	}
	status, err := proc.StatusOf(l.server())
	if err != nil {
		return u, err
	}
	u.switches = status.Switches
	if l.redis == nil {
		return u, nil
	}
	if u.redis, err = proc.CPU(l.redis.PID()); err != nil {
		return u, err
	}
	calls, err := l.ask.Calls()
	if err != nil {
		return u, err
	}
	u.reads = resp.Reads(calls)
	for _, n := range calls {
		u.commands += n
	}
	return u, nil
}

// memory is what the pod and the kernel hold.
type memory struct {
	proc.Status
	proc.Kernel
}

func (l *lab) memory() (m memory, err error) {
	if m.Status, err = proc.StatusOf(l.server()); err != nil {
		return m, err
	}
	m.Kernel, err = proc.KernelMemory()
	return m, err
}

// get asks the pod's ops port.
func (l *lab) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.ops+path, nil)
	if err != nil {
		return "", err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", path, r.Status)
	}
	return string(b), err
}

// metrics returns those of the pod's metrics that have no labels.
func (l *lab) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := l.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseMetrics(text), nil
}

func parseMetrics(text string) map[string]float64 {
	out := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			out[name] = v
		}
	}
	return out
}

var (
	gcFraction = regexp.MustCompile(`(?m)^# GCCPUFraction = (\S+)$`)
	lastGC     = regexp.MustCompile(`(?m)^# LastGC = (\d+)$`) // Unix ns
)

// gc returns the CPU time that the pod has spent on collecting garbage: from
// its metrics, or else from the share of all processors' time between its start
// and its last collection that the profile of its heap names.
func (l *lab) gc(ctx context.Context) (time.Duration, error) {
	m, err := l.metrics(ctx)
	if err != nil {
		return 0, err
	}
	if s, ok := m["go_cpu_classes_gc_total_cpu_seconds_total"]; ok {
		return time.Duration(s * float64(time.Second)), nil
	}
	text, err := l.get(ctx, "/debug/pprof/heap?debug=1")
	if err != nil {
		return 0, err
	}
	found, last := gcFraction.FindStringSubmatch(text), lastGC.FindStringSubmatch(text)
	if found == nil || last == nil {
		return 0, errors.New("the pod does not say what garbage collection costs")
	}
	share, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(last[1], 10, 64)
	if err != nil {
		return 0, err
	}
	lived := max(time.Unix(0, ns).Sub(l.born), 0)
	return time.Duration(share * float64(lived) * float64(runtime.NumCPU())), nil
}

func (l *lab) saveProfile(ctx context.Context) error {
	p, err := l.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", l.profile))
	if err != nil {
		return err
	}
	name := filepath.Join(l.out, fmt.Sprintf("%s-%s.pprof", l.name, l.variant))
	return os.WriteFile(name, []byte(p), 0o644)
}

// Package proc reads from /proc what processes and the machine use.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat (USER_HZ is 100 on Linux).
const tick = 10 * time.Millisecond

// CPU returns the CPU time that a process has used: the sum over its threads,
// which the scheduler counts in nanoseconds. Threads that have ended are not in
// that sum; where the coarse count of the whole process says that there were
// some, that one is returned.
func CPU(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	coarse, err := statCPU(raw)
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	var fine time.Duration
	for _, name := range threads {
		raw, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		ns, err := schedstatCPU(raw)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		fine += ns
	}
	if d := coarse - fine; d > 2*tick || d < -2*tick-tick/2 {
		return coarse, nil
	}
	return fine, nil
}

func statCPU(raw []byte) (time.Duration, error) {
	// The name, in parentheses, may contain anything.
	f := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("only %d fields", len(f))
	}
	user, err1 := strconv.ParseInt(string(f[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

func schedstatCPU(raw []byte) (time.Duration, error) {
	first, _, _ := bytes.Cut(raw, []byte(" "))
	ns, err := strconv.ParseInt(string(first), 10, 64)
	return time.Duration(ns), err
}

// Status is what a process holds.
type Status struct {
	RSS, Anonymous int64 // bytes
	Threads        int64
	Switches       int64 // of context, voluntary or not, by its threads
	Files          int64 // open
}

// StatusOf reads /proc/PID/status and counts /proc/PID/fd.
func StatusOf(pid int) (Status, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Status{}, err
	}
	f := Fields(string(raw))
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return Status{}, err
	}
	switches, err := contextSwitches(pid)
	return Status{
		RSS: f["VmRSS"] << 10, Anonymous: f["RssAnon"] << 10, Threads: f["Threads"], Switches: switches, Files: int64(len(fds)),
	}, err
}

func contextSwitches(pid int) (n int64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, name := range threads {
		raw, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		f := Fields(string(raw))
		n += f["voluntary_ctxt_switches"] + f["nonvoluntary_ctxt_switches"]
	}
	return n, nil
}

var field = regexp.MustCompile(`(?m)^([A-Za-z_]+):\s+(\d+)`)

// Fields reads lines such as "VmRSS:  1234 kB".
func Fields(text string) map[string]int64 {
	out := make(map[string]int64)
	for _, m := range field.FindAllStringSubmatch(text, -1) {
		out[m[1]], _ = strconv.ParseInt(m[2], 10, 64)
	}
	return out
}

// Kernel is memory of the kernel's, of the whole machine.
type Kernel struct {
	Buffers int64 // what TCP sockets have queued, bytes
	Slab    int64 // the kernel's objects, sockets among them, bytes
}

// KernelMemory reads /proc/net/sockstat and /proc/meminfo.
func KernelMemory() (Kernel, error) {
	sockstat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return Kernel{}, err
	}
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Kernel{}, err
	}
	pages, err := tcpPages(string(sockstat))
	if err != nil {
		return Kernel{}, err
	}
	return Kernel{Buffers: pages * int64(os.Getpagesize()), Slab: Fields(string(meminfo))["Slab"] << 10}, nil
}

var tcpMem = regexp.MustCompile(`(?m)^TCP: .* mem (\d+)`)

func tcpPages(sockstat string) (int64, error) {
	m := tcpMem.FindStringSubmatch(sockstat)
	if m == nil {
		return 0, errors.New("/proc/net/sockstat does not say what TCP holds")
	}
	return strconv.ParseInt(m[1], 10, 64)
}

// Machine is what the figures were measured on.
type Machine struct {
	CPU     string
	Cores   int
	Virtual bool  // a guest of another system
	Memory  int64 // bytes
	Kernel  string
}

// ThisMachine reads /proc.
func ThisMachine() (Machine, error) {
	var m Machine
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(cpuinfo)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			m.CPU = strings.TrimSpace(value)
		case "processor":
			m.Cores++
		case "flags":
			m.Virtual = slices.Contains(strings.Fields(value), "hypervisor")
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, err
	}
	m.Kernel, _, _ = strings.Cut(strings.TrimSpace(string(release)), "-")
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, err
	}
	m.Memory = Fields(string(meminfo))["MemTotal"] << 10
	return m, nil
}

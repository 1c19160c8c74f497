package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// RSS returns how many bytes of the pod's memory are in RAM.
func (p *Pod) RSS(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no VmRSS in\n%s", status)
	return 0
}

// SocketMemory is what the kernel holds for a pod's clients.
type SocketMemory struct {
	Sockets int
	Waiting int // sockets with something that was not acknowledged
	Bytes   int // of all of them
	Largest int // of one of them
}

var skmem = regexp.MustCompile(`skmem:\(r(\d+),rb\d+,t\d+,tb\d+,f(\d+),w(\d+),`)

// SocketMemory asks the kernel, by ss, what it holds for the connections to
// the pod's public port. /proc/net/sockstat would tell of the whole machine.
func (p *Pod) SocketMemory(t testing.TB) (m SocketMemory) {
	t.Helper()
	_, port, err := net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ss", "-tnmHO", "state", "established", "sport = :"+port).CombinedOutput()
	if err != nil {
		t.Fatalf("ss: %v\n%s", err, out)
	}
	for _, found := range skmem.FindAllSubmatch(out, -1) {
		var n [3]int // received, allocated ahead, to be sent
		for i := range n {
			n[i], _ = strconv.Atoi(string(found[i+1])) // digits
		}
		m.Sockets++
		if n[2] > 0 {
			m.Waiting++
		}
		sum := n[0] + n[1] + n[2]
		m.Bytes += sum
		m.Largest = max(m.Largest, sum)
	}
	return m
}

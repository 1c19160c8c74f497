package proc

import (
	"testing"
	"time"
)

func TestTimesAreReadBehindTheName(t *testing.T) {
	got, err := statCPU([]byte("42 (a (strange) name) S 1 42 42 0 -1 4194304 100 0 0 0 123 45 0 0 20 0 8 0 1000"))
	if want := 1680 * time.Millisecond; err != nil || got != want {
		t.Errorf("want %v, got %v, %v", want, got, err)
	}
	if _, err := statCPU([]byte("42 (short) S")); err == nil {
		t.Error("took what is too short")
	}
	if got, err := schedstatCPU([]byte("2997119 12 1\n")); err != nil || got != 2997119 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFields(t *testing.T) {
	f := Fields("Name:\tpod\nVmRSS:\t    1234 kB\nThreads:\t8\nvoluntary_ctxt_switches:\t7\n")
	if f["VmRSS"] != 1234 || f["Threads"] != 8 || f["voluntary_ctxt_switches"] != 7 || len(f) != 3 {
		t.Errorf("got %v", f)
	}
}

func TestPagesOfTCP(t *testing.T) {
	n, err := tcpPages("sockets: used 98\nTCP: inuse 9 orphan 0 tw 2 alloc 11 mem 317\nUDP: inuse 0 mem 5\n")
	if err != nil || n != 317 {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := tcpPages(""); err == nil {
		t.Error("took nothing")
	}
}

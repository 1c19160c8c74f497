package proc

import (
	"os"
	"testing"
	"time"
)

func TestThisProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	after, err := CPU(os.Getpid())
	if err != nil || after-before < 10*time.Millisecond {
		t.Errorf("50 ms of work took %v, %v", after-before, err)
	}
	s, err := StatusOf(os.Getpid())
	if err != nil || s.RSS == 0 || s.Anonymous == 0 || s.Threads == 0 || s.Files < 3 {
		t.Errorf("got %+v, %v", s, err)
	}
	m, err := ThisMachine()
	if err != nil || m.Cores == 0 || m.Kernel == "" {
		t.Errorf("got %+v, %v", m, err)
	}
}

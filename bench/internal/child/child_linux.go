// Package child starts the processes of a measurement and ends them.
package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// Process is a program in a process group of its own, which also dies with
// this program if that is killed.
type Process struct {
	Name string

	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	said tail
	done chan struct{}
}

// Start starts a program. env is its whole environment.
func Start(name string, env []string, path string, args ...string) (*Process, error) {
	p := newProcess(name, env, path, args)
	p.cmd.Stdout = &p.said
	return p, p.start()
}

// StartPiped starts a program that is talked to on its standard input and
// output.
func StartPiped(name string, env []string, path string, args ...string) (*Process, error) {
	p := newProcess(name, env, path, args)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	return p, p.start()
}

func newProcess(name string, env []string, path string, args []string) *Process {
	p := &Process{Name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stderr = &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return p
}

func (p *Process) start() error {
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if p.out == nil {
		go p.wait()
	}
	return nil
}

// wait must not be called before all output is read.
func (p *Process) wait() {
	_ = p.cmd.Wait() // ProcessState tells all
	close(p.done)
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Said returns the end of its output.
func (p *Process) Said() string { return p.said.String() }

// Kill ends the group and waits until the process is gone.
func (p *Process) Kill() {
	// The group keeps its number as long as any member lives, so this reaches
	// only what was started here.
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		panic(fmt.Sprintf("kill %s: %v", p.Name, err)) // our own children cannot be out of reach
	}
	<-p.done
}

// tail keeps the end of a program's output.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - tailSize; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(t.b, []byte("?"))))
}

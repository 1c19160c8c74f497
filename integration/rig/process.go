package rig

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Process is a program in a process group of its own, with its output.
type Process struct {
	Name string
	Log  *Log

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// StartProcess starts a program. env is its whole environment.
func StartProcess(name string, env []string, path string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: NewLog(), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = p.Log, p.Log
	p.cmd.SysProcAttr = ownGroup()
	// A grandchild that survives its parent holds the output open.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // ProcessState tells all
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process alone. One that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(p.PID(), sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to %s: %w", sig, p.Name, err)
	}
	return nil
}

// Kill sends SIGKILL to the whole group and waits for the process to be gone.
func (p *Process) Kill() {
	// The group keeps its number as long as any member lives, so this reaches
	// only what was started here.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.done
}

// Wait waits for the end and returns the exit code, -1 after a signal.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s has not ended: %w", p.Name, ctx.Err())
	}
}

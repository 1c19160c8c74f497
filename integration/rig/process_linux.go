package rig

import "syscall"

// ownGroup also ties the child's life to ours: a test binary that is killed,
// or that ends itself at its time-out, runs no clean-up.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the server with a test binary that could not clean up,
// for example because it ran into its time-out.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

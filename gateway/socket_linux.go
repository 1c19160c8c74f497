package gateway

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// duplicate returns a descriptor of its own for a connection's socket.
func duplicate(c *net.TCPConn) (fd int, err error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	if err := rc.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, dupErr
}

// send writes as much of p as the socket takes at once. n is 0 with EAGAIN if
// it takes nothing. The call never blocks, so the scheduler need not know of
// it, which is a good part of what a short send costs.
func send(fd int32, p []byte) (n int, err unix.Errno) {
	for {
		r, _, e := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch e {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, e
		}
	}
}

// discard reads what has arrived, at most about max bytes: a socket that is
// closed with unread input makes the peer drop what it has not read yet.
func discard(fd int32, buf []byte, max int) {
	for max > 0 {
		n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
		if n <= 0 || err != nil {
			return
		}
		max -= n
	}
}

// reset makes closing a socket discard what it still has to send. Otherwise the
// kernel would keep that for a peer that does not read.
func reset(fd int32) {
	_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

// socketError returns why a socket broke, and clears it.
func socketError(fd int32) unix.Errno {
	e, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return unix.EBADF
	}
	return unix.Errno(e)
}

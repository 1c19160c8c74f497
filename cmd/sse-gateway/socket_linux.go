package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// deadPeers makes a listening socket's connections find out that the other
// side has vanished without a word: what is not acknowledged for limit ends the
// connection, and an idle one is asked. Accepted sockets inherit it, which is
// cheaper than setting it on each.
func deadPeers(limit time.Duration) func(network, address string, c syscall.RawConn) error {
	seconds := max(1, int(limit.Seconds()))
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			for _, o := range []struct{ level, name, value int }{
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds},
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds},
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(limit.Milliseconds())},
				// Over loopback (a proxy beside the pod) a segment could be 64 KiB.
				// The small send buffer of a stream does not hold two, and a
				// receiver takes 40 ms to acknowledge a single one.
				{unix.IPPROTO_TCP, unix.TCP_MAXSEG, 8 << 10},
			} {
				if err := unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != nil {
					failed = err
				}
			}
		})
		if err != nil {
			return err
		}
		return failed
	}
}

package gateway

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkFanOutDirect is BenchmarkFanOut over loopback sockets of the direct
// transport; ns/delivery is for one connection, what the kernel does for both
// ends included. Clients read while the clock stands.
func BenchmarkFanOutDirect(b *testing.B) {
	const clients = 1000
	s := (&rig{direct: true}).start(b, quiet)
	fds := make([]int, 0, clients)
	for range clients {
		w := s.open(ask("topic=a"))
		w.exactly(chunk(openBlock))
		rc, err := w.conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			b.Fatal(err)
		}
		if err := rc.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
			b.Fatal(err)
		}
	}
	buf := make([]byte, 64<<10)
	read := func() {
		for _, fd := range fds {
			for {
				if n, _, err := unix.Recvfrom(fd, buf, syscall.MSG_DONTWAIT); n <= 0 || err != nil {
					break
				}
			}
		}
	}
	data := strings.Repeat("x", 200)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		want := s.meters.deliveries.Load() + clients
		s.publish(b, "a", data)
		for s.meters.deliveries.Load() < want {
			time.Sleep(50 * time.Microsecond)
		}
		if i%20 == 19 {
			b.StopTimer()
			read()
			b.StartTimer()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*clients), "ns/delivery")
}

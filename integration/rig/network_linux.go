package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Network is two machines with a cable between them: one where servers run, and
// one where clients are. Both are network namespaces that have no name. They
// exist as long as a process, a socket or the test has them open, so nothing
// is left of them, however the test ends.
//
//	servers 192.0.2.1 ──── veth ──── 192.0.2.2 clients
type Network struct {
	Servers, Clients *Namespace
	t                testing.TB
}

// ServerIP is where what is started in Network.Servers can be reached from
// Network.Clients (TEST-NET-1, RFC 5737).
const ServerIP = "192.0.2.1"

const (
	clientIP = "192.0.2.2"
	cable    = "cable" // the interface, on both sides
)

// NewNetwork makes a network of the test's own. That needs root: a test that
// runs as somebody else is skipped.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make network namespaces")
	}
	n := &Network{Servers: newNamespace(t), Clients: newNamespace(t), t: t}
	peer := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.Clients.fd)
	n.Servers.run(t, "", "ip", "link", "add", cable, "type", "veth", "peer", "name", cable, "netns", peer)
	for addr, ns := range map[string]*Namespace{ServerIP: n.Servers, clientIP: n.Clients} {
		ns.run(t, "", "ip", "address", "add", addr+"/24", "dev", cable)
		ns.run(t, "", "ip", "link", "set", cable, "up")
	}
	return n
}

// Break lets everything that is sent between the two sides vanish. Neither
// is told.
func (n *Network) Break() {
	n.t.Helper()
	// Where the clients are, so that to the servers it is the network that
	// loses what they send, and not their own kernel that refuses it.
	n.Clients.run(n.t, `table inet broken {
		chain in  { type filter hook input priority 0; iifname `+cable+` drop; }
		chain out { type filter hook output priority 0; oifname `+cable+` drop; }
	}`, "nft", "-f", "-")
}

// Heal ends Break.
func (n *Network) Heal() {
	n.t.Helper()
	n.Clients.run(n.t, "", "nft", "delete", "table", "inet", "broken")
}

// Namespace is a network of its own: interfaces, addresses, ports, rules.
type Namespace struct{ fd int }

func newNamespace(t testing.TB) *Namespace {
	t.Helper()
	ns := &Namespace{fd: -1}
	err := onOwnThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		ns.fd, err = openNamespace()
		return err
	})
	if err != nil {
		t.Fatal("make a network namespace: ", err)
	}
	t.Cleanup(func() { _ = unix.Close(ns.fd) })
	ns.run(t, "", "ip", "link", "set", "lo", "up")
	return ns
}

func openNamespace() (int, error) {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open namespace", err)
}

// Do calls f with the thread that it runs on in the namespace: sockets that f
// makes and processes that it starts are there for good. Goroutines that f
// starts are not.
func (ns *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(ns.fd, unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
		return f()
	})
}

// onOwnThread calls f on a thread whose namespace f may change, and brings the
// thread back. It does not end the thread: the processes that were started by
// it would be killed with it (see ownGroup).
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	home, err := openNamespace()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = unix.Close(home) }()
	err = f()
	if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
		// The thread stays locked: it ends with the goroutine, and nobody else
		// gets it.
		return errors.Join(err, os.NewSyscallError("setns back", back))
	}
	runtime.UnlockOSThread()
	return err
}

// Dialer returns what connects from the namespace, for Ask.Dial. Over Multipath
// TCP (RFC 8684), if both sides speak it.
func (ns *Namespace) Dialer(multipath bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	d.SetMultipathTCP(multipath)
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = ns.Do(func() (err error) {
			conn, err = d.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
}

// run runs a command in the namespace.
func (ns *Namespace) run(t testing.TB, input string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	var out []byte
	err := ns.Do(func() (err error) {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdin = strings.NewReader(input)
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// StartPod starts a pod on the servers' side that is reached there at
// ServerIP, and waits until it is ready.
func (n *Network) StartPod(redisURL string, env ...string) *Pod {
	n.t.Helper()
	path, err := Gateway()
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), Patience)
	defer cancel()
	var p *Pod
	env = append([]string{"SSE_ADDR=" + ServerIP + ":0"}, env...)
	err = n.Servers.Do(func() error {
		p, err = NewPod(ctx, path, redisURL, env...)
		return err
	})
	if p != nil {
		p.dial = n.Servers.Dialer(false)
		n.t.Cleanup(func() { p.Discard(n.t) })
	}
	if err != nil {
		n.t.Fatal(err)
	}
	p.AwaitReady(n.t)
	return p
}

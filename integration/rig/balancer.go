package rig

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Balancer is the dumbest of load balancers: it sends each TCP connection to
// the next pod in turn, and to the one after that if nobody answers. It knows
// nothing of HTTP.
type Balancer struct {
	Addr string

	mu      sync.Mutex
	pods    []string // addresses
	next    int
	open    map[net.Conn]bool
	closed  bool
	forward sync.WaitGroup
}

// StartBalancer starts a balancer before pods.
func StartBalancer(t testing.TB, pods ...*Pod) *Balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &Balancer{Addr: l.Addr().String(), open: make(map[net.Conn]bool)}
	for _, p := range pods {
		b.pods = append(b.pods, p.Addr)
	}
	b.forward.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.forward.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.mu.Lock()
		b.closed = true
		for c := range b.open {
			_ = c.Close()
		}
		b.mu.Unlock()
		b.forward.Wait()
	})
	return b
}

func (b *Balancer) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	pod := b.dial()
	if pod == nil {
		return
	}
	defer func() { _ = pod.Close() }()
	if !b.keep(client, pod) {
		return
	}
	defer b.drop(client, pod)
	both := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{pod, client}, {client, pod}} {
		b.forward.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			both <- struct{}{}
		})
	}
	<-both // one side is gone: so is the other, see the deferred closes
}

// dial connects to the next pod that answers.
func (b *Balancer) dial() net.Conn {
	for range b.pods {
		b.mu.Lock()
		addr := b.pods[b.next%len(b.pods)]
		b.next++
		b.mu.Unlock()
		if conn, err := net.Dial("tcp", addr); err == nil {
			return conn
		}
	}
	return nil
}

func (b *Balancer) keep(conns ...net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		b.open[c] = true
	}
	return !b.closed
}

func (b *Balancer) drop(conns ...net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range conns {
		delete(b.open, c)
	}
}

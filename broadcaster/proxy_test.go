package broadcaster_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a pod and its Redis, and can break what is between
// them.
type proxy struct {
	Addr   string
	target atomic.Pointer[string]

	l    net.Listener
	mu   sync.Mutex
	open map[*pair]struct{}
	done sync.WaitGroup
}

// pair is one connection through the proxy.
type pair struct {
	client, server net.Conn
	pubsub         atomic.Bool // it was seen to subscribe
	dead           atomic.Bool // bytes are swallowed, and nobody is told
}

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Addr: l.Addr().String(), l: l, open: map[*pair]struct{}{}}
	p.target.Store(&target)
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.done.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", *p.target.Load())
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		p.open[c] = struct{}{}
		p.mu.Unlock()
		p.done.Go(func() { p.copy(c, server, client) })
		p.done.Go(func() { p.copy(c, client, server) })
	}
}

func (p *proxy) copy(c *pair, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if from == c.client && bytes.Contains(buf[:n], []byte("subscribe")) {
			c.pubsub.Store(true)
		}
		if n > 0 && !c.dead.Load() {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			if c.dead.Load() && from == c.server && err == io.EOF {
				return // not even that gets through
			}
			c.close()
			p.mu.Lock()
			delete(p.open, c)
			p.mu.Unlock()
			return
		}
	}
}

func (c *pair) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (p *proxy) pairs() (list []*pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		list = append(list, c)
	}
	return list
}

// cut closes all connections.
func (p *proxy) cut() {
	for _, c := range p.pairs() {
		c.close()
	}
}

// swallow makes the present pub/sub connections half-open: nothing gets
// through any more, and no side is told. It returns how many they are.
func (p *proxy) swallow() (n int) {
	for _, c := range p.pairs() {
		if c.pubsub.Load() {
			c.dead.Store(true)
			n++
		}
	}
	return n
}

// lead leads new connections to another server. Those that there are stay.
func (p *proxy) lead(target string) { p.target.Store(&target) }

// cutCommands closes all connections but those that subscribe.
func (p *proxy) cutCommands() {
	for _, c := range p.pairs() {
		if !c.pubsub.Load() {
			c.close()
		}
	}
}

// breakingDialer makes connections of which one breaks when a subscription to
// something with this text is written to it, or never sends it.
type breakingDialer struct {
	text  string
	loses bool
	broke atomic.Bool
}

func (d *breakingDialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var nd net.Dialer
	c, err := nd.DialContext(ctx, network, addr)
	return &breakingConn{c, d}, err
}

type breakingConn struct {
	net.Conn
	dialer *breakingDialer
}

var errBroken = errors.New("connection broken by the test")

func (c *breakingConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("subscribe")) && bytes.Contains(b, []byte(c.dialer.text)) && c.dialer.broke.CompareAndSwap(false, true) {
		if c.dialer.loses {
			return len(b), nil
		}
		_ = c.Close()
		return 0, errBroken
	}
	return c.Conn.Write(b)
}

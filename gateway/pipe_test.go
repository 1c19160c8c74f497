package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
)

// pipes is a listener whose connections are net.Pipes: they have deadlines and
// no buffer, and work in a bubble of testing/synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var errPipesClosed = errors.New("closed")

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errPipesClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial returns the client's end of a connection.
func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, errPipesClosed
	}
}

// serveBubble is serve for a bubble. What it returns dials the server; stop
// must be called before the bubble ends.
func serveBubble(t *testing.T, h http.Handler) (l *pipes, stop func()) {
	t.Helper()
	l = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // it ends when it is closed
	}()
	return l, func() {
		srv.Close()
		<-done
	}
}

// clientOf returns a client of a server in the bubble.
func clientOf(l *pipes, protocol func(*http.Protocols)) *http.Client {
	tr := &http.Transport{
		DialContext:        l.dial,
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		HTTP2:              &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
	}
	protocol(tr.Protocols)
	return &http.Client{Transport: tr}
}

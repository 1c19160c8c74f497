package rig

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// requestHTTP2 asks over HTTP/2 without TLS, on a connection that serves
// nothing else: what ends it ends this stream.
func (s *Stream) requestHTTP2(ask Ask, addr string) error {
	conns := make(chan net.Conn, 1)
	conns <- s.conn
	transport := &http.Transport{
		DisableCompression: true,
		Protocols:          new(http.Protocols),
		// net/http would try again what a broken connection has left
		// unanswered; coming back is the test's.
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			select {
			case c := <-conns:
				return c, nil
			default:
				return nil, errors.New("the connection is gone")
			}
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	// The stream outlives its opening. Who waits for that closes s.
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+ask.Target(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if ask.LastEventID != "" {
		req.Header.Set("Last-Event-ID", ask.LastEventID)
	}
	resp, err := transport.RoundTrip(req) //nolint:bodyclose // Close closes the connection beneath it
	if err != nil {
		return err
	}
	s.answered(ask, resp)
	return nil
}

package gateway

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"time"
)

// connKey is the context key of a request's TCP connection.
type connKey struct{}

// ConnContext is for http.Server.ConnContext. It lets a Gateway take over the
// sockets of its streams, which then cost a fraction of the memory and of the
// time that net/http takes:
//
//	srv := &http.Server{Handler: g, ConnContext: gateway.ConnContext}
//
// It does so on Linux, for HTTP/1.x over plain TCP, where the ResponseWriter is
// an http.Hijacker; all else goes on through net/http. Middleware that wraps
// the ResponseWriter therefore sees such a stream only if it implements
// http.Hijacker itself. As with everything hijacked, http.Server.Shutdown and
// Close leave these streams alone: call Gateway.Drain first and Gateway.Close
// then.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		return context.WithValue(ctx, connKey{}, tcp)
	}
	return ctx
}

// takeable returns the connection of a request that can be taken over from its
// server, or nil.
func takeable(w http.ResponseWriter, r *http.Request) *net.TCPConn {
	tcp, _ := r.Context().Value(connKey{}).(*net.TCPConn)
	_, hijacker := w.(http.Hijacker)
	if !hijacker || r.ProtoMajor != 1 || r.TLS != nil || r.Body != http.NoBody {
		return nil
	}
	return tcp
}

// responseHead returns the status line and the headers of a stream, as net/http
// would send them.
func responseHead(w http.ResponseWriter, chunked bool) []byte {
	var b bytes.Buffer
	b.Grow(384)
	h := w.Header()
	streamHeaders(h)
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	h.Set("Connection", "close")
	if chunked {
		h.Set("Transfer-Encoding", "chunked")
		b.WriteString("HTTP/1.1 200 OK\r\n")
	} else {
		b.WriteString("HTTP/1.0 200 OK\r\n")
	}
	_ = h.Write(&b) // into memory
	b.WriteString("\r\n")
	return b.Bytes()
}

// lastChunk ends a response that is complete (RFC 9112 §7.1).
const lastChunk = "0\r\n\r\n"

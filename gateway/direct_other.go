//go:build !linux

package gateway

import "net/http"

// direct is the transport that owns its sockets. It needs Linux.
type direct struct{}

func newDirect(*Gateway) *direct { return nil }

func (*direct) connect(http.ResponseWriter, *http.Request) connection { return nil }

func (*direct) close() {}

// Package client listens to an event stream (Server-Sent Events, WHATWG HTML §9.2) from a Go program,
// and comes back when the connection breaks, at the event after the last one that it handed out.
//
//	c, err := client.New("https://example.com/events?topic=orders")
//	if err != nil {
//		return err
//	}
//	return c.Run(ctx, func(e sse.Event) error {
//		fmt.Println(e.ID, e.Name(), e.Data)
//		return nil
//	})
//
// Like a browser's EventSource it sends Last-Event-ID, keeps the server's retry time, reconnects after
// an error and after a plain end of the stream, and ends for good at status 204. Unlike it, it takes
// any method and body, backs off when reconnecting fails, retries 5xx answers, and says why a server
// refused. It starts no goroutine: everything happens within [Client.Run]. It compiles for js/wasm.
//
// The parts of one [Client.Run]:
//
//	     ┌────────────────────── next attempt ◄───────────────────────┐
//	     ▼                                                            │
//	Prepare ──► request ──► answer ──► OnOpen ──► decode ──► handle   │
//	               │           │                    │                 │
//	               └─ error ───┴─────── error ──────┴──► OnError ──► pause
package client

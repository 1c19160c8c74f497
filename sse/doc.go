// Package sse encodes and decodes event streams, the text/event-stream format of
// Server-Sent Events (WHATWG HTML §9.2, "Server-sent events").
//
// A stream is UTF-8 text made of blocks. A block is a run of lines ended by a blank line;
// a line is a field or a comment:
//
//	id: 7            the position, which the client sends back as Last-Event-ID
//	event: added     the event's type; "message" if the block names none
//	retry: 3000      how long to wait before reconnecting, in ms
//	data: first      the payload; several data lines are joined by LF
//	data: second
//	: anything       a comment, which no listener sees
//
// [Append] and the Append… functions write fields into a byte slice and allocate nothing when
// it has room; [Encoder] writes whole events to an [io.Writer]. [Decoder] reads them from an
// [io.Reader] as a browser does. The package depends on the standard library only, and knows
// nothing of HTTP: for a client that connects and reconnects see the client package.
package sse

// Package stream holds what every part of the gateway says about a topic's
// log: ids, topics and their Redis keys, entries and the frames they are sent
// as, cursors, the resume rule, and the Log that a connection reads from.
//
// It does no input and no output. It imports package sse only.
package stream

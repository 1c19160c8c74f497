package resp

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Plan is what to publish, and when. Batch i is due i/Rate seconds after the
// start; each is one write, and never waits for the answer to the one before.
type Plan struct {
	Rate    float64 // batches per second; 0 is as fast as can be
	Batches int
	// Append appends the commands of batch i. stamp is the present time (Unix
	// ns), or with StampDue when the batch was due.
	Append  func(b []byte, i int, stamp int64) []byte
	Replies int // per batch

	// StampDue makes a publisher that is late show in the latency. Without, what
	// the clock is late by does not.
	StampDue bool
}

// Run publishes, and returns when Redis has answered all.
func (c *Conn) Run(ctx context.Context, p Plan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- c.sendPaced(ctx, p) }()
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Now()) })()
	defer func() { _ = c.conn.SetReadDeadline(time.Time{}) }()
	for i := range p.Batches * p.Replies {
		if _, err := c.Receive(); err != nil {
			cancel()
			if sendErr := <-sent; sendErr != nil {
				err = sendErr
			}
			return fmt.Errorf("publish: reply %d of %d: %w", i+1, p.Batches*p.Replies, err)
		}
	}
	return <-sent
}

// sendPaced holds a thread, because the timers of an idle Go program are up to
// a millisecond late.
func (c *Conn) sendPaced(ctx context.Context, p Plan) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	start := time.Now()
	var buf []byte
	for i := range p.Batches {
		var due time.Time
		if p.Rate > 0 {
			due = start.Add(time.Duration(float64(i) / p.Rate * float64(time.Second)))
			SleepUntil(ctx, due)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		stamp := time.Now()
		if p.StampDue && p.Rate > 0 {
			stamp = due
		}
		buf = p.Append(buf[:0], i, stamp.UnixNano())
		if err := c.Send(buf); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return nil
}

// SleepUntil sleeps on the thread itself, in pieces so that ctx can end it.
func SleepUntil(ctx context.Context, due time.Time) {
	const piece = 100 * time.Millisecond
	for ctx.Err() == nil {
		d := time.Until(due)
		if d <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(min(d, piece)))
		_ = unix.Nanosleep(&ts, nil) // cut short by a signal: around again
	}
}

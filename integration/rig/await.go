package rig

import (
	"context"
	"testing"
	"time"
)

// Patience bounds every wait of a test for something that must happen. It is
// long because it is only ever waited out when the test fails.
const Patience = 60 * time.Second

const pollEvery = 5 * time.Millisecond

// Await polls until a condition holds, for what can only be asked for.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if !Poll(ctx, holds) {
		t.Fatalf("waited %v in vain until %s", Patience, what)
	}
}

// Poll asks again and again until the answer is yes; false if ctx ends first.
func Poll(ctx context.Context, holds func() bool) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Retry calls do until it succeeds, and returns its last error if ctx ends
// first.
func Retry(ctx context.Context, do func() error) (err error) {
	if Poll(ctx, func() bool { err = do(); return err == nil }) {
		return nil
	}
	return err
}

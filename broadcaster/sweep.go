package broadcaster

import (
	"context"
	"time"
)

const sweepKeys = 256 // topics in one command

// sweep is the net under all wake-ups: it asks, for every topic, whether
// there is an entry that nobody announced. While it finds none its period
// grows; blind, without any other means, it is the means.
func (h *hub) sweep(ctx context.Context) {
	period := h.timing.MinSweep
	verified := time.Now()
	timer := time.NewTimer(period)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.hurry:
			period = h.timing.MinSweep
			timer.Reset(period)
			continue
		case <-timer.C:
		}
		tails := h.all()
		blind := h.blind.Load()
		found := 0
		if blind && time.Since(verified) >= h.timing.Verify {
			verified = time.Now()
			for _, t := range tails {
				h.dirty(t)
			}
		} else {
			found = h.sweepOnce(ctx, tails)
		}
		switch {
		case blind || found > 0:
			period = h.timing.MinSweep
		default:
			period = min(2*period, h.timing.MaxSweep)
		}
		timer.Reset(max(period, h.source.load(ctx, len(tails))))
	}
}

// sweepOnce returns the number of topics that had something unannounced.
func (h *hub) sweepOnce(ctx context.Context, tails []*tail) (found int) {
	reads := make([]tailRead, 0, sweepKeys)
	asked := make([]*tail, 0, sweepKeys)
	ask := func() {
		newer, err := h.source.newer(ctx, reads)
		for i, t := range asked {
			// An error that belongs to one key does not say which: let the
			// flusher find out.
			if err != nil || newer[i] {
				h.dirty(t)
			}
			if err == nil && newer[i] {
				found++
				h.meters.unannounced.Add(ctx, 1)
				if !h.blind.Load() {
					h.refollow(t) // it should have been announced
				}
			}
		}
		reads, asked = reads[:0], asked[:0]
	}
	for _, t := range tails {
		at, quiet := t.quiet()
		if !quiet {
			continue
		}
		if at == nil {
			h.dirty(t) // no position yet, or not readable when last tried
			continue
		}
		reads, asked = append(reads, tailRead{t.topic, *at, 1}), append(asked, t)
		if len(reads) == sweepKeys {
			ask()
		}
	}
	if len(reads) > 0 {
		ask()
	}
	return found
}

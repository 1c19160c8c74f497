package broadcaster

import "time"

// timing is everything that a Broadcaster does by the clock. Users do not
// choose it; tests do, since they have no time to wait.
type timing struct {
	// Flusher.
	MinBackoff time.Duration // after a read that failed, and one that a link could not write
	MaxBackoff time.Duration // after many

	// Sweep.
	MinSweep time.Duration // between two sweeps
	MaxSweep time.Duration // the same, while wake-ups are known to arrive
	Verify   time.Duration // between full reads, while nobody tells of deletions

	// Links.
	Ping    time.Duration // between two PINGs, so that a healthy connection is never silent
	Silence time.Duration // after which a connection is taken for dead

	// Probe.
	Probe       time.Duration // between two probes
	ProbeRetry  time.Duration // the same, while Redis does not answer
	ProbeWait   time.Duration // for the links to hear
	ProbeLimit  time.Duration // for all of one probe
	RetryRefuse time.Duration // before something that Redis refused is tried again
}

func defaultTiming() timing {
	return timing{
		MinBackoff: 20 * time.Millisecond,
		MaxBackoff: time.Second,

		MinSweep: time.Second,
		MaxSweep: 30 * time.Second,
		Verify:   30 * time.Second,

		Ping:    5 * time.Second,
		Silence: 15 * time.Second,

		Probe:       5 * time.Second,
		ProbeRetry:  250 * time.Millisecond,
		ProbeWait:   time.Second,
		ProbeLimit:  5 * time.Second,
		RetryRefuse: time.Minute,
	}
}

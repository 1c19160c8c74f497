package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The receiver is a process of its own that holds the clients of the pod and
// the bare subscriber, so that both kinds of message end in the same program,
// and not in the one that sends them: a process that is running already is
// reached in a third of the time that it takes to wake one.

const receiverJob = "BENCH_RECEIVER"

// job is what a receiver is to do.
type job struct {
	Redis, Pod string // host:port
	Topics     int    // t0, t1, …: a connection each
	Count      int    // of events, and of messages on the channel "floor"
}

// outcome is what it has seen, in ns.
type outcome struct{ Events, Floor spread }

type spread struct {
	N        int
	P50, P99 time.Duration
}

// samples collects durations from many goroutines.
type samples struct {
	mu   sync.Mutex
	list []time.Duration
	want int
	full chan struct{}
}

func newSamples(n int) *samples {
	return &samples{list: make([]time.Duration, 0, n), want: n, full: make(chan struct{})}
}

func (s *samples) add(payload []byte) {
	d := age(payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list = append(s.list, d); len(s.list) == s.want {
		close(s.full)
	}
}

func (s *samples) spread() spread {
	s.mu.Lock()
	defer s.mu.Unlock()
	return spread{len(s.list), percentile(s.list, .5), percentile(s.list, .99)}
}

// startReceiver returns when all its connections are open. The function it
// returns waits for the outcome.
func startReceiver(b *testing.B, j job) func() outcome {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	spec, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), receiverJob+"="+string(spec))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		b.Fatalf("the receiver did not start: %q", lines.Text())
	}
	return func() (o outcome) {
		if !lines.Scan() {
			b.Fatal("the receiver ended without an outcome")
		}
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			b.Fatal(err)
		}
		return o
	}
}

// receive is the receiver's main function.
func receive(spec string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		return 1
	}
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fail(err)
	}
	events, floor := newSamples(j.Count), newSamples(j.Count)
	clients := make([]*listener, j.Topics)
	for i := range clients {
		var err error
		if clients[i], err = open(j.Pod, "topic=t"+strconv.Itoa(i), "", events.add); err != nil {
			return fail(err)
		}
	}
	for _, c := range clients {
		if err := c.opens(); err != nil {
			return fail(err)
		}
	}
	sub, err := dial(j.Redis)
	if err != nil {
		return fail(err)
	}
	if err := sub.send("SUBSCRIBE", "floor"); err != nil {
		return fail(err)
	}
	if _, err := sub.reply(); err != nil {
		return fail(err)
	}
	go func() {
		for {
			p, err := sub.reply()
			if err != nil {
				return
			}
			floor.add(p)
		}
	}()
	fmt.Println("ready")
	deadline := time.After(2 * time.Minute)
	for _, s := range []*samples{events, floor} {
		select {
		case <-s.full:
		case <-deadline:
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcome{events.spread(), floor.spread()}); err != nil {
		return fail(err)
	}
	return 0
}

package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssegateway/sse-gateway/sse"
)

const drainClients = 100

// beginMany opens streams that end in the order and at the times returned by
// the function.
func beginMany(t *testing.T, p *pod) (open []*memory, ends func() []time.Duration) {
	t.Helper()
	for range drainClients {
		open = append(open, begin(p, get(t, "http://x/events?topic=a")))
	}
	synctest.Wait()
	start := time.Now()
	at := make(chan time.Duration, drainClients)
	for _, m := range open {
		go func() {
			<-m.done
			at <- time.Since(start)
		}()
	}
	return open, func() (all []time.Duration) {
		for range open {
			all = append(all, <-at)
		}
		slices.Sort(all)
		return all
	}
}

// Streams end at even points of the window, each with the time to wait and by
// being cut, and Drain returns with the last.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, fixedRetry)
		open, ends := beginMany(t, p)
		start := time.Now()
		if err := p.Drain(t.Context(), 100*time.Second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 90*time.Second || d > 101*time.Second {
			t.Errorf("took %v", d)
		}
		for i, at := range ends() {
			if want := time.Duration(i) * time.Second; at < want || at > want+time.Second {
				t.Errorf("end %d of %d came after %v", i, len(open), at)
			}
		}
		for i, m := range open {
			if !m.abort || !strings.HasSuffix(m.text(), "\n\nretry: 1500\n") && !strings.HasSuffix(m.text(), ":\nretry: 1500\n") {
				t.Fatalf("client %d: aborted %v, ends with %q", i, m.abort, m.text())
			}
		}
		if n := p.metric(t, "sse.disconnects"); n["drain"] != drainClients {
			t.Errorf("ends: %v", n)
		}
		if n := p.Connections(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// Who came first does not leave first.
func TestDrainDrawsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		open, _ := beginMany(t, p)
		order := make(chan int, drainClients)
		for i, m := range open {
			go func() {
				<-m.done
				order <- i
			}()
		}
		if err := p.Drain(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		var got []int
		for range open {
			got = append(got, <-order)
		}
		if slices.IsSorted(got) {
			t.Error("in the order they came")
		}
	})
}

func TestDrainOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		start := time.Now()
		for range 2 {
			if err := p.Drain(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		// Clients that leave by themselves are not waited for any longer.
		q := newPod(t, Options{})
		open, _ := beginMany(t, q)
		go func() {
			time.Sleep(time.Second)
			for _, m := range open {
				m.cancel()
			}
		}()
		if err := q.Drain(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// When time is up Drain says so, and Close ends what is left.
func TestDrainThatHasNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		open, _ := beginMany(t, p)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Drain(ctx, 100*time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := p.Connections(); n < drainClients*8/10 || n > drainClients*95/100 {
			t.Errorf("%d connections are left", n)
		}
		start := time.Now()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 0 || p.Connections() != 0 {
			t.Errorf("Close took %v, %d connections are left", d, p.Connections())
		}
		for _, m := range open {
			<-m.done
		}
	})
}

// Close hurries a Drain that is under way.
func TestCloseWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{})
		beginMany(t, p)
		drained := make(chan error)
		go func() { drained <- p.Drain(t.Context(), time.Hour) }()
		time.Sleep(time.Minute)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-drained:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("Drain still waits")
		}
	})
}

// A client that has taken nothing yet, because Redis is silent, is told to come
// back as well.
func TestDrainBeforeTheFirstBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowStore()
		s.silence = make(chan struct{})
		p := newPodOver(t, s, fixedRetry, noLimits)
		m := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		if err := p.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		<-m.done
		if m.text() != "retry: 1500\n" || m.code() != http.StatusOK || !m.abort {
			t.Errorf("status %d, %q, aborted %v", m.code(), m.text(), m.abort)
		}
	})
}

// Connections do not get older than Lifetime, and those that came together do
// not leave together.
func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fixedRetry
		o.Lifetime = 100 * time.Second
		p := newPod(t, o)
		open, ends := beginMany(t, p)
		at := ends()
		if first, last := at[0], at[len(at)-1]; first < 90*time.Second || last > 100*time.Second || last-first < 5*time.Second {
			t.Errorf("ends between %v and %v", first, last)
		}
		for _, m := range open {
			if !m.abort || !strings.HasSuffix(m.text(), "retry: 1500\n") {
				t.Fatalf("aborted %v, ends with %q", m.abort, m.text())
			}
		}
		if n := p.metric(t, "sse.disconnects"); n["lifetime"] != drainClients {
			t.Errorf("ends: %v", n)
		}
	})
}

// A pod without room turns clients away so that they come back: a browser by a
// stream that is cut, since any other answer would be its last.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{MaxConnections: 1, OverloadRetry: 10 * time.Second})
		first := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		checkTurnedAway(t, p)
		if n := p.metric(t, "sse.connections.refused")[""]; n != 3 {
			t.Errorf("%d refused", n)
		}
		if n := p.metric(t, "sse.connections")[""]; n != 1 {
			t.Errorf("%d open", n)
		}
		first.leave()
		// Now there is.
		second := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		if len(second.events()) != 1 {
			t.Errorf("got %q", second.text())
		}
		second.leave()
		if n := p.metric(t, "sse.connections.accepted")[""]; n != 2 {
			t.Errorf("%d accepted", n)
		}
	})
}

// A pod that is going away does the same, and still answers everything else.
func TestNoNewStreamsWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{OverloadRetry: 10 * time.Second})
		if err := p.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		checkTurnedAway(t, p)
		m := begin(p, get(t, "http://x/cursor?topic=a"))
		<-m.done
		if m.code() != http.StatusOK {
			t.Errorf("/cursor: %d", m.code())
		}
	})
}

func checkTurnedAway(t *testing.T, p *pod) {
	t.Helper()
	for _, accept := range []string{"text/event-stream", "text/event-stream, */*;q=0.1"} {
		m := begin(p, get(t, "http://x/events?topic=a", "Accept", accept))
		<-m.done
		d := sse.NewDecoder(strings.NewReader(m.text()))
		if e, err := d.Decode(); err == nil || d.LastEventID() != "" {
			t.Errorf("got %+v", e)
		}
		retry, ok := d.Retry()
		if m.code() != http.StatusOK || !m.abort || !ok || retry < 10*time.Second || retry > 20*time.Second {
			t.Errorf("status %d, %q, aborted %v", m.code(), m.text(), m.abort)
		}
		if m.header.Get("Content-Type") != sse.ContentType {
			t.Errorf("headers %v", m.header)
		}
	}
	m := begin(p, get(t, "http://x/events?topic=a"))
	<-m.done
	after, err := strconv.Atoi(m.header.Get("Retry-After"))
	if m.code() != http.StatusServiceUnavailable || m.abort || err != nil || after < 10 || after > 20 {
		t.Errorf("status %d, headers %v, aborted %v", m.code(), m.header, m.abort)
	}
}

// Streams end when somebody unregisters them, or the Broadcaster is closed; a
// client then waits for longer.
func TestEndsFromTheBroadcaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{OverloadRetry: 10 * time.Second})
		forced := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		p.mu.Lock()
		for _, s := range p.sessions {
			go p.live.Unregister(s, true)
		}
		p.mu.Unlock()
		<-forced.done
		closed := begin(p, get(t, "http://x/events?topic=a"))
		synctest.Wait()
		if err := p.live.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-closed.done
		for _, m := range []*memory{forced, closed} {
			d := sse.NewDecoder(strings.NewReader(m.text()))
			if _, err := d.Decode(); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(); err == nil || !m.abort {
				t.Error("not cut")
			}
			if retry, _ := d.Retry(); retry < 10*time.Second {
				t.Errorf("to come back after %v", retry)
			}
		}
		// And then there are no new ones.
		checkTurnedAway(t, p)
		if n := p.metric(t, "sse.disconnects"); n["forced"] != 1 || n["shutdown"] != 1 {
			t.Errorf("ends: %v", n)
		}
	})
}

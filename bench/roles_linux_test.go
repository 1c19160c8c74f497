package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/bench/internal/floor"
	"github.com/ssegateway/sse-gateway/bench/internal/load"
	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// TestMain lets the test's binary take the roles of the program's.
func TestMain(m *testing.M) {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	switch role {
	case "load":
		err = load.Main()
	case "floor":
		err = floor.Main()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func startLoad(t *testing.T) *load.Load {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := load.Start(self)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Kill)
	return l
}

func do(t *testing.T, l *load.Load, cmd load.Command) load.Report {
	t.Helper()
	r, err := l.Do(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheFloorDeliversToTheLoad(t *testing.T) {
	const connections, rounds, perWrite = 50, 4, 3
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := floor.Start(t.Context(), self)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Kill)
	l := startLoad(t)
	lab := &lab{load: l, floor: f, numbers: make(map[string]uint64)}
	if _, err := lab.connect(t.Context(), "all", load.Connect{N: connections, Next: 1}); err != nil {
		t.Fatal(err)
	}
	if err := lab.deliver(t.Context(), traffic{rate: 1000, batches: rounds, perBatch: perWrite}); err != nil {
		t.Fatal(err)
	}
	r, err := lab.report(t.Context(), "all")
	if err != nil {
		t.Fatal(err)
	}
	if err := exactly(r, connections*rounds*perWrite); err != nil {
		t.Error(err)
	}
	if r.Open != connections || r.Segments != connections*rounds || r.Latency.N != r.Events || r.Latency.P50 <= 0 {
		t.Errorf("got %+v", r)
	}
	// What is not read waits.
	do(t, l, load.Command{Op: load.OpStop, Group: "all", N: 20})
	if err := lab.send(t.Context(), traffic{rate: 1000, batches: 1}); err != nil {
		t.Fatal(err)
	}
	if err := lab.arrived(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	if r, _ := lab.report(t.Context(), "all"); r.Stopped != 20 || r.Events != connections*rounds*perWrite+30 {
		t.Errorf("got %+v", r)
	}
	do(t, l, load.Command{Op: load.OpResume, Group: "all"})
	if err := lab.total(t.Context(), "all", connections*(rounds*perWrite+1)); err != nil {
		t.Error(err)
	}
}

// pod answers requests with events of the given numbers.
func pod(t *testing.T, requests chan<- string, numbers ...uint64) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn, requests, numbers)
		}
	}()
	return l.Addr().String()
}

func serve(conn net.Conn, requests chan<- string, numbers []uint64) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	var request strings.Builder
	for !strings.HasSuffix(request.String(), "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		request.WriteString(line)
	}
	requests <- request.String()
	open := "retry: 1\nid: 0-0\nevent: gateway.open\ndata: {}\n\n"
	b := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(open), open)
	for _, n := range numbers {
		b = wire.AppendChunk(b, fmt.Sprintf("1-%d", n), wire.AppendPayload(nil, time.Now().UnixNano(), n))
	}
	_, _ = conn.Write(b)
	_, _ = io.Copy(io.Discard, conn) // until the client goes
}

func TestTheLoadSeesWhatIsLostAndWhatIsDoubled(t *testing.T) {
	l := startLoad(t)
	for _, c := range []struct {
		numbers           []uint64
		skipped, repeated int64
	}{
		{[]uint64{1, 2, 3}, 0, 0},
		{[]uint64{2, 3}, 1, 0},
		{[]uint64{1, 4, 5}, 2, 0},
		{[]uint64{1, 2, 2, 3}, 0, 1},
		{[]uint64{1, 3, 2, 4}, 1, 1},
	} {
		group := fmt.Sprint(c.numbers)
		addr := pod(t, make(chan string, 10), c.numbers...)
		do(t, l, load.Command{Op: load.OpConnect, Group: group, Connect: load.Connect{
			Addr: addr, N: 1, Mode: load.Events, Prefix: "t", Topics: 1, PerConnection: 1, Next: 1,
		}})
		r := do(t, l, load.Command{Op: load.OpWait, Group: group, Events: int64(len(c.numbers))})
		if r.Skipped != c.skipped || r.Repeated != c.repeated {
			t.Errorf("%v: got %+v", c.numbers, r)
		}
		if faulty := c.skipped+c.repeated > 0; (r.Faults() != nil) != faulty {
			t.Errorf("%v: got faults %v", c.numbers, r.Faults())
		}
	}
}

func TestTheLoadComesBackWhereItWas(t *testing.T) {
	l := startLoad(t)
	requests := make(chan string, 10)
	addr := pod(t, requests, 1, 2)
	do(t, l, load.Command{Op: load.OpConnect, Group: "all", Connect: load.Connect{
		Addr: addr, N: 2, Mode: load.Events, Prefix: "t", Topics: 3, PerConnection: 2,
	}})
	for range 2 {
		r := <-requests
		if !strings.HasPrefix(r, "GET /events?topic=t0&topic=t1 ") && !strings.HasPrefix(r, "GET /events?topic=t2&topic=t0 ") {
			t.Errorf("asked %q", r)
		}
	}
	do(t, l, load.Command{Op: load.OpWait, Group: "all", Events: 4})
	do(t, l, load.Command{Op: load.OpReconnect, Group: "all"})
	for range 2 {
		if r := <-requests; !strings.Contains(r, "\r\nLast-Event-ID: 1-2\r\n") {
			t.Errorf("asked %q", r)
		}
	}
	// This pod begins again, which is a fault of a pod.
	if r := do(t, l, load.Command{Op: load.OpWait, Group: "all", Events: 8}); r.Repeated != 4 {
		t.Errorf("got %+v", r)
	}
}

func TestWhatDoesNotOpenIsToldWithItsReason(t *testing.T) {
	l := startLoad(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := silent.Addr().String()
	connect := load.Command{Op: load.OpConnect, Group: "a", Timeout: 50 * time.Millisecond, Connect: load.Connect{
		Addr: addr, N: 3, Mode: load.Events, Topics: 1, PerConnection: 1,
	}}
	if _, err := l.Do(t.Context(), connect); err == nil || !strings.Contains(err.Error(), "0 of 3 connections are open") {
		t.Errorf("got %v", err)
	}
	_ = silent.Close()
	connect.Group = "b"
	if _, err := l.Do(t.Context(), connect); err == nil || !strings.Contains(err.Error(), "3 of 3 connections did not open") {
		t.Errorf("got %v", err)
	}
}

func TestMetrics(t *testing.T) {
	m := parseMetrics("# HELP a b\n# TYPE a gauge\na 3\nb{x=\"y\"} 4\nc 1.5e+06\n")
	if m["a"] != 3 || m["c"] != 1.5e6 {
		t.Errorf("got %v", m)
	}
}

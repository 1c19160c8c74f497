// Package floor is the least that delivering can cost: a process that writes
// ready-made bytes to sockets in a bare loop. What a pod needs above it is the
// price of everything else.
package floor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ssegateway/sse-gateway/bench/internal/child"
	"github.com/ssegateway/sse-gateway/bench/internal/wire"
)

// Command is a request to the process: Accept so many connections, or send
// Rounds times PerWrite events in one write to each, or to one of them in turn.
type Command struct {
	Accept   int
	Rounds   int
	PerWrite int
	InTurn   bool
	Rate     float64 // rounds per second
}

// Floor is the process.
type Floor struct {
	*child.Caller
	Addr string
}

// Start starts this program as a floor.
func Start(ctx context.Context, self string) (*Floor, error) {
	// The runtime would interrupt what it takes for a loop.
	p, err := child.StartPiped("floor", append(os.Environ(), "GODEBUG=asyncpreemptoff=1"), self, "floor")
	if err != nil {
		return nil, err
	}
	f := &Floor{Caller: child.NewCaller(p)}
	var hello struct{ Addr string }
	if err := f.Call(ctx, Command{}, &hello); err != nil {
		f.Kill()
		return nil, err
	}
	f.Addr = hello.Addr
	return f, nil
}

// server is the process's own side.
type server struct {
	listener int
	addr     string
	sockets  []int
	number   uint64 // of the last event to all
	turn     int    // of events to one
	buf      []byte
}

// Main is the process's main function.
func Main() error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // it lives for seconds
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	s, err := listen()
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var req child.Request
		var cmd Command
		if err := json.Unmarshal(in.Bytes(), &req); err != nil {
			return err
		}
		if err := json.Unmarshal(req.Body, &cmd); err != nil {
			return err
		}
		reply := child.Reply{ID: req.ID, Body: json.RawMessage(`{"Addr":` + strconv.Quote(s.addr) + `}`)}
		if err := s.do(cmd); err != nil {
			reply.Error = err.Error()
		}
		if err := out.Encode(reply); err != nil {
			return err
		}
	}
	return in.Err()
}

func listen() (*server, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	return &server{listener: fd, addr: fmt.Sprintf("127.0.0.1:%d", own.(*unix.SockaddrInet4).Port)}, nil
}

func (s *server) do(cmd Command) error {
	for range cmd.Accept {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return fmt.Errorf("TCP_NODELAY: %w", err)
		}
		s.sockets = append(s.sockets, fd)
	}
	start := time.Now()
	for i := range cmd.Rounds {
		sleepUntil(start.Add(time.Duration(float64(i) / cmd.Rate * float64(time.Second))))
		to, number := s.sockets, s.number+1
		if cmd.InTurn {
			n := len(s.sockets)
			to, number = s.sockets[s.turn%n:s.turn%n+1], uint64(s.turn/n+1)
			s.turn++
		} else {
			s.number += uint64(cmd.PerWrite)
		}
		if err := s.write(to, number, cmd.PerWrite); err != nil {
			return err
		}
	}
	return nil
}

// sleepUntil keeps it from the runtime, which has work with every system call
// that blocks.
func sleepUntil(due time.Time) {
	for {
		d := time.Until(due)
		if d <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(d))
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
}

// write writes events, numbered from first on, to some sockets.
func (s *server) write(sockets []int, first uint64, events int) error {
	s.buf = s.buf[:0]
	now := time.Now()
	for i := range events {
		id := strconv.FormatInt(now.UnixMilli(), 10) + "-0"
		s.buf = wire.AppendChunk(s.buf, id, wire.AppendPayload(nil, now.UnixNano(), first+uint64(i)))
	}
	at, size := uintptr(unsafe.Pointer(&s.buf[0])), uintptr(len(s.buf)) // s.buf lives on the heap, and stays there
	for _, fd := range sockets {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), at, size)
		if errno != 0 {
			return fmt.Errorf("write: %w", errno)
		}
		if n != size {
			return fmt.Errorf("write: %w", io.ErrShortWrite)
		}
	}
	runtime.KeepAlive(s.buf)
	return nil
}

// Package embedded is the Redis that is built into the gateway, for trying it
// out and for development: miniredis, made to behave like Redis 7 where the
// gateway depends on it.
//
//	client ─► conn ─► hook ─────────────────────────────► miniredis
//	            ▲      │ XADD, XDEL, DEL, EXEC, EVAL, …:     │
//	            │      │ carried out by the hook, which      │
//	            │      │ counts, then publishes              │
//	            └──────┴──────── __keyspace@0__:<key> ◄──────┘
//
// What miniredis lacks and is added here: keyspace notifications (always on),
// the counters in XINFO STREAM by which lost history is recognized, ids that
// never go back, keys that expire as time goes by, INFO and CONFIG GET of what
// the gateway asks for, and writes that no stalled client can block.
// Everything is in memory and ends with the process.
package embedded

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// tick is how often keys expire.
const tick = time.Second

// Server is a running embedded Redis.
type Server struct {
	redis *miniredis.Miniredis
	srv   *server.Server // of redis
	l     net.Listener
	runID string
	began time.Time

	done    chan struct{}  // closed by Close
	running sync.WaitGroup // accept and expire
	conns   sync.WaitGroup // the writers of connections
	once    sync.Once

	peersMu sync.Mutex
	peers   map[*server.Peer]*session // nil for our own recorders

	// mu is held while a command that changes keys is carried out, so that
	// counters and notifications are in the order of the changes.
	mu       sync.Mutex
	streams  map[dbKey]*counters
	notes    []note
	scratch  *recorder // for the hook's own questions
	script   *recorder // for the calls of scripts
	answers  *recorder // for answers of the hook's own making
	selected int       // database of scratch
	scriptDB int       // database of the script or transaction under way
}

// Start starts a server that listens on a TCP address: host:port, and port 0
// is any that is free. Errors are those of net.Listen.
func Start(addr string) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	m := miniredis.NewMiniRedis()
	// The first Dial starts a server without a listener. Ours wraps what it
	// accepts.
	first, err := m.Dial()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	_ = first.Close()
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	s := &Server{
		redis:   m,
		srv:     m.Server(),
		l:       l,
		runID:   hex.EncodeToString(id[:]),
		began:   time.Now(),
		done:    make(chan struct{}),
		peers:   make(map[*server.Peer]*session),
		streams: make(map[dbKey]*counters),
	}
	s.scratch, s.script, s.answers = s.newRecorder(), s.newRecorder(), s.newRecorder()
	s.srv.SetPreHook(s.hook)
	s.running.Go(s.accept)
	s.running.Go(s.expire)
	return s, nil
}

// Addr returns the address that the server listens on, host:port.
func (s *Server) Addr() string { return s.l.Addr().String() }

// Close ends the server and all its connections, and waits for them. Closing
// twice is closing once.
func (s *Server) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = s.l.Close()
	})
	s.running.Wait()
	s.redis.Close()
	s.conns.Wait()
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			select {
			case <-s.done:
				return
			case <-time.After(50 * time.Millisecond): // out of file descriptors, perhaps
				continue
			}
		}
		conn := newConn(c)
		s.conns.Go(conn.send)
		s.srv.ServeConn(conn)
	}
}

// expire lets time go by for keys that have a TTL. (miniredis can do that by
// itself, but then goes through all keys at every command.)
func (s *Server) expire() {
	t := time.NewTicker(tick)
	defer t.Stop()
	for last := time.Now(); ; {
		select {
		case <-s.done:
			return
		case now := <-t.C:
			s.mu.Lock()
			s.redis.FastForward(now.Sub(last))
			s.noteExpired()
			s.publish()
			s.mu.Unlock()
			last = now
		}
	}
}

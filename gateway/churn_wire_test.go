package gateway

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httputil"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/stream"
)

// TestChurn on real sockets: two pods over one store, the streams of one direct
// and of the other portable, and clients that go from one to the other, cutting
// their streams at any byte.
func TestChurnOverTransports(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is one transport")
	}
	const topics, clients, publishers, events = 6, 40, 4, 300
	store := newSlowStore()
	var pods []*served
	for _, r := range []*rig{{}, {direct: true}} {
		pods = append(pods, r.startOver(t, store, Options{HistoryBytes: 10_000}, broadcaster.Limits{TopicBytes: 1500}))
	}
	name := func(i int) stream.Topic { return stream.Topic(fmt.Sprint("t", i)) }
	var published, left sync.WaitGroup
	stop := make(chan struct{})
	all := make([]*visitor, clients)
	for i := range all {
		v := &visitor{got: map[stream.Topic][]stream.ID{}, from: map[stream.Topic]stream.ID{}}
		for _, n := range rand.Perm(topics)[:1+rand.IntN(topics)] {
			v.topics = append(v.topics, name(n))
		}
		all[i] = v
		left.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					v.call(t, pods[rand.IntN(2)].addr, rand.N(100*time.Millisecond), func() bool { return false })
				}
			}
		})
	}
	for range publishers {
		published.Go(func() {
			for range events {
				pods[rand.IntN(2)].publish(t, name(rand.IntN(topics)), strings.Repeat("x", rand.IntN(100)))
				time.Sleep(rand.N(5 * time.Millisecond))
			}
		})
	}
	published.Wait()
	close(stop)
	left.Wait()
	last := map[stream.Topic]stream.ID{}
	for i := range topics {
		info, err := store.Bounds(t.Context(), name(i))
		if err != nil {
			t.Fatal(err)
		}
		last[name(i)] = info.LastGenerated
	}
	for i, v := range all {
		left.Go(func() {
			v.call(t, pods[i%2].addr, patience, func() bool { return v.reached(last) })
			v.check(t, i, store)
		})
	}
	left.Wait()
	for _, p := range pods {
		if n := p.meters.gaps.Load() + p.meters.resets.Load(); n > 0 {
			t.Errorf("%d gaps and resets", n)
		}
		if p.rig.direct == (directStreams(p.Gateway) == 0) {
			t.Errorf("%s: %d direct streams", p.rig.name(), directStreams(p.Gateway))
		}
	}
}

// reached reports whether a visitor has got as far as there is something.
func (v *visitor) reached(last map[stream.Topic]stream.ID) bool {
	for _, topic := range v.topics {
		at := v.from[topic]
		if n := len(v.got[topic]); n > 0 {
			at = v.got[topic][n-1]
		}
		if at != last[topic] {
			return false
		}
	}
	return true
}

// call opens a stream on a socket and takes what comes until it has stayed for
// long enough, or is done. The end of what was sent may be lost.
func (v *visitor) call(t *testing.T, addr net.Addr, stay time.Duration, done func() bool) {
	rand.Shuffle(len(v.topics), func(i, j int) { v.topics[i], v.topics[j] = v.topics[j], v.topics[i] })
	query := "last_event_id=" + v.cursor
	for _, topic := range v.topics {
		query += "&topic=" + string(topic)
	}
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	version := []string{"HTTP/1.0", "HTTP/1.1"}[rand.IntN(2)]
	if _, err := io.WriteString(conn, askBy(version, query)); err != nil {
		t.Error(err)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(stay))
	// A head that is cut leaves nothing to be read.
	r := bufio.NewReader(pausing{conn})
	for line, err := "", error(nil); line != "\r\n" && err == nil; {
		line, err = r.ReadString('\n')
	}
	var body io.Reader = r
	if version == "HTTP/1.1" {
		body = httputil.NewChunkedReader(r)
	}
	v.take(t, body, done)
	if rand.IntN(3) == 0 {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

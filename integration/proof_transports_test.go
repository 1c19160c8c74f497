package integration

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// The transports are how a pod writes to its clients, and must not differ in
// what clients get.
const (
	direct   = "direct"   // the gateway owns the sockets of HTTP/1.x
	portable = "portable" // net/http owns all
	mixed    = "mixed"    // of a proof: pods of both
)

// transportEnv is the configuration of a pod of one transport.
func transportEnv(transport string) []string {
	return []string{"SSE_TRANSPORT=" + map[string]string{direct: "auto", portable: "portable"}[transport]}
}

// proofTransport is on what TestPromise runs: PROOF_TRANSPORT, or mixed.
func proofTransport(t *testing.T) string {
	t.Helper()
	v := cmp.Or(os.Getenv("PROOF_TRANSPORT"), mixed)
	if !slices.Contains([]string{direct, portable, mixed}, v) {
		t.Fatalf("PROOF_TRANSPORT=%s: want direct, portable or mixed", v)
	}
	return v
}

// drawTransports says of what transport each pod is. Of a mix at least one is
// of each, and stays so, since a pod is replaced by one of its own transport.
func drawTransports(seed uint64, s scale) []string {
	all := make([]string, s.pods)
	rng := rand.New(rand.NewPCG(seed, 3))
	for i := range all {
		switch {
		case s.transport != mixed:
			all[i] = s.transport
		case i < 2:
			all[i] = []string{direct, portable}[i]
		default:
			all[i] = []string{direct, portable}[rng.IntN(2)]
		}
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// served counts what one client was served by one transport over one version
// of HTTP. By which, the answer says, and not what was configured.
type served map[way]*servedCount

type way struct {
	transport string
	protocol  rig.Protocol
}

type servedCount struct{ connections, deliveries int }

// by returns the count of a stream's way.
func (s served) by(takenOver bool, protocol rig.Protocol) *servedCount {
	w := way{portable, protocol}
	if takenOver {
		w.transport = direct
	}
	if s[w] == nil {
		s[w] = new(servedCount)
	}
	return s[w]
}

// ways returns the ways that a proof over a transport can go.
func ways(transport string) (all []way) {
	for _, protocol := range []rig.Protocol{rig.HTTP11, rig.HTTP10, rig.HTTP2} {
		if transport != portable && protocol != rig.HTTP2 {
			all = append(all, way{direct, protocol})
		}
		if transport != direct {
			all = append(all, way{portable, protocol})
		}
	}
	return all
}

// served sums up over all clients.
func (p *proof) served() served {
	sum := make(served)
	for _, c := range p.clients {
		for w, n := range c.served {
			total := sum.by(w.transport == direct, w.protocol)
			total.connections += n.connections
			total.deliveries += n.deliveries
		}
	}
	return sum
}

// requireTransports fails a proof that did not run on what it was to run on.
func (p *proof) requireTransports(t *testing.T) {
	t.Helper()
	sum, wanted := p.served(), ways(p.scale.transport)
	for _, w := range wanted {
		if n := sum[w]; n == nil || n.deliveries == 0 {
			t.Errorf("no event was delivered on the %s transport over %s", w.transport, w.protocol)
		}
	}
	for w, n := range sum {
		if !slices.Contains(wanted, w) {
			t.Errorf("%d connections were served on the %s transport over %s, in a proof of the transport %s", n.connections, w.transport, w.protocol, p.scale.transport)
		}
	}
}

// String is a line for each way.
func (s served) String() (lines string) {
	for _, w := range ways(mixed) {
		if n := s[w]; n != nil {
			lines += fmt.Sprintf("\n    %-8s %-8s %6d connections, %8d deliveries", w.transport, w.protocol, n.connections, n.deliveries)
		}
	}
	return lines
}

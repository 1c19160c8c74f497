package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// fleet is the pods behind the load balancer that the clients are: each picks
// one for each connection, as it comes.
type fleet struct {
	start func(ctx context.Context, transport string) (*rig.Pod, error)

	mu        sync.Mutex
	pods      []*rig.Pod // in service
	all       []*rig.Pod // ever started
	transport map[*rig.Pod]string
}

// Nothing is trimmed, since what is trimmed is told, and not delivered. A pod
// that ends does so within the proof.
var proofEnv = []string{"SSE_MAXLEN=0", "SSE_LAME_DUCK=500ms", "SSE_DRAIN_WINDOW=1s"}

// Every other pod is of each kind: one that forgets quickly, so that clients
// are often behind its memory and need the history, and one that puts
// heartbeats between the events.
var (
	cramped = []string{"SSE_RING_BYTES=64KiB", "SSE_LINGER=1s", "SSE_WRITE_TIMEOUT=1s"}
	beating = []string{"SSE_HEARTBEAT=1s"}
)

func startFleet(t *testing.T, transports []string, path, redisURL string, env ...string) *fleet {
	t.Helper()
	env = append(env, proofEnv...)
	f := &fleet{transport: make(map[*rig.Pod]string)}
	f.start = func(ctx context.Context, transport string) (*rig.Pod, error) {
		kind := cramped
		if len(f.all)%2 == 1 {
			kind = beating
		}
		env := slices.Concat(kind, env)
		if transport != "" {
			env = append(env, transportEnv(transport)...)
		}
		return rig.NewPod(ctx, path, redisURL, env...)
	}
	t.Cleanup(func() {
		for _, p := range f.all {
			p.Discard(t)
		}
	})
	for _, transport := range transports {
		if err := f.add(t.Context(), transport); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range f.pods {
		p.AwaitReady(t)
	}
	return f
}

func (f *fleet) add(ctx context.Context, transport string) error {
	p, err := f.start(ctx, transport)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p != nil {
		f.all = append(f.all, p)
		f.transport[p] = transport
	}
	if err == nil {
		f.pods = append(f.pods, p)
	}
	return err
}

// pick returns a pod in service.
func (f *fleet) pick(n uint64) *rig.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pods[n%uint64(len(f.pods))]
}

// replace starts a new pod of the same transport and then takes the old one out
// of service. It does not wait until the new one is ready, so clients meet it
// before that.
func (f *fleet) replace(ctx context.Context, old *rig.Pod) error {
	f.mu.Lock()
	transport := f.transport[old]
	f.mu.Unlock()
	if err := f.add(ctx, transport); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.pods {
		if p == old {
			f.pods = append(f.pods[:i], f.pods[i+1:]...)
		}
	}
	return nil
}

// faultCounts is how often each fault was done. Of killed connections it
// counts the connections.
type faultCounts map[faultKind]int

// breakThings follows the schedule of faults.
func (p *proof) breakThings(ctx context.Context) error {
	begin := time.Now()
	p.faults = make(faultCounts)
	var drained []*rig.Pod
	for _, f := range p.plan.faults {
		if !pause(ctx, time.Until(begin.Add(f.at))) {
			return ctx.Err()
		}
		n, err := 1, error(nil)
		switch f.kind {
		case killPod: // the dead one stays in service until it is replaced
			victim := p.fleet.pick(f.pick)
			victim.Kill()
			err = p.fleet.replace(ctx, victim)
		case drainPod:
			victim := p.fleet.pick(f.pick)
			drained = append(drained, victim)
			err = errors.Join(victim.Signal(syscall.SIGTERM), p.fleet.replace(ctx, victim))
		case freezePod:
			victim := p.fleet.pick(f.pick)
			err = victim.Signal(syscall.SIGSTOP)
			pause(ctx, f.last)
			err = errors.Join(err, victim.Signal(syscall.SIGCONT))
		case killPubSub:
			n, err = p.killConnections(ctx, "TYPE", "pubsub")
		case killNormal:
			n, err = p.killConnections(ctx, "TYPE", "normal")
		case killOne:
			n, err = p.killOneConnection(ctx, f.pick)
		case killRedis:
			err = p.redis.Down(ctx)
			pause(ctx, f.last)
			err = errors.Join(err, p.redis.Up(ctx))
		case freezeRedis:
			err = p.redis.Freeze(ctx)
			pause(ctx, f.last)
			err = errors.Join(err, p.redis.Thaw(ctx))
		}
		if err != nil {
			return fmt.Errorf("%s at %v: %w", f.kind, f.at, err)
		}
		p.faults[f.kind] += n
	}
	for _, pod := range drained {
		if code, err := pod.Wait(ctx); err != nil || code != 0 {
			return fmt.Errorf("%s was terminated and should exit with 0: exit code %d, %w\n%s", pod.Name, code, err, pod.Log.Tail(40))
		}
	}
	return nil
}

// killConnections kills all connections that fit a filter of CLIENT KILL: the
// pods', and the test's own publishers'.
func (p *proof) killConnections(ctx context.Context, filter ...string) (int, error) {
	admin := p.admin()
	defer func() { _ = admin.Close() }()
	n, err := admin.ClientKillByFilter(ctx, append(filter, "SKIPME", "yes")...).Result()
	return int(n), err
}

// killOneConnection kills one of all connections.
func (p *proof) killOneConnection(ctx context.Context, pick uint64) (int, error) {
	admin := p.admin()
	defer func() { _ = admin.Close() }()
	own, err := admin.ClientID(ctx).Result()
	if err != nil {
		return 0, err
	}
	var ids []string
	if !rig.Poll(ctx, func() bool { // right after another fault nobody may be there
		var list string
		if list, err = admin.ClientList(ctx).Result(); err != nil {
			return true
		}
		for line := range strings.Lines(list) {
			id, ok := strings.CutPrefix(strings.Fields(line)[0], "id=")
			if ok && id != strconv.FormatInt(own, 10) {
				ids = append(ids, id)
			}
		}
		return len(ids) > 0
	}) {
		err = errors.New("CLIENT LIST names nobody but us")
	}
	if err != nil {
		return 0, err
	}
	// One that has gone by itself meanwhile is no error: it counts 0.
	n, err := admin.ClientKillByFilter(ctx, "ID", ids[pick%uint64(len(ids))]).Result()
	return int(n), err
}

// admin returns a client of one connection, which no earlier fault has touched.
func (p *proof) admin() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: p.redis.Addr, MaxRetries: -1, PoolSize: 1})
}

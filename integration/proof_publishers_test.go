package integration

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/broadcaster"
	"github.com/ssegateway/sse-gateway/integration/check"
	"github.com/ssegateway/sse-gateway/integration/rig"
	"github.com/ssegateway/sse-gateway/stream"
)

// send publishes one batch. An id for each event that was acknowledged, in
// the batch's order; those that follow may or may not be stored.
type send func(ctx context.Context, topic, event string, data []string) (ids []string, err error)

// publisher publishes until its share of the events is acknowledged.
type publisher struct {
	name string
	send send
	rng  *rand.Rand
	most int // events in a batch

	attempts []check.Publication // its own until it has returned
	failed   int
}

// newPublishers returns some for each way to publish.
func newPublishers(t testing.TB, p *proof) []*publisher {
	var all []*publisher
	add := func(name string, n, most int, s send) {
		for i := range n {
			rng := rand.New(rand.NewPCG(p.seed, uint64(100+len(all))))
			all = append(all, &publisher{name: fmt.Sprintf("%s-%d", name, i), send: s, rng: rng, most: most})
		}
	}
	add("xadd", 3, 1, sendRaw(p.redis.Client()))
	add("pipeline", 1, 20, sendRaw(p.redis.Client()))
	add("http", 3, 1, sendHTTP(t, p.fleet))
	add("api", 2, 1, sendAPI(t, p.redis))
	return all
}

func (pub *publisher) run(ctx context.Context, p *proof) {
	share := p.scale.rate / len(p.publishers)
	total := int(p.scale.duration.Seconds() * float64(share))
	begin, acked := time.Now(), 0
	for n := 0; acked < total && ctx.Err() == nil; {
		// After an outage it publishes without a pause until it is on time.
		due := begin.Add(time.Duration(acked) * time.Second / time.Duration(share))
		if !pause(ctx, time.Until(due)) {
			return
		}
		topic, event := p.drawTopic(pub.rng), drawEvent(pub.rng)
		data := make([]string, 1+pub.rng.IntN(pub.most))
		for i := range data {
			n++
			padding := pub.rng.IntN(300)
			if topic == p.plan.heavy {
				padding *= 200
			}
			data[i] = payload(topic, pub.name, n, padding)
		}
		ids, err := pub.send(ctx, topic, event, data)
		for i, d := range data {
			a := check.Publication{By: pub.name, Topic: topic, Data: brief(d), Acked: i < len(ids)}
			if a.Acked {
				a.ID = ids[i]
			}
			pub.attempts = append(pub.attempts, a)
		}
		acked += len(ids)
		if err != nil {
			pub.failed++
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// drawTopic prefers the first topics, as the world does: the i-th gets about
// 1/i of what the first gets. Late topics wait for the clients that must be
// there before their first entry.
func (p *proof) drawTopic(rng *rand.Rand) string {
	for {
		n := len(p.plan.topics)
		i := int(math.Pow(float64(n+1), rng.Float64())) - 1
		topic := p.plan.topics[min(i, n-1)]
		if topic < p.plan.late[0] || p.lateClientsAreThere() {
			return topic
		}
	}
}

func (p *proof) lateClientsAreThere() bool {
	for _, c := range p.clients {
		if c.first {
			select {
			case <-c.opened:
			default:
				return false
			}
		}
	}
	return true
}

func drawEvent(rng *rand.Rand) string { return []string{"", "paid", "shipped"}[rng.IntN(3)] }

// payload makes data that no other publication has: topic, publisher, number,
// time, and padding of one or two lines.
func payload(topic, by string, n, padding int) string {
	line := strings.Repeat("x", padding/2)
	if padding%3 == 0 {
		line += "\n"
	}
	return fmt.Sprintf("%s %s %d %d %s%s", topic, by, n, time.Now().UnixMicro(), line, strings.Repeat("y", padding/2))
}

// brief stands for data in what is compared: long data by its beginning and a
// digest, since hundreds of clients keep what they have received.
func brief(data string) string {
	const most = 1000
	if len(data) <= most {
		return data
	}
	return fmt.Sprintf("%s… %x", data[:100], sha256.Sum256([]byte(data)))
}

// readPayload returns topic and time of a payload.
func readPayload(data string) (topic string, at time.Time) {
	parts := strings.SplitN(data, " ", 5)
	if len(parts) < 4 {
		return "?", time.Time{}
	}
	us, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return "?", time.Time{}
	}
	return parts[0], time.UnixMicro(us)
}

// sendRaw is XADD, as any program in any language may do it.
func sendRaw(rdb *redis.Client) send {
	return func(ctx context.Context, topic, event string, data []string) (ids []string, err error) {
		cmds, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for _, d := range data {
				values := []string{"data", d}
				if event != "" {
					values = append(values, "event", event)
				}
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: "sse:" + topic, Values: values})
			}
			return nil
		})
		for _, cmd := range cmds {
			if cmd.Err() != nil {
				break
			}
			ids = append(ids, cmd.(*redis.StringCmd).Val())
		}
		return ids, err
	}
}

// sendHTTP posts to any pod.
func sendHTTP(t testing.TB, pods *fleet) send {
	transport := &http.Transport{MaxIdleConnsPerHost: 4}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return func(ctx context.Context, topic, event string, data []string) ([]string, error) {
		target := pods.pick(rand.Uint64()).URL("/publish?" + url.Values{"topic": {topic}, "event": {event}}.Encode())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(data[0]))
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			if resp.StatusCode < 500 {
				t.Errorf("POST /publish of a valid event: %s: %s", resp.Status, body)
			}
			return nil, errors.New(resp.Status)
		}
		var answer struct{ ID string }
		if err := json.Unmarshal(body, &answer); err != nil || answer.ID == "" {
			t.Errorf("POST /publish: want an id in the answer, got %s", body)
		}
		return []string{answer.ID}, nil
	}
}

// sendAPI is a Go program that embeds the broadcaster, and nothing else.
func sendAPI(t testing.TB, r *rig.Redis) send {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1})
	b, err := broadcaster.NewRedis(rdb, broadcaster.RedisOptions{Options: broadcaster.Options{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), rig.Patience)
		defer cancel()
		if err := errors.Join(b.Close(ctx), rdb.Close()); err != nil {
			t.Errorf("close the publishing broadcaster: %v", err)
		}
	})
	return func(ctx context.Context, topic, event string, data []string) ([]string, error) {
		ids, err := b.BroadcastTo(ctx, stream.Message{Event: event, Data: data[0]}, stream.Topic(topic))
		if err != nil {
			return nil, err
		}
		return []string{ids[0].String()}, nil
	}
}

// addClosing adds an entry after everything else, on a connection of its own.
func (p *proof) addClosing(ctx context.Context, topic string) error {
	return rig.Retry(ctx, func() error {
		return p.redis.Client().XAdd(ctx, &redis.XAddArgs{Stream: "sse:" + topic, Values: []string{"data", payload(topic, "closing", 0, 0)}}).Err()
	})
}

// readTruth reads what Redis holds.
func (p *proof) readTruth(ctx context.Context, t *testing.T) {
	t.Helper()
	p.truth = make(map[string][]check.Entry, len(p.plan.topics))
	for _, topic := range p.plan.topics {
		var messages []redis.XMessage
		if err := rig.Retry(ctx, func() (err error) {
			messages, err = p.redis.Client().XRange(ctx, "sse:"+topic, "-", "+").Result()
			return err
		}); err != nil {
			t.Fatalf("read what Redis holds: %v", err)
		}
		entries := make([]check.Entry, 0, len(messages))
		for _, m := range messages {
			event, _ := m.Values["event"].(string)
			data, _ := m.Values["data"].(string)
			entries = append(entries, check.Entry{ID: m.ID, Event: event, Data: brief(data)})
		}
		p.truth[topic] = entries
	}
}

// stored returns how many events Redis holds.
func (p *proof) stored() (n int) {
	for _, entries := range p.truth {
		n += len(entries)
	}
	return n
}

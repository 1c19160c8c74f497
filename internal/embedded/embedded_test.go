package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/internal/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t testing.TB, s *embedded.Server) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestATakenPortIsAnError(t *testing.T) {
	s := start(t)
	if _, err := embedded.Start(s.Addr()); err == nil {
		t.Error("two servers on one port")
	}
}

func TestCloseEndsEveryConnection(t *testing.T) {
	s, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rdb := client(t, s)
	ctx := context.Background()
	sub := rdb.Subscribe(ctx, "c")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	blocked := make(chan error)
	go func() { blocked <- rdb.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: 0}).Err() }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-blocked; err == nil {
		t.Error("a blocked read got an answer")
	}
	if _, err := sub.Receive(ctx); err == nil {
		t.Error("a subscription went on")
	}
	if err := rdb.Ping(ctx).Err(); err == nil {
		t.Error("a closed server answers")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A subscriber that does not read must not keep others from publishing, which
// it does in miniredis alone.
func TestAStalledSubscriberBlocksNobody(t *testing.T) {
	s := start(t)
	stalled, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stalled.Close() }()
	if _, err := fmt.Fprint(stalled, "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"); err != nil {
		t.Fatal(err)
	}
	confirmation := bufio.NewReader(stalled)
	for range 6 { // *3, $9, subscribe, $1, c, :1
		if _, err := confirmation.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rdb := client(t, s)
	message := strings.Repeat("x", 1<<20)
	for i := range 40 { // far more than the kernel buffers
		if n, err := rdb.Publish(ctx, "c", message).Result(); err != nil || n != 1 {
			t.Fatalf("message %d: %d receivers, %v", i, n, err)
		}
	}
}

func TestNotificationsAreInTheOrderOfTheEntries(t *testing.T) {
	s := start(t)
	rdb := client(t, s)
	ctx := context.Background()
	sub := rdb.Subscribe(ctx, "__keyspace@0__:s")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 100
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []string{"a", "1"}}).Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range writers * each {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil || m.Payload != "xadd" {
			t.Fatalf("notification %d: %v, %v", i, m, err)
		}
		// What is announced is there.
		if n := rdb.XLen(ctx, "s").Val(); n <= int64(i) {
			t.Fatalf("%d entries at notification %d", n, i+1)
		}
	}
	wg.Wait()
	info, err := rdb.XInfoStream(ctx, "s").Result()
	if err != nil || info.EntriesAdded != writers*each || info.Length != writers*each {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestStreamsExpireAndSaySo(t *testing.T) {
	s := start(t)
	rdb := client(t, s)
	ctx := context.Background()
	sub := rdb.Subscribe(ctx, "__keyspace@0__:s")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]any{{"XADD", "s", "MAXLEN", "1", "5-1", "a", "1"}, {"XADD", "s", "MAXLEN", "1", "6-1", "a", "1"}, {"PEXPIRE", "s", "10"}} {
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		m, err := sub.ReceiveMessage(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if m.Payload == "expired" {
			break
		}
	}
	if n := rdb.Exists(ctx, "s").Val(); n != 0 {
		t.Error("the stream is still there")
	}
	if err := rdb.Do(ctx, "XADD", "s", "1-1", "a", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if info := rdb.XInfoStream(ctx, "s").Val(); info.EntriesAdded != 1 {
		t.Errorf("a new stream counts %d entries", info.EntriesAdded)
	}
}

func TestAStreamCopiedInCountsAsNeverTrimmed(t *testing.T) {
	s := start(t)
	rdb := client(t, s)
	ctx := context.Background()
	for _, args := range [][]any{
		{"XADD", "t", "1-1", "a", "1"}, {"XADD", "t", "2-1", "a", "1"}, {"XADD", "t", "3-1", "a", "1"}, // to be replaced
		{"XADD", "s", "5-1", "a", "1"}, {"XADD", "s", "MAXLEN", "1", "6-1", "a", "1"},
		{"COPY", "s", "t", "REPLACE"}, {"XADD", "t", "7-1", "a", "1"},
	} {
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if info := rdb.XInfoStream(ctx, "t").Val(); info.EntriesAdded != 2 || info.LastGeneratedID != "7-1" {
		t.Errorf("%+v", info)
	}
}

// What the gateway asks at start must be answered, or refused, at once.
func TestQuestionsAboutTheServerAreAnswered(t *testing.T) {
	s := start(t)
	rdb := client(t, s)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if v, err := rdb.ConfigGet(ctx, "notify*").Result(); err != nil || !strings.Contains(v["notify-keyspace-events"], "K") {
		t.Errorf("CONFIG GET: %v, %v", v, err)
	}
	if v, err := rdb.ConfigGet(ctx, "*").Result(); err != nil || v["maxmemory-policy"] != "noeviction" {
		t.Errorf("CONFIG GET *: %v, %v", v, err)
	}
	if err := rdb.ConfigSet(ctx, "notify-keyspace-events", "Kgxet").Err(); err != nil {
		t.Errorf("CONFIG SET notify-keyspace-events: %v", err)
	}
	if err := rdb.ConfigSet(ctx, "maxmemory", "1").Err(); err == nil {
		t.Error("CONFIG SET maxmemory was accepted")
	}
	for _, line := range []string{"CLIENT TRACKING ON BCAST", "CLIENT LIST", "CLUSTER SLOTS", "CLUSTER INFO", "WAIT 1 1", "FCALL f 0", "SPUBLISH c x", "CONFIG", "CONFIG REWRITE"} {
		var args []any
		for _, f := range strings.Fields(line) {
			args = append(args, f)
		}
		if err := rdb.Do(ctx, args...).Err(); ctx.Err() != nil {
			t.Fatalf("%s: no answer", line)
		} else if err == nil && line != "WAIT 1 1" {
			t.Errorf("%s was accepted", line)
		}
	}
	// redis-cli dies of the wrong answer to the first.
	if err := rdb.Do(ctx, "COMMAND", "DOCS").Err(); err == nil {
		t.Error("COMMAND DOCS has no answer that is right")
	}
	if v, err := rdb.Do(ctx, "COMMAND").Slice(); err != nil || len(v) == 0 {
		t.Errorf("COMMAND: %d commands, %v", len(v), err)
	}
	all := rdb.Info(ctx).Val()
	for _, want := range []string{"run_id:", "master_replid:", "role:master", "redis_version:7", "maxmemory_policy:noeviction"} {
		if !strings.Contains(all, want) {
			t.Errorf("INFO has no %s", want)
		}
	}
	if v := rdb.Info(ctx, "server", "Replication").Val(); !strings.Contains(v, "run_id:") || !strings.Contains(v, "role:") || strings.Contains(v, "# Memory") {
		t.Errorf("INFO server replication: %q", v)
	}
	other := client(t, start(t)).Info(ctx, "server").Val()
	if line := runID(all); line == "" || line == runID(other) {
		t.Errorf("run id %q is not a server's own", line)
	}
}

func runID(info string) string {
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

func TestAConnectionThatQuitsGetsItsAnswers(t *testing.T) {
	s := start(t)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprint(c, "*1\r\n$4\r\nPING\r\n*1\r\n$5\r\nMULTI\r\n*1\r\n$4\r\nQUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := bufio.NewScanner(c); r.Scan(); {
		got = append(got, r.Text())
	}
	if strings.Join(got, " ") != "+PONG +OK +OK" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkXADD(b *testing.B) {
	s := start(b)
	rdb := client(b, s)
	ctx := context.Background()
	for b.Loop() {
		if err := rdb.Do(ctx, "XADD", "s", "MAXLEN", "~", "1000", "*", "data", "x").Err(); err != nil {
			b.Fatal(err)
		}
	}
}

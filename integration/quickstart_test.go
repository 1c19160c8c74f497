package integration

import (
	"context"
	"net"
	"regexp"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

// TestQuickStart is the first screen of the README: nothing but the binary.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	pod := rig.StartPod(t, "")
	printed := regexp.MustCompile(`redis-cli -p (\d+) XADD sse:orders '\*' event paid data '\{"n":1\}'`)
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	line, err := pod.Log.Await(ctx, printed.MatchString)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: net.JoinHostPort("127.0.0.1", printed.FindStringSubmatch(line)[1]), MaxRetries: -1})
	defer func() { _ = rdb.Close() }()

	f := rig.Follow(t, pod, orders())
	f.Opened()
	id, err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: "sse:orders", Values: []string{"event", "paid", "data", `{"n":1}`}}).Result()
	if err != nil {
		t.Fatalf("the printed line does not work: %v", err)
	}
	if e := f.Next(); e.ID != id || e.Type != "paid" || e.Data != `{"n":1}` {
		t.Errorf("want event paid with id %s, got %+v", id, e)
	}
	id = pod.Publish(t, "orders", "paid", `{"n":2}`)
	if e := f.Next(); e.ID != id || e.Type != "paid" || e.Data != `{"n":2}` {
		t.Errorf("want event paid with id %s, got %+v", id, e)
	}
	f = f.Again(pod)
	f.Opened()
	if err := rdb.XAdd(ctx, &redis.XAddArgs{Stream: "sse:orders", Values: []string{"data", "3"}}).Err(); err != nil {
		t.Fatal(err)
	}
	f.Want("3")

	if err := pod.Signal(syscall.SIGINT); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if code := pod.AwaitExit(t); code != 0 {
		t.Errorf("want exit code 0, got %d", code)
	}
	f.Abort()
}

func TestQuickStartTwiceOnOneMachine(t *testing.T) {
	t.Parallel()
	for range 2 { // the usual port of the built-in Redis is taken by the first
		rig.Follow(t, rig.StartPod(t, ""), orders()).Opened()
	}
}

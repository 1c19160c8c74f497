package redistest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/ssegateway/sse-gateway/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerAnswersAndComesBackAtItsAddress(t *testing.T) {
	s := redistest.Start(t)
	s.Do("SET", "k", "v")
	addr := s.Addr
	s.Kill()
	if err := s.Client().Ping(context.Background()).Err(); err == nil {
		t.Fatal("a killed server answers")
	}
	s.Restart()
	if s.Addr != addr {
		t.Errorf("address changed from %s to %s", addr, s.Addr)
	}
	if n := s.Do("EXISTS", "k"); n != int64(0) {
		t.Error("a server without persistence kept a key")
	}
}

func TestStoppedServerKeepsWhatItPersists(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes")
	s.Do("SET", "k", "v")
	s.Stop()
	s.Restart()
	if v := s.Do("GET", "k"); v != "v" {
		t.Errorf("got %v", v)
	}
}

func TestPausedServerCanBeEnded(t *testing.T) {
	s := redistest.Start(t)
	s.Pause()
	s.Kill()
	s.Restart()
	s.Pause()
	s.Continue()
	s.Do("PING")
}

func TestServerBinaryComesFromTheEnvironment(t *testing.T) {
	link := filepath.Join(t.TempDir(), "server")
	bin := redistest.Start(t).Path()
	if err := os.Symlink(bin, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(redistest.Binary, link)
	if got := redistest.Start(t).Path(); got != link {
		t.Errorf("started %s, want %s", got, link)
	}
}

func TestClusterServesEverySlot(t *testing.T) {
	nodes := redistest.StartCluster(t, 2)
	rdb := redistest.ClusterClient(t, nodes)
	for _, key := range []string{"a", "b", "c", "d"} {
		if err := rdb.Set(context.Background(), key, key, 0).Err(); err != nil {
			t.Error(err)
		}
	}
	for _, n := range nodes {
		if n.Do("DBSIZE") == int64(0) {
			t.Errorf("no key went to %s", n.Addr)
		}
	}
}

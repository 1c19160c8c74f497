package redistest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// StartCluster starts a Redis Cluster of n masters without replicas, the
// slots shared out among them evenly and in their order.
func StartCluster(t testing.TB, n int, args ...string) []*Server {
	t.Helper()
	nodes := make([]*Server, n)
	for i := range nodes {
		nodes[i] = Start(t, append([]string{
			"--cluster-enabled", "yes",
			"--cluster-node-timeout", "2000",
			// Beyond the port plus 10000 there may be no port: let it be any.
			"--cluster-port", freePortText(t),
		}, args...)...)
		nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", i*slots/n, (i+1)*slots/n-1)
	}
	for _, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		nodes[0].Do("CLUSTER", "MEET", host, port, busPort(node))
	}
	deadline := time.Now().Add(startTime)
	for _, node := range nodes {
		// The nodes tell each other in their own time, and tell nobody else.
		for !agrees(node, n) {
			if time.Now().After(deadline) {
				t.Fatalf("redistest: no cluster within %v:\n%v", startTime, node.Do("CLUSTER", "INFO"))
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nodes
}

func agrees(node *Server, n int) bool {
	info, _ := node.Do("CLUSTER", "INFO").(string)
	list, _ := node.Do("CLUSTER", "NODES").(string)
	return strings.Contains(info, "cluster_state:ok") &&
		strings.Contains(info, "cluster_slots_ok:16384") &&
		strings.Count(strings.TrimSpace(list), "\n")+1 == n
}

func busPort(s *Server) string {
	for i, a := range s.args {
		if a == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// ClusterClient returns a client of the cluster that the nodes form, which
// retries nothing but what has moved. It is closed with the test.
func ClusterClient(t testing.TB, nodes []*Server, change ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	opts := &redis.ClusterOptions{MaxRetries: -1, DialerRetries: 1}
	for _, n := range nodes {
		opts.Addrs = append(opts.Addrs, n.Addr)
	}
	for _, c := range change {
		c(opts)
	}
	rdb := redis.NewClusterClient(opts)
	t.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	return rdb
}

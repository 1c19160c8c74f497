package bench

import (
	"os"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(receiverJob); job != "" {
		os.Exit(receive(job))
	}
	os.Exit(rig.Main(m))
}

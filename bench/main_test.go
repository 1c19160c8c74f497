package bench

import (
	"os"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// GatewayPackage is the program under test.
const GatewayPackage = "github.com/ssegateway/sse-gateway/cmd/sse-gateway"

// EnvGateway is the environment variable that names a binary to test instead
// of one built here.
const EnvGateway = "TEST_GATEWAY"

var built struct {
	dir  string
	mu   sync.Mutex
	path map[string]string // package → binary
}

// Main runs the tests of a package that starts programs, and removes what was
// built for them. It fails if a goroutine is left.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sse-gateway-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built.dir, built.path = dir, make(map[string]string)
	redis.SetLogger(&logging.VoidLogger{}) // that a Redis which was killed does not answer is no news
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// Gateway returns the path of the program under test.
func Gateway() (string, error) {
	if path := os.Getenv(EnvGateway); path != "" {
		return path, nil
	}
	return Build(GatewayPackage)
}

// Build builds a program once in the run of a package's tests.
func Build(pkg string) (string, error) {
	built.mu.Lock()
	defer built.mu.Unlock()
	if path, ok := built.path[pkg]; ok {
		return path, nil
	}
	path := filepath.Join(built.dir, filepath.Base(pkg))
	args := []string{"build", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	built.path[pkg] = path
	return path, nil
}

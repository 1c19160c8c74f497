package rig

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	path map[string]string // name → binary
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
		return path, dependOn(path)
	}
	return Build(GatewayPackage)
}

// LeanGateway returns the program under test as it is shipped, for tests that
// measure memory: the race detector keeps a shadow of all there is.
func LeanGateway() (string, error) {
	if path := os.Getenv(EnvGateway); path != "" {
		return path, dependOn(path)
	}
	return build(GatewayPackage, false)
}

// Build builds a program as the tests are built, once in the run of a
// package's tests.
func Build(pkg string) (string, error) { return build(pkg, raceDetector) }

func build(pkg string, race bool) (string, error) {
	built.mu.Lock()
	defer built.mu.Unlock()
	name := filepath.Base(pkg)
	if race {
		name += "-race"
	}
	if path, ok := built.path[name]; ok {
		return path, nil
	}
	sources, err := goTool("list", "-deps", "-f", `{{if and (not .Standard) .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, pkg)
	if err != nil {
		return "", err
	}
	if err := dependOn(strings.Fields(sources)...); err != nil {
		return "", err
	}
	path := filepath.Join(built.dir, name)
	args := []string{"build", "-o", path}
	if race {
		args = append(args, "-race")
	}
	if _, err := goTool(append(args, pkg)...); err != nil {
		return "", err
	}
	built.path[name] = path
	return path, nil
}

// dependOn tells go test, which notes what a test opens, that its result holds
// only as long as these files stay as they are. It cannot know by itself that
// a program which the test starts is made of them. Files outside the module
// it does not look at.
func dependOn(files ...string) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func goTool(args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, &errs)
	}
	return out.String(), nil
}

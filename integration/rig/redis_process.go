//go:build !containers

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// newRedisServer uses the redis-server in PATH.
func newRedisServer(t testing.TB, port int, args []string) (redisServer, error) {
	if image := os.Getenv("TEST_REDIS_IMAGE"); image != "" {
		return nil, fmt.Errorf("TEST_REDIS_IMAGE=%s asks for a container: test with -tags containers", image)
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("no redis-server in PATH: install the package redis-server (Debian, Ubuntu) or redis (others), or test with -tags containers")
	}
	own := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir()}
	return &redisProcess{path: path, args: append(own, args...)}, nil
}

type redisProcess struct {
	path string
	args []string
	run  *Process
}

func (s *redisProcess) host() string { return "127.0.0.1" }

func (s *redisProcess) start(context.Context) (err error) {
	s.run, err = StartProcess("redis-server", []string{"LC_ALL=C"}, s.path, s.args...)
	return err
}

func (s *redisProcess) signal(_ context.Context, sig syscall.Signal) error { return s.run.Signal(sig) }

func (s *redisProcess) kill(context.Context) error {
	s.run.Kill()
	return nil
}

func (s *redisProcess) remove() {
	if s.run != nil {
		s.run.Kill()
	}
}

func (s *redisProcess) tail() string {
	if s.run == nil {
		return "(never started)"
	}
	return s.run.Log.Tail(20)
}

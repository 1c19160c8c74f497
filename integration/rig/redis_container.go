//go:build containers

package rig

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// defaultRedisImage is the official one. TEST_REDIS_IMAGE names another, also
// of a server that is not Redis but answers to the name redis-server.
const defaultRedisImage = "redis:8"

const redisPort = "6379/tcp"

// newRedisServer runs the server in a container. Its port on the host is
// fixed, because a port of the engine's choice changes with every restart.
func newRedisServer(t testing.TB, port int, args []string) (redisServer, error) {
	ctx := t.Context()
	s := &redisContainer{}
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return nil, fmt.Errorf("no container engine: set DOCKER_HOST or start one: %w", err)
	}
	if s.onHost, err = provider.DaemonHost(ctx); err != nil {
		return nil, fmt.Errorf("ask the container engine for its address: %w", err)
	}
	if s.engine, err = testcontainers.NewDockerClientWithOpts(ctx); err != nil {
		return nil, err
	}
	s.ctr, err = testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        cmp.Or(os.Getenv("TEST_REDIS_IMAGE"), defaultRedisImage),
			Cmd:          append([]string{"redis-server", "--protected-mode", "no"}, args...),
			ExposedPorts: []string{redisPort},
			HostConfigModifier: func(c *container.HostConfig) {
				c.PortBindings = network.PortMap{network.MustParsePort(redisPort): {{HostPort: strconv.Itoa(port)}}}
			},
		},
	})
	return s, err
}

type redisContainer struct {
	ctr    testcontainers.Container
	engine *testcontainers.DockerClient
	onHost string
}

func (s *redisContainer) host() string { return s.onHost }

func (s *redisContainer) start(ctx context.Context) error { return s.ctr.Start(ctx) }

func (s *redisContainer) signal(ctx context.Context, sig syscall.Signal) error {
	// The engine takes numbers, which need no table of names.
	_, err := s.engine.ContainerKill(ctx, s.ctr.GetContainerID(), client.ContainerKillOptions{Signal: fmt.Sprint(int(sig))})
	return err
}

func (s *redisContainer) kill(ctx context.Context) error {
	if err := s.signal(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	// The answer to a kill does not wait for the end.
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if !Poll(ctx, func() bool {
		state, err := s.ctr.State(ctx)
		return err == nil && !state.Running
	}) {
		return fmt.Errorf("container %s was killed and still runs: %w", s.ctr.GetContainerID(), ctx.Err())
	}
	return nil
}

func (s *redisContainer) remove() {
	_ = s.ctr.Terminate(context.Background(), testcontainers.StopTimeout(0))
	_ = s.engine.Close()
}

func (s *redisContainer) tail() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := s.ctr.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	all, _ := io.ReadAll(r)
	lines := strings.Split(string(all), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

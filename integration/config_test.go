package integration

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/ssegateway/sse-gateway/integration/rig"
)

func TestWrongConfigurationStopsTheStart(t *testing.T) {
	t.Parallel()
	path, err := rig.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		env  []string
		says []string
	}{
		{"nobody has said who may do what", []string{"REDIS_URL=redis://127.0.0.1:1"}, []string{"SSE_AUTH", "anonymous"}},
		{"an unknown variable", []string{"SSE_HEARTBEATS=1s"}, []string{"SSE_HEARTBEATS"}},
		{"a value that is none", []string{"SSE_HEARTBEAT=often"}, []string{"SSE_HEARTBEAT", "often", "1s"}},
		{"a value out of bounds", []string{"SSE_MAX_TOPICS=33"}, []string{"SSE_MAX_TOPICS", "33", "32"}},
		{"a Redis that cannot be", []string{"REDIS_URL=http://127.0.0.1", "SSE_AUTH=anonymous"}, []string{"REDIS_URL", "redis://"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := append([]string{"PATH=" + os.Getenv("PATH"), "SSE_ADDR=127.0.0.1:0", "SSE_OPS_ADDR=127.0.0.1:0"}, tt.env...)
			p, err := rig.StartProcess("gateway", env, path)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
			defer cancel()
			code, err := p.Wait(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if code == 0 {
				t.Error("want an exit code other than 0")
			}
			var line string
			for _, l := range p.Log.Lines() {
				if strings.Contains(l, tt.says[0]) {
					line = l
				}
			}
			for _, part := range tt.says {
				if !strings.Contains(line, part) {
					t.Errorf("want one line that says %q, got\n%s", tt.says, p.Log.Tail(20))
					break
				}
			}
		})
	}
}

func TestVariablesOfAKubernetesServiceAreNoMistake(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t)
	pod := rig.StartPod(t, r.URL(),
		"SSE_GATEWAY_SERVICE_HOST=10.0.0.1", "SSE_GATEWAY_SERVICE_PORT=8080", "SSE_GATEWAY_PORT=tcp://10.0.0.1:8080",
		"SSE_GATEWAY_PORT_8080_TCP=tcp://10.0.0.1:8080", "SSE_GATEWAY_PORT_8080_TCP_ADDR=10.0.0.1")
	rig.Follow(t, pod, orders()).Opened()
}

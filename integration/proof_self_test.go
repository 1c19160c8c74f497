package integration

import (
	"testing"
	"time"

	"github.com/ssegateway/sse-gateway/integration/check"
	"github.com/ssegateway/sse-gateway/integration/rig"
)

// TestProofCatchesABrokenGateway runs small proofs against a stand-in that
// breaks the promise in one way each. A proof that passes these proves
// nothing.
func TestProofCatchesABrokenGateway(t *testing.T) {
	path, err := rig.Build("github.com/ssegateway/sse-gateway/integration/internal/standin")
	if err != nil {
		t.Fatal(err)
	}
	small := scale{duration: 2 * time.Second, pods: 2, clients: 48, topics: 32, rate: 500, patience: 2 * time.Second}
	for defect, want := range map[string]check.Kind{
		"":        "",
		"lose":    check.Lost,
		"double":  check.Doubled,
		"forget":  check.Lost,
		"alter":   check.Altered,
		"control": check.Unexpected,
		"end":     check.Unexpected,
	} {
		t.Run("defect="+defect, func(t *testing.T) {
			t.Parallel()
			s := small
			if want == "" {
				s.patience = rig.Patience
			}
			p := startProof(t, path, 1, s, "STANDIN_DEFECT="+defect)
			p.run(t)
			found := p.violations(t)
			if want == "" {
				p.require(t, found)
				return
			}
			for _, v := range found {
				if v.Kind == want {
					return
				}
			}
			t.Errorf("want a violation of the kind %q, found %v", want, found)
		})
	}
}

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
			if want == "" {
				s := small
				s.patience = rig.Patience
				p := startProof(t, path, 1, s)
				p.run(t)
				p.require(t, p.violations(t))
				return
			}
			// How often a small proof meets the defect, the machine decides.
			const most = 10
			for seed := range uint64(most) {
				p := startProof(t, path, seed, small, "STANDIN_DEFECT="+defect)
				p.run(t)
				for _, v := range p.violations(t) {
					if v.Kind == want {
						return
					}
				}
			}
			t.Errorf("%d proofs found no violation of the kind %q", most, want)
		})
	}
}

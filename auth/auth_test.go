package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ssegateway/sse-gateway/auth"
)

func TestZeroGrantAllowsNothing(t *testing.T) {
	var g auth.Grant
	for _, a := range []auth.Action{auth.Subscribe, auth.Publish} {
		if g.Allows(a, "orders") {
			t.Errorf("the zero grant allows to %s", a)
		}
	}
}

func TestAnonymousAllowsEverything(t *testing.T) {
	g, err := auth.Anonymous().Authorize(t.Context(), httptest.NewRequest("GET", "/events", nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []auth.Action{auth.Subscribe, auth.Publish} {
		if !g.Allows(a, "orders") {
			t.Errorf("anonymous does not allow to %s", a)
		}
	}
}

func TestRefusalIsFoundInAWrappedError(t *testing.T) {
	err := fmt.Errorf("checking: %w", auth.Forbidden(auth.Publish, "orders"))
	r, ok := auth.AsRefusal(err)
	if !ok || r.Status != http.StatusForbidden || r.Error() != "not allowed to publish to topic orders" {
		t.Errorf("got %+v, %v", r, ok)
	}
	if _, ok := auth.AsRefusal(errors.New("database down")); ok {
		t.Error("an ordinary error is taken for a refusal")
	}
}

package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

const corsAllowOrigin = "Access-Control-Allow-Origin"

func TestCORS(t *testing.T) {
	for _, c := range []struct {
		allowed     []string
		origin      string
		want        string
		credentials bool
	}{
		{nil, "https://a.example", "", false},
		{[]string{"https://a.example"}, "https://a.example", "https://a.example", true},
		{[]string{"https://a.example", "https://b.example"}, "https://b.example", "https://b.example", true},
		{[]string{"https://a.example"}, "https://a.example.evil", "", false},
		{[]string{"https://a.example"}, "http://a.example", "", false},
		{[]string{"https://a.example"}, "null", "", false},
		{[]string{"*"}, "https://a.example", "*", false},
		{[]string{"*", "https://a.example"}, "https://a.example", "https://a.example", true},
		{[]string{LocalOrigins}, "http://localhost:5173", "http://localhost:5173", true},
		{[]string{LocalOrigins}, "http://127.0.0.1", "http://127.0.0.1", true},
		{[]string{LocalOrigins}, "http://[::1]:8080", "http://[::1]:8080", true},
		{[]string{LocalOrigins}, "http://localhost.evil.example", "", false},
		{[]string{"https://a.example"}, "", "", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPod(t, Options{AllowedOrigins: c.allowed})
			check := func(what string, h http.Header) {
				t.Helper()
				credentials := h.Get("Access-Control-Allow-Credentials") == "true"
				if got := h.Get(corsAllowOrigin); got != c.want || credentials != c.credentials {
					t.Errorf("%v, %s of %s: origin %q, credentials %v", c.allowed, what, c.origin, got, credentials)
				}
				if len(c.allowed) > 0 && c.origin != "" && !strings.Contains(strings.Join(h.Values("Vary"), ","), "Origin") {
					t.Errorf("%v, %s: no Vary", c.allowed, what)
				}
			}
			// A stream, an error and a preflight have the same headers.
			m := begin(p, get(t, "http://x/events?topic=a", "Origin", c.origin))
			synctest.Wait()
			m.leave()
			check("a stream", m.header)
			m = begin(p, get(t, "http://x/events", "Origin", c.origin))
			<-m.done
			check("an error", m.header)

			req := httptest.NewRequest("OPTIONS", "/events", nil)
			req.Header.Set("Origin", c.origin)
			req.Header.Set("Access-Control-Request-Method", "POST")
			rec := httptest.NewRecorder()
			p.ServeHTTP(rec, req)
			check("a preflight", rec.Header())
			if len(c.allowed) == 0 || c.origin == "" {
				return
			}
			if rec.Code != http.StatusNoContent || rec.Body.Len() > 0 {
				t.Errorf("a preflight is answered %d", rec.Code)
			}
			if c.want == "" {
				return
			}
			for header, names := range map[string][]string{
				"Access-Control-Allow-Methods": {"GET", "POST", "QUERY"},
				"Access-Control-Allow-Headers": {"Last-Event-ID", "Authorization", "Content-Type", "Cache-Control", "Datastar-Request"},
			} {
				for _, name := range names {
					if !strings.Contains(rec.Header().Get(header), name) {
						t.Errorf("%s: %q has no %s", header, rec.Header().Get(header), name)
					}
				}
			}
		})
	}
}

// A request of another origin that is not allowed is still answered: it is the
// page's browser that does not show it the answer.
func TestCORSDoesNotAuthorize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, Options{AllowedOrigins: []string{"https://a.example"}})
		m := begin(p, get(t, "http://x/events?topic=a", "Origin", "https://b.example"))
		synctest.Wait()
		defer m.leave()
		if m.code() != http.StatusOK {
			t.Errorf("status %d", m.code())
		}
	})
}

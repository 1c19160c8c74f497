package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// problem is an error answer (RFC 9457). Code is for programs and does not
// change; detail is for people and says what to do.
type problem struct {
	status int
	code   string
	detail string
}

func (p problem) Error() string { return p.detail }

func problemf(status int, code, format string, args ...any) problem {
	return problem{status, code, fmt.Sprintf(format, args...)}
}

func (p problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.status)
	// An error here is the client's having gone.
	_ = json.NewEncoder(w).Encode(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}{http.StatusText(p.status), p.status, p.code, p.detail})
}

// methods refuses a request whose method is not among those allowed.
func methods(w http.ResponseWriter, r *http.Request, allow string, allowed ...string) bool {
	for _, m := range allowed {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", allow)
	problemf(http.StatusMethodNotAllowed, "method", "%s understands %s", r.URL.Path, allow).write(w)
	return false
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // an error here is the client's having gone
}

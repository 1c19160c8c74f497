package gateway

import (
	"net/http"
	"net/url"
	"slices"
)

// cors answers for pages of other origins (Fetch, "CORS protocol").
type cors struct {
	origins []string
	any     bool // without credentials
	local   bool // any port of the machine itself, for development
}

// LocalOrigins in Options.AllowedOrigins allows pages of this machine, on any
// port. It is meant for development.
const LocalOrigins = "localhost"

func newCORS(origins []string) cors {
	return cors{origins: origins, any: slices.Contains(origins, "*"), local: slices.Contains(origins, LocalOrigins)}
}

const (
	corsMethods = "GET, POST, QUERY, OPTIONS"
	corsHeaders = "Last-Event-ID, Authorization, Content-Type, Cache-Control, Datastar-Request"
	corsMaxAge  = "7200"
)

// handle sets the headers for a page's origin and answers preflights. It
// reports whether the request is answered.
func (c cors) handle(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(c.origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	switch {
	case slices.Contains(c.origins, origin), c.local && isLocal(origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	case c.any:
		h.Set("Access-Control-Allow-Origin", "*")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsHeaders)
		h.Set("Access-Control-Max-Age", corsMaxAge)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func isLocal(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

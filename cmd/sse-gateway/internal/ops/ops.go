// Package ops is what the operators' port serves: is the process alive, should
// it get new connections, what does it do.
package ops

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
)

// Readiness is whether the process should get new connections, and why not.
// It is the body of /readyz.
type Readiness struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"` // why it is not ready
	Way    string `json:"way,omitempty"`    // how it hears of new events
	Detail string `json:"detail,omitempty"` // what to do for a better way
}

// Options say what the port serves.
type Options struct {
	Ready   func() Readiness // may be called concurrently
	Metrics http.Handler
	PProf   bool // serve /debug/pprof/
}

// Handler returns the handler of the ops port:
//
//	GET /livez    200: the process can answer. Nothing outside it is asked,
//	              since a restart would not mend it and would end all streams
//	GET /readyz   200 or 503, with a Readiness
//	GET /metrics  Prometheus exposition
//	GET /debug/pprof/…  if asked for
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := o.Ready()
		status := http.StatusOK
		if !r.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, r)
	})
	mux.Handle("GET /metrics", o.Metrics)
	if o.PProf {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the prober may have gone
}

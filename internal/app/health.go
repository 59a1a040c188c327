package app

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"consentsync/internal/reply"
)

// pinger tells whether the database can be written.
type pinger interface {
	Ping(ctx context.Context) error
}

// health answers how the program is.
type health struct {
	engine   pinger
	stopping atomic.Bool
}

func (h *health) register(mux *http.ServeMux, metrics *prometheus.Registry) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply.JSON(w, http.StatusOK, map[string]any{"status": "ok", "checks": map[string]string{}})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", front)
}

// ready tells whether webhooks can be accepted now.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	checks := map[string]string{"database": "ok", "shutdown": "ok"}
	status, word := http.StatusOK, "ok"
	if err := h.engine.Ping(ctx); err != nil {
		checks["database"] = "cannot be written"
		status, word = http.StatusServiceUnavailable, "unavailable"
	}
	if h.stopping.Load() {
		checks["shutdown"] = "under way"
		status, word = http.StatusServiceUnavailable, "unavailable"
	}
	reply.JSON(w, status, map[string]any{"status": word, "checks": checks})
}

// front is what a browser sees at the root.
func front(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write([]byte(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>consentsync</title>
<style>body{font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem;color-scheme:light dark}</style>
<h1>consentsync</h1>
<p>This server keeps Actito profiles in agreement with the preferences collected in Didomi.</p>
<ul>
<li><a href="/openapi.yaml">The API, as an OpenAPI document</a></li>
<li><a href="/readyz">Whether it is ready</a></li>
<li><a href="/metrics">Metrics for Prometheus</a></li>
</ul>
</html>
`))
}

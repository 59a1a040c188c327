package app

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"consentsync/internal/reply"
	"consentsync/internal/routes"
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

func (h *health) register(mux routes.Registrar, metrics *prometheus.Registry) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply.JSON(w, http.StatusOK, map[string]any{"status": "ok", "checks": map[string]string{}})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
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

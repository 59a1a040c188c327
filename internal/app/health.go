package app

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"consentsync/internal/deliver"
	"consentsync/internal/reply"
	"consentsync/internal/routes"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// health answers how the program is.
type health struct {
	// ping tells whether the database can be written.
	ping func(ctx context.Context) error
	// disk is where the data stands; nil where that is not here.
	disk     *telemetry.Disk
	delivery func() deliver.State
	inbox    func() (age time.Duration)
	now      func() time.Time
	stopping atomic.Bool
}

func newHealth(e engine, cfg Config, delivery interface{ State() deliver.State }, inbox interface{ Behind() time.Duration }, metrics *prometheus.Registry) *health {
	h := &health{ping: e.Ping, delivery: delivery.State, inbox: inbox.Behind, now: e.Clock}
	if cfg.Database == "" {
		h.disk = &telemetry.Disk{Dir: cfg.Data}
		metrics.MustRegister(h.disk)
	}
	return h
}

func (h *health) register(mux routes.Registrar, metrics *prometheus.Registry) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply.JSON(w, http.StatusOK, map[string]any{"status": "ok", "checks": map[string]string{}})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
}

// well is what a check says when there is nothing to say.
const well = "ok"

// ready tells whether webhooks can be accepted now, and how everything is that
// the program depends on. Only what accepting needs decides the status: a
// balancer that took a node away because Actito is out of reach would make two
// troubles of one.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	checks := h.checks(r.Context())
	status, word := http.StatusOK, "ok"
	if checks["database"] != well || checks["shutdown"] != well {
		status, word = http.StatusServiceUnavailable, "unavailable"
	}
	reply.JSON(w, status, map[string]any{"status": word, "checks": checks})
}

// checks looks at each dependency.
func (h *health) checks(ctx context.Context) map[string]string {
	state := h.delivery()
	checks := map[string]string{
		"database": h.database(ctx), "inbox": h.inboxed(), "leases": h.leases(state), "actito": reach(state), "shutdown": well,
	}
	if h.disk != nil {
		checks["disk"] = h.room()
	}
	if h.stopping.Load() {
		checks["shutdown"] = "under way"
	}
	return checks
}

func (h *health) database(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := h.ping(ctx); err != nil {
		return "cannot be written"
	}
	return well
}

// leastRoom is the part of the disk below which somebody has to make room.
const leastRoom = 0.05

func (h *health) room() string {
	available, size, err := h.disk.Room()
	switch {
	case err != nil:
		return "its room cannot be told"
	case float64(available) < leastRoom*float64(size):
		return fmt.Sprintf("%d MB left, less than 5 %%", available>>20)
	}
	return well
}

// lateInbox is how old the inbox may be before it counts as behind: merging it
// is late at a third of that.
const lateInbox = 30 * time.Second

func (h *health) inboxed() string {
	if age := h.inbox(); age > lateInbox {
		return fmt.Sprintf("the oldest webhook in it waits since %d s", int(age.Seconds()))
	}
	return well
}

func (h *health) leases(s deliver.State) string {
	switch age := h.now().Sub(s.Renewed); {
	case s.Renewed.IsZero():
		return "not looked at yet"
	case age > store.LeaseLife:
		return fmt.Sprintf("not renewed for %d s", int(age.Seconds()))
	}
	return well
}

func reach(s deliver.State) string {
	switch {
	case s.Outages > 0:
		return fmt.Sprintf("out of reach for %d of %d licences", s.Outages, s.Licences)
	case s.Suspended > 0:
		return fmt.Sprintf("%d integrations are suspended", s.Suspended)
	}
	return well
}

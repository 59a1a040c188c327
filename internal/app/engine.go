package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/accounts"
	"consentsync/internal/api"
	"consentsync/internal/audit"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/deliver"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/ingest"
	"consentsync/internal/integration"
	"consentsync/internal/people"
	"consentsync/internal/store"
	"consentsync/internal/store/postgres"
	"consentsync/internal/store/sqlite"
)

// engine is what the program needs of the database.
type engine interface {
	accounts.Store
	api.Store
	audit.KeepStore
	audit.SealStore
	audit.Store
	auth.Clients
	auth.RotationStore
	backfill.Store
	backfill.CatchUpStore
	backfill.ImportStore
	backfill.ReconcileStore
	deliver.Store
	emailing.Store
	events.Store
	ingest.Store
	ingest.Integrations
	integration.Store
	people.Store

	UseHasher(h *store.Hasher)
	Ping(ctx context.Context) error
	// Inspect tells what the database says of itself.
	Inspect(ctx context.Context) (*store.Inspection, error)
	// Clock is the database's clock without asking it.
	Clock() time.Time
	// tend does until ctx ends what the engine needs done. heard is called when
	// another node says that something may be due here.
	tend(ctx context.Context, heard func()) error
	// Hint tells other nodes that something may be due.
	Hint()
	Close() error
}

// embedded is the engine of one node.
type embedded struct{ *sqlite.Engine }

func (e embedded) tend(ctx context.Context, _ func()) error { return e.Checkpoints(ctx) }

// Hint has nobody to tell.
func (embedded) Hint() {}

// shared is the engine of several nodes.
type shared struct{ *postgres.Engine }

func (s shared) tend(ctx context.Context, heard func()) error {
	s.Hints(ctx, heard)
	return nil
}

// openEngine opens the database that the configuration names.
func openEngine(ctx context.Context, cfg Config, log *slog.Logger, metrics *prometheus.Registry) (engine, error) {
	watch := newStoreMetrics(metrics)
	if cfg.Database == "" {
		e, err := sqlite.Open(ctx, cfg.Data, sqlite.Options{Synced: newSyncMetrics(metrics)})
		if err != nil {
			return nil, err
		}
		return timed{embedded{e}, watch}, nil
	}
	// The directory holds at most the master key and the admin token then.
	if cfg.MasterKey == "" || cfg.AdminToken == "" {
		if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
	}
	e, err := postgres.Open(ctx, cfg.Database, postgres.Options{})
	if err != nil {
		return nil, err
	}
	for _, warning := range e.Warnings() {
		log.WarnContext(ctx, warning) //nolint:sloglint // the texts are constants of the engine
	}
	return timed{shared{e}, watch}, nil
}

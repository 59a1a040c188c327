package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"consentsync/internal/accounts"
	"consentsync/internal/actito"
	"consentsync/internal/api"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/console"
	"consentsync/internal/deliver"
	"consentsync/internal/didomi"
	"consentsync/internal/events"
	"consentsync/internal/ingest"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/people"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// App is the running program.
type App struct {
	cfg       Config
	log       *slog.Logger
	engine    engine
	delivery  *deliver.Engine
	committer *ingest.Committer
	server    *http.Server
	listener  net.Listener
	health    *health
	metrics   *prometheus.Registry
	first     string

	stop   context.CancelFunc
	tasks  *errgroup.Group
	failed <-chan struct{} // closed when a task has failed, or all were stopped
}

// Start opens the database, makes the keys where needed, and serves. On error
// nothing is left running.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (_ *App, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: log, metrics: telemetry.NewRegistry(cmp.Or(cfg.Version, "unknown"), cfg.Commit)}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if a.engine, err = openEngine(ctx, cfg, log, a.metrics); err != nil {
		return nil, err
	}
	keys, err := openKeyring(ctx, a.engine, cfg)
	if err != nil {
		return nil, err
	}
	admin, err := auth.LoadAdmin(cfg.AdminToken, cfg.Data)
	if err != nil {
		return nil, fmt.Errorf("admin token: %w", err)
	}
	hasher := store.NewHasher(keys.Hash)
	a.engine.UseHasher(hasher)
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	users := accounts.New(a.engine, a.engine.Clock)
	first, err := users.First(ctx, cmp.Or(cfg.PublicURL, a.URL()))
	if err != nil {
		return nil, fmt.Errorf("the first user: %w", err)
	}
	if first != nil {
		a.first = first.URL
	}
	if err := a.wire(keys, admin, hasher, users); err != nil { //nolint:contextcheck // what runs from now on outlives the start
		return nil, err
	}
	return a, nil
}

// usualCallTimeout bounds one exchange with Actito, counted from when the budget
// allows it; what carries a file has longer. It is long, since Actito slows down
// instead of refusing.
const usualCallTimeout = 75 * time.Second

// wire connects the parts and starts them.
func (a *App) wire(keys *auth.Keyring, admin *auth.Admin, hasher *store.Hasher, users *accounts.Service) error {
	metrics := a.metrics
	client := outbound.New(outbound.Options{
		AllowPrivateNetworks: a.cfg.AllowPrivateNetworks, UserAgent: "consentsync",
		Timeout: cmp.Or(a.cfg.CallTimeout, usualCallTimeout), HeaderTimeout: cmp.Or(a.cfg.CallTimeout, usualCallTimeout),
	})

	service := &integration.Service{
		Store: a.engine, Accounts: actito.NewAccounts(client), Didomis: didomi.NewAccounts(client), DidomiURL: a.cfg.DidomiURL, Sealer: keys.Sealer, Hasher: hasher,
		AllowPrivate: a.cfg.AllowPrivateNetworks, PublicURL: a.cfg.PublicURL, Log: a.log, Now: a.engine.Clock,
		Ourselves: outbound.New(outbound.Options{AllowPrivateNetworks: true}), // the operator's own address
	}
	var reprojector *backfill.Reprojector
	a.delivery = deliver.New(a.engine, &Targets{
		Accounts: service.Accounts, Didomis: service.Didomis, DidomiURL: a.cfg.DidomiURL, Secrets: service.Secrets, Hasher: hasher,
	}, deliver.Options{
		Node: a.cfg.nodeName(), Taken: func() { reprojector.Wake() }, Now: a.engine.Clock, Stale: a.cfg.ConfirmAfter, ReadbackDelay: a.cfg.ReadbackDelay, Log: a.log, Registerer: metrics,
	})
	due := func() {
		a.delivery.Wake()
		a.engine.Hint()
	}
	a.committer = ingest.NewCommitter(a.engine, due, a.engine.Clock, a.log, metrics)
	fromActito := ingest.NewActito(a.committer, a.engine, integration.WebhookHeader, service.CheckSecret, a.log, metrics)
	reprojector = backfill.NewReprojector(a.engine, a.delivery.Holds, due, a.log)
	service.Changed = func() {
		fromActito.Forget()
		reprojector.Wake()
		a.delivery.Rescan()
		a.engine.Hint()
	}
	tokens := auth.NewTokens(keys.Token, a.cfg.TokenLife, a.engine.Clock)
	a.health = newHealth(a.engine, a.cfg, a.delivery, a.committer, metrics)

	explainer := &people.Service{Store: a.engine, Hasher: hasher}
	history := &events.Service{Store: a.engine, Hasher: hasher}
	pages, err := console.New(console.Options{
		Accounts: users, Changes: a.engine, Events: history, Integrations: service, People: explainer, PublicURL: a.cfg.PublicURL, Log: a.log, Now: a.engine.Clock,
	})
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	mux := http.NewServeMux()
	pages.Register(mux)
	(&api.API{
		Store: a.engine, Admin: admin, Accounts: users, Integrations: service, People: explainer, Events: history, PublicURL: a.cfg.PublicURL, Log: a.log, Now: a.engine.Clock,
	}).Register(mux)
	mux.Handle("POST /oauth/token", &auth.Endpoint{Clients: a.engine, Tokens: tokens})
	mux.Handle("POST /webhooks/didomi/{organization_id}", ingest.NewDidomi(a.committer, tokens, a.log, metrics))
	mux.Handle("POST /webhooks/actito/{integration_id}", fromActito)
	a.health.register(mux, metrics)

	a.server = &http.Server{
		Handler: telemetry.Requests(a.log, guard(mux, a.log)), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.tasks, ctx = errgroup.WithContext(ctx)
	a.failed = ctx.Done()
	a.tasks.Go(func() error { return a.delivery.Run(ctx) })
	a.tasks.Go(func() error { return a.committer.Run(ctx) })
	a.tasks.Go(func() error { return reprojector.Run(ctx) })
	a.tasks.Go(func() error { return service.KeepWebhooks(ctx, a.delivery.Holds) })
	a.tasks.Go(func() error {
		service.Sweep(ctx)
		return nil
	})
	a.tasks.Go(func() error { return a.engine.tend(ctx, a.delivery.Wake) })
	a.tasks.Go(func() error { return a.notifier().Run(ctx) })
	a.tasks.Go(func() error {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// URL is where the program listens.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// FirstInvitation is the link with which the first user signs in, who
// administers everything; empty when there is a user. It works once, for a day,
// and opens everything: it is for the eyes of whoever started the program.
func (a *App) FirstInvitation() string { return a.first }

const (
	// shutdownTime bounds how long requests under way may take at shutdown,
	// drainTime all else after them: calls to Actito have 10 s, and leases are given
	// back.
	shutdownTime = 10 * time.Second
	drainTime    = 25 * time.Second
)

// Stop lets requests and calls under way end, then closes the database. What has
// not ended within the two bounds above is left to the end of the process: what
// was acknowledged is on disk, and what was in flight is found at the next start.
func (a *App) Stop(ctx context.Context) error {
	a.health.stopping.Store(true)
	ctx, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.server.Close())
	}
	drained, late := within(drainTime, func() error {
		a.committer.Close()
		a.stop()
		return errors.Join(a.tasks.Wait(), a.engine.Close())
	})
	return errors.Join(err, drained, late)
}

// within runs f, and waits no longer than d: late is an error then, and f goes on.
func within(d time.Duration, f func() error) (err, late error) {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err = <-ended:
		return err, nil
	case <-timer.C:
		return nil, fmt.Errorf("what was under way did not end within %v, and is cut", d)
	}
}

// close undoes a start that failed.
func (a *App) close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
	if a.engine != nil {
		_ = a.engine.Close()
	}
}

// Run serves until ctx ends, or until something without which it cannot serve
// has failed. ready is called once it answers.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(*App)) error {
	a, err := Start(ctx, cfg, log)
	if err != nil {
		return err
	}
	ready(a)
	select {
	case <-ctx.Done():
	case <-a.failed:
	}
	return a.Stop(context.WithoutCancel(ctx))
}

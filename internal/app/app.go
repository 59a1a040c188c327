package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"consentsync/internal/accounts"
	"consentsync/internal/actito"
	"consentsync/internal/api"
	"consentsync/internal/audit"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/console"
	"consentsync/internal/deliver"
	"consentsync/internal/didomi"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/incoming"
	"consentsync/internal/ingest"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/people"
	"consentsync/internal/routes"
	"consentsync/internal/signon"
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
	mux       routes.Mux
	health    *health
	metrics   *prometheus.Registry
	traces    *telemetry.Traces // nil for none
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
			a.close(ctx)
		}
	}()
	if err = a.openTraces(ctx); err != nil {
		return nil, err
	}
	if a.engine, err = openEngine(ctx, cfg, log, a.metrics); err != nil {
		return nil, err
	}
	keys, err := openKeyring(ctx, a.engine, cfg)
	if err != nil {
		return nil, err
	}
	rotator := auth.NewRotator(auth.RotatorOptions{
		Store: a.engine, Ring: keys, Source: cfg.masterSource(), Alone: cfg.Database == "", Now: a.engine.Clock, Log: log,
	})
	if err := rotator.Settle(ctx); err != nil {
		return nil, fmt.Errorf("master key: %w", err)
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
	if err := a.wire(keys, rotator, admin, hasher, users); err != nil { //nolint:contextcheck // what runs from now on outlives the start
		return nil, err
	}
	return a, nil
}

// usualCallTimeout bounds one exchange with Actito, counted from when the budget
// allows it; what carries a file has longer. It is long, since Actito slows down
// instead of refusing.
const usualCallTimeout = 75 * time.Second

// usualSealAfter is how old a record is when it is sealed, unless the
// configuration says otherwise.
const usualSealAfter = 30 * time.Second

// wire connects the parts and starts them.
func (a *App) wire(keys *auth.Keyring, rotator *auth.Rotator, admin *auth.Admin, hasher *store.Hasher, users *accounts.Service) error {
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
	emails := &emailing.Service{Store: a.engine, Sealer: keys.Sealer, Hasher: hasher, Campaigns: service.Campaigns, Now: a.engine.Clock}
	targets := &Targets{
		Accounts: service.Accounts, Didomis: service.Didomis, DidomiURL: a.cfg.DidomiURL, Secrets: service.Secrets, Hasher: hasher, OpenOrder: emails.Order,
	}
	var reprojector *backfill.Reprojector
	var catchUps *backfill.CatchUps
	var reconciler *backfill.Reconciler
	a.delivery = deliver.New(a.engine, targets, deliver.Options{
		Node: a.cfg.nodeName(), Taken: func() { reprojector.Wake(); catchUps.Wake(); reconciler.Wake() }, Traces: a.traces, Now: a.engine.Clock, Stale: a.cfg.ConfirmAfter, ReadbackDelay: a.cfg.ReadbackDelay, Log: a.log, Registerer: metrics,
	})
	due := func() {
		a.delivery.Wake()
		a.engine.Hint()
	}
	emails.Changed = due
	a.committer = ingest.NewCommitter(a.engine, due, a.engine.Clock, a.log, metrics)
	fromActito := ingest.NewActito(a.committer, a.engine, integration.WebhookHeader, service.CheckSecret, a.log, metrics)
	reprojector = backfill.NewReprojector(a.engine, a.delivery.Holds, due, a.log)
	service.Changed = func() {
		fromActito.Forget()
		reprojector.Wake()
		catchUps.Wake()
		reconciler.Wake()
		a.delivery.Rescan()
		a.engine.Hint()
	}
	told := backfill.NewMetrics(metrics, a.engine.Clock)
	catchUps = &backfill.CatchUps{
		Store: a.engine, Hasher: hasher, Source: targets.Source, Holds: a.delivery.Holds, Every: a.cfg.CatchUpEvery, Pause: backfill.CatchUpPause,
		Due: due, Changed: service.Changed, Log: a.log, Metrics: told,
	}
	reconciler = &backfill.Reconciler{
		Store: a.engine, Hasher: hasher, Holds: a.delivery.Holds, Read: readSpare(a.delivery), Due: due, Changed: service.Changed, Log: a.log, Metrics: told,
	}
	imports := &backfill.Importer{Store: a.engine, Hasher: hasher, Due: due, Changed: service.Changed, Now: a.engine.Clock, Log: a.log}
	tokens := auth.NewTokens(keys.Token, a.cfg.TokenLife, a.engine.Clock)
	callers := &auth.Callers{Clients: a.engine, Tokens: tokens, Now: a.engine.Clock}
	a.health = newHealth(a.engine, a.cfg, a.delivery, a.committer, metrics)

	signer, lag := audit.NewSigner(keys.Audit), cmp.Or(a.cfg.SealAfter, usualSealAfter)
	sealer := &audit.Sealer{Store: a.engine, Hasher: hasher, Signer: signer, Node: a.cfg.nodeName(), Lag: lag, Now: a.engine.Clock, Log: a.log}
	sealer.Register(metrics)
	keeper := &audit.Keeper{Store: a.engine, Every: 2 * lag, Now: a.engine.Clock, Log: a.log}
	proofs := &audit.Service{Store: a.engine, Hasher: hasher, Signer: signer, Decode: ingest.Said, Order: emails.Order, Now: a.engine.Clock}
	explainer := &people.Service{Store: a.engine, Hasher: hasher}
	history := &events.Service{Store: a.engine, Hasher: hasher}
	pages, err := console.New(console.Options{
		Accounts: users, Audit: proofs, Changes: a.engine, Events: history, Emails: emails, Integrations: service, People: explainer, PublicURL: a.cfg.PublicURL, Log: a.log, Now: a.engine.Clock,
		SignOn: a.provider(keys.Sealer),
	})
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	mux := &a.mux
	pages.Register(mux)
	(&api.API{
		Store: a.engine, Admin: admin, Accounts: users, Integrations: service, People: explainer, Events: history, Emails: emails,
		Imports: imports, CatchUps: catchUps, Reconciler: reconciler, Audit: proofs, Keys: rotator, Doctor: (&examiner{a.cfg, a.engine, service}).examine, PublicURL: a.cfg.PublicURL, Log: a.log, Now: a.engine.Clock,
	}).Register(mux)
	proxies, didomis, err := a.cfg.addresses()
	if err != nil {
		return err
	}
	mux.Handle("POST /oauth/token", incoming.Only(didomis, a.refuseSource, &auth.Endpoint{Clients: a.engine, Tokens: tokens}))
	mux.Handle("POST /webhooks/didomi/{organization_id}", incoming.Only(didomis, a.refuseSource, ingest.NewDidomi(a.committer, callers, catchUps.Missed, a.log, metrics)))
	mux.Handle("POST /webhooks/actito/{integration_id}", fromActito)
	a.health.register(mux, metrics)

	a.server = a.serverOf(mux, proxies)
	a.server.RegisterOnShutdown(pages.Close)
	a.run(
		a.delivery.Run, a.committer.Run, reprojector.Run, catchUps.Run, imports.Run, reconciler.Run, reconciler.RunReads, sealer.Run, keeper.Run, a.notifier().Run,
		func(ctx context.Context) error { return service.KeepWebhooks(ctx, a.delivery.Holds) },
		func(ctx context.Context) error { return a.engine.tend(ctx, a.delivery.Wake) },
		func(ctx context.Context) error {
			service.Sweep(ctx)
			return nil
		},
		func(ctx context.Context) error {
			rotator.Keep(ctx)
			return nil
		},
		func(context.Context) error { return a.listen(proxies) },
	)
	return nil
}

// serverOf makes the server of what mux answers.
func (a *App) serverOf(mux *routes.Mux, proxies incoming.Addresses) *http.Server {
	return &http.Server{
		Handler:           incoming.Behind(proxies, telemetry.Requests(a.log, a.traces, guard(mux, a.log))),
		ReadHeaderTimeout: cmp.Or(a.cfg.HeadTimeout, 10*time.Second), ReadTimeout: cmp.Or(a.cfg.ReadTimeout, 30*time.Second), WriteTimeout: 2 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

// listen serves until the server is shut down.
func (a *App) listen(proxies incoming.Addresses) error {
	if err := a.server.Serve(incoming.Crowd(a.listener, incoming.MostFrom, proxies)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// run starts what goes on until the program is stopped, or one of it has failed.
func (a *App) run(tasks ...func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.tasks, ctx = errgroup.WithContext(ctx)
	a.failed = ctx.Done()
	for _, task := range tasks {
		a.tasks.Go(func() error { return task(ctx) })
	}
}

// Routes lists every address that is answered, as patterns of http.ServeMux.
func (a *App) Routes() []string { return a.mux.Routes() }

// provider gives the one through which people may sign in, if there is one. It is
// the operator's choice, and may be on a private address.
func (a *App) provider(sealer *auth.Sealer) *signon.Provider {
	if a.cfg.OIDCIssuer == "" {
		return nil
	}
	return signon.New(signon.Options{
		Issuer: a.cfg.OIDCIssuer, ClientID: a.cfg.OIDCClientID, ClientSecret: a.cfg.OIDCClientSecret, Name: cmp.Or(a.cfg.OIDCName, "single sign-on"),
		RedirectURL: strings.TrimSuffix(a.cfg.PublicURL, "/") + console.SignOnCallback,
		Client:      outbound.New(outbound.Options{AllowPrivateNetworks: true, UserAgent: "consentsync", Timeout: 10 * time.Second}),
		Sealer:      sealer, Now: a.engine.Clock,
	})
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
		ended := errors.Join(a.tasks.Wait(), a.engine.Close())
		a.flushTraces(ctx)
		return ended
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
func (a *App) close(ctx context.Context) {
	if a.listener != nil {
		_ = a.listener.Close()
	}
	if a.engine != nil {
		_ = a.engine.Close()
	}
	a.flushTraces(ctx)
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

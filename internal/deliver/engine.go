package deliver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// Options are the settings of an Engine; zero values mean the defaults.
type Options struct {
	// Node names this process among the holders of leases.
	Node string
	// Stale is how old the last confirmation of a withdrawal may be before a
	// newer one is sent again all the same (R13). Default 1 hour.
	Stale time.Duration
	// ReadbackDelay is when a profile is read once more after an unclear
	// answer (R16). Default 30 s.
	ReadbackDelay time.Duration
	// Drain is how long calls under way may take to end at shutdown. Default
	// 10 s.
	Drain  time.Duration
	Now    func() time.Time
	Random func() float64
	// Taken is called when this node has begun to deliver for a licence.
	Taken      func()
	Traces     *telemetry.Traces // nil for none
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Engine delivers for every licence whose lease this node holds.
type Engine struct {
	store   Store
	targets Targets
	opts    Options
	metrics *metrics

	mu        sync.Mutex
	couriers  map[string]*running
	handovers sync.WaitGroup
	wake      chan struct{}
	renewed   atomic.Int64 // when the leases were last renewed, in nanoseconds
}

type running struct {
	*courier
	stop context.CancelFunc // no new calls
	cut  context.CancelFunc // the calls under way too
	done chan struct{}
	// expiry stops and cuts everything when the lease was not renewed in time:
	// another node may be about to take it.
	expiry  *time.Timer
	expired atomic.Bool
	// leaving is set while the licence is handed over to another node; Run
	// alone looks at it.
	leaving bool
}

// New makes an engine; Run starts it.
func New(s Store, t Targets, opts Options) *Engine {
	if opts.Stale == 0 {
		opts.Stale = time.Hour
	}
	if opts.ReadbackDelay == 0 {
		opts.ReadbackDelay = 30 * time.Second
	}
	if opts.Drain == 0 {
		opts.Drain = 10 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Taken == nil {
		opts.Taken = func() {}
	}
	if opts.Random == nil {
		opts.Random = defaultRandom
	}
	return &Engine{
		store: s, targets: t, opts: opts, metrics: newMetrics(opts.Registerer, opts.Node, opts.Now),
		couriers: make(map[string]*running), wake: make(chan struct{}, 1),
	}
}

// Wake says that something may have become due, or that an integration was
// made or changed. It never blocks.
func (e *Engine) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.couriers {
		r.nudge()
	}
}

// Holds tells whether this node delivers for a licence.
func (e *Engine) Holds(licence string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.couriers[licence] != nil
}

// Rescan says that there may be a licence that nobody delivers for yet.
func (e *Engine) Rescan() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
	e.Wake()
}

// Run acquires leases and delivers until ctx ends; then it lets the calls under
// way end, within the drain time, and gives the leases back. It ends by itself,
// with store.ErrOutdated, when the database needs a newer program.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(store.LeaseLife / 3)
	defer ticker.Stop()
	look := time.NewTicker(vacancy)
	defer look.Stop()
	for {
		if err := e.acquire(ctx); err != nil {
			e.shutdown() //nolint:contextcheck // nothing more is done under the context
			return err
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				e.shutdown() //nolint:contextcheck // the context has ended, the leases are given back all the same
				return nil
			case <-ticker.C:
				waiting = false
			case <-e.wake:
				waiting = false
			case <-look.C:
				vacant, err := e.store.Vacant(ctx)
				waiting = err != nil || !vacant // what is wrong shows at the next renewal
			}
		}
	}
}

// vacancy is how often a node looks for licences that nobody delivers for, such
// as those of a node that died.
const vacancy = time.Second

// acquire renews the leases, starts couriers for new ones and stops those
// whose lease is lost. Its error is one that no trying again mends.
func (e *Engine) acquire(ctx context.Context) error {
	held, err := e.store.Acquire(ctx, e.opts.Node)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, store.ErrOutdated):
		return err
	case err != nil:
		e.opts.Log.ErrorContext(ctx, "leases could not be renewed", "error", err)
		e.dropExpired()
		return nil
	}
	e.renewed.Store(e.opts.Now().UnixNano())
	mine := make(map[string]bool, len(held))
	for _, l := range held {
		mine[l.Licence] = true
		e.mu.Lock()
		r := e.couriers[l.Licence]
		e.mu.Unlock()
		switch {
		case r == nil && l.Excess: // it has just been handed over
		case r == nil && !l.Taken:
			// What was in flight under it is not known here: taken anew, it is.
			e.yield(l) //nolint:contextcheck // as at a hand-over
		case r == nil:
			e.start(ctx, l)
		case l.Taken:
			// Lost and taken again: calls of the old epoch are cut.
			e.end(r)
			e.start(ctx, l)
		default:
			e.renew(r, l) //nolint:contextcheck // as at a hand-over
		}
	}
	e.dropOthers(mine)
	return nil
}

// renew prolongs a lease, or begins to hand it over: for it is in excess, or
// the renewal came too late, and everything was stopped and cut.
func (e *Engine) renew(r *running, l store.Lease) {
	r.renew(l)
	late := r.expired.Load()
	if !late {
		r.expiry.Reset(e.trusted(l))
	}
	if (l.Excess || late) && !r.leaving {
		r.leaving = true
		e.handovers.Go(func() { e.handOver(r) })
	}
}

// doubt is how long before its end a lease is trusted no more: what this node
// takes for the database's time lags behind by the way of the answer that told
// it, and a call that is cut ends a moment later.
const doubt = store.LeaseLife / 10

// trusted is how long from now calls may be made under a lease.
func (e *Engine) trusted(l store.Lease) time.Duration {
	return l.ExpiresAt.Std().Sub(e.opts.Now()) - doubt
}

// handOver lets the calls of a licence end, within the drain time, and gives its
// lease to whoever has room for it.
func (e *Engine) handOver(r *running) {
	r.stop()
	drained := time.AfterFunc(e.opts.Drain, r.cut)
	<-r.done
	drained.Stop()
	r.cut()
	r.expiry.Stop()
	e.yield(r.currentLease())
	e.take(func(_ string, other *running) bool { return other == r })
}

// yield gives a lease back, for whoever has room for it.
func (e *Engine) yield(l store.Lease) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.store.Yield(ctx, l); err != nil {
		e.opts.Log.Error("a lease could not be given back", "licence", l.Licence, "error", err)
	}
	e.metrics.leases.WithLabelValues("given_back").Inc()
}

func (e *Engine) start(ctx context.Context, l store.Lease) {
	c := &courier{
		store: e.store, targets: e.targets, log: e.opts.Log.With("licence", l.Licence), metrics: e.metrics, now: e.opts.Now, random: e.opts.Random,
		stale: e.opts.Stale, readbackDelay: e.opts.ReadbackDelay,
		wake: make(chan struct{}, 1), spares: make(chan func(context.Context)), lease: l, health: make(map[store.IntegrationKey]*health),
		loaders: make(map[store.IntegrationKey]*loader), listeners: make(map[store.IntegrationKey]*listener), busy: make(map[string]bool), node: e.opts.Node,
		mailed: make(map[store.IntegrationKey]time.Time), traces: e.opts.Traces,
	}
	loop, stop := context.WithCancel(ctx)
	calls, cut := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{courier: c, stop: stop, cut: cut, done: make(chan struct{})}
	r.expiry = time.AfterFunc(e.trusted(l), func() {
		r.expired.Store(true)
		r.stop()
		r.cut()
		e.metrics.leases.WithLabelValues("lost").Inc()
	})
	e.mu.Lock()
	e.couriers[l.Licence] = r
	e.mu.Unlock()
	e.metrics.leases.WithLabelValues("taken").Inc()
	e.opts.Taken()
	go func() {
		defer close(r.done)
		c.run(loop, calls)
	}()
}

// end stops a courier at once, cutting its calls.
func (e *Engine) end(r *running) {
	r.expiry.Stop()
	r.stop()
	r.cut()
	<-r.done
}

func (e *Engine) dropOthers(mine map[string]bool) {
	for _, r := range e.take(func(licence string, _ *running) bool { return !mine[licence] }) {
		e.end(r)
	}
}

// dropExpired ends the couriers whose lease may have gone to somebody else
// while the store was out of reach.
func (e *Engine) dropExpired() {
	now := e.opts.Now()
	for _, r := range e.take(func(_ string, r *running) bool { return r.currentLease().ExpiresAt.Std().Before(now) }) {
		e.end(r)
	}
}

func (e *Engine) take(which func(string, *running) bool) []*running {
	e.mu.Lock()
	defer e.mu.Unlock()
	var taken []*running
	for licence, r := range e.couriers {
		if which(licence, r) {
			taken = append(taken, r)
			delete(e.couriers, licence)
		}
	}
	return taken
}

func (e *Engine) shutdown() {
	all := e.take(func(string, *running) bool { return true })
	for _, r := range all {
		r.stop()
	}
	drained := time.AfterFunc(e.opts.Drain, func() {
		for _, r := range all {
			r.cut()
		}
	})
	for _, r := range all {
		<-r.done
		r.cut()
		r.expiry.Stop()
	}
	drained.Stop()
	e.handovers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.store.Release(ctx, e.opts.Node); err != nil {
		e.opts.Log.Error("leases could not be given back", "error", err)
	}
}

package deliver

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

const (
	// longestBlock bounds how long the licence rests because it was asked to.
	longestBlock = 5 * time.Minute
	// poll is how often the courier looks for work without being woken.
	poll = 500 * time.Millisecond
	// lookahead is how many due deliveries are looked at for one that needs a
	// call.
	lookahead = 16
)

// courier delivers for one licence while this node holds its lease.
type courier struct {
	store         Store
	targets       Targets
	log           *slog.Logger
	metrics       *metrics
	traces        *telemetry.Traces
	now           func() time.Time
	random        func() float64
	stale         time.Duration
	readbackDelay time.Duration

	wake   chan struct{}
	spares chan func(ctx context.Context) // calls that nothing else may wait for

	mu        sync.Mutex
	lease     store.Lease
	current   []*store.Integration
	pace      *plan.Pace
	spend     *budget
	circuit   plan.Circuit
	health    map[store.IntegrationKey]*health
	loaders   map[store.IntegrationKey]*loader
	listeners map[store.IntegrationKey]*listener
	busy      map[string]bool // what has a call under way: profiles, what seated names, "" for a probe, spareSeat
	wanted    int             // places that are waited for beside the single lane
	tally     plan.Tally
	turns     [plan.Ranks]plan.Turns
	blocked   consent.Time
	calls     sync.WaitGroup

	node     string
	reported report
	effects  effects
	mailed   map[store.IntegrationKey]time.Time // when messages were last looked after
	overdue  overdue
}

func (c *courier) clock() consent.Time { return consent.TimeOf(c.now()) }

func (c *courier) currentLease() store.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}

func (c *courier) renew(l store.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lease = l
}

func (c *courier) integrations() []*store.Integration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *courier) budget() *budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spend
}

func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// jitter gives a random wait that doubles with each attempt. A withdrawal
// waits half a minute at most in its first attempts and five minutes in the
// next ones, anything else five minutes; what has failed for long waits an
// hour at most.
func (c *courier) jitter(attempts int, class store.Class) time.Duration {
	most := 5 * time.Minute
	switch {
	case attempts > 12:
		most = time.Hour
	case class == store.LiveWithdrawal && attempts <= 6:
		most = 30 * time.Second
	}
	ceiling := min(most, time.Second<<min(attempts, 12))
	return max(100*time.Millisecond, time.Duration(c.random()*float64(ceiling)))
}

// unmatchedDelay is the slow back-off of people without a profile (R20).
func (c *courier) unmatchedDelay(attempts int) time.Duration {
	return min(24*time.Hour, time.Hour<<min(attempts-1, 5))
}

// run delivers until ctx ends, then waits for the calls under way, which have
// a context of their own: they end well, or when the lease is lost.
func (c *courier) run(ctx, calls context.Context) {
	defer c.metrics.licences.drop(c.currentLease().Licence)
	defer c.calls.Wait()
	for ctx.Err() == nil {
		c.report(ctx)
		c.tellEffects(ctx)
		c.tendMessages(ctx)
		wait, err := c.step(ctx, calls)
		if err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "looking for work failed", "error", err)
			wait = time.Second
		}
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(min(wait, poll))
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step makes at most one call and tells how long to wait before the next look.
// The cheap questions come first: under load it is asked for every webhook, and
// most often the answer is that the budget is spent.
func (c *courier) step(ctx, calls context.Context) (time.Duration, error) {
	if c.budget() == nil {
		if _, err := c.refresh(ctx); err != nil || c.budget() == nil {
			return poll, err
		}
	}
	c.lanes(calls)
	c.listen(calls)
	c.mu.Lock()
	blocked := c.blocked.Sub(c.clock())
	c.mu.Unlock()
	switch {
	case blocked > 0:
		return blocked, nil
	case !c.free():
		return poll, nil // a call that ends wakes us
	}
	if c.outage(calls) {
		return poll, nil // a probe that ends wakes us
	}
	if wait := c.budget().wait(c.now()); wait > 0 {
		return wait, nil
	}
	t, err := c.find(ctx, calls)
	if err != nil {
		return poll, err
	}
	if t == nil {
		run := c.spareCall()
		if run == nil {
			return poll, nil
		}
		c.start(calls, &task{profile: spareSeat, run: func(ctx context.Context, _ consent.Time) { run(ctx) }})
		return 0, nil
	}
	if !c.free() { // meanwhile a probe took the last place, or Actito asked for a wait
		return 0, nil
	}
	c.start(calls, t)
	return 0, nil
}

// find gives the next task of any integration that works; nil if there is none.
func (c *courier) find(ctx, calls context.Context) (*task, error) {
	integrations, err := c.refresh(ctx)
	if err != nil || len(integrations) == 0 {
		return nil, err
	}
	working, err := c.tend(ctx, calls, integrations)
	if err != nil {
		return nil, err
	}
	return c.choose(ctx, working)
}

// free tells whether one more call about a single profile may be under way now.
func (c *courier) free() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.busy)+c.wanted < c.spend.width() && c.blocked <= c.clock()
}

// refresh reads the licence's integrations and adapts the budget to them.
func (c *courier) refresh(ctx context.Context) ([]*store.Integration, error) {
	integrations, err := c.store.IntegrationsOfLicence(ctx, c.currentLease().Licence)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = integrations
	c.forget(integrations)
	if len(integrations) == 0 {
		return nil, nil
	}
	c.adapt(plan.CeilingOf(integrations))
	return integrations, nil
}

// forget drops what is kept of integrations that are gone. The caller holds
// c.mu.
func (c *courier) forget(integrations []*store.Integration) {
	there, turns := make(map[store.IntegrationKey]bool), make(map[string]bool)
	for _, i := range integrations {
		there[store.IntegrationKey{Organization: i.Organization, ID: i.ID}] = true
		turns[turnOf(i.Organization, i.ID)] = true
	}
	maps.DeleteFunc(c.listeners, func(k store.IntegrationKey, _ *listener) bool { return !there[k] })
	maps.DeleteFunc(c.loaders, func(k store.IntegrationKey, _ *loader) bool { return !there[k] })
	maps.DeleteFunc(c.health, func(k store.IntegrationKey, _ *health) bool { return !there[k] })
	maps.DeleteFunc(c.mailed, func(k store.IntegrationKey, _ time.Time) bool { return !there[k] })
	for rank := range c.turns {
		c.turns[rank].Forget(turns)
	}
}

// quietFor tells how long nobody has called the licence, as far as is known.
func (c *courier) quietFor(now time.Time) time.Duration {
	if c.lease.IdleSince == 0 {
		return time.Hour
	}
	// The last owner may have called until its next renewal was due.
	return max(0, consent.TimeOf(now).Sub(c.lease.IdleSince)-store.LeaseLife/3)
}

// tend promotes what has waited its time, probes suspended integrations, watches
// the tables, and gives those that can be delivered now.
func (c *courier) tend(ctx, calls context.Context, integrations []*store.Integration) ([]*store.Integration, error) {
	var working []*store.Integration
	now := c.clock()
	for _, i := range integrations {
		k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
		switch i.Status {
		case store.Suspended:
			c.probe(calls, i)
			continue
		case store.Paused:
			continue
		}
		if _, err := c.store.Promote(ctx, k, store.TargetActito); err != nil {
			return nil, err
		}
		c.watch(calls, i)
		rests := false
		c.with(i, func(h *health) { rests = h.closed["update"] > now })
		if !rests {
			working = append(working, i)
		}
	}
	return working, nil
}

// start runs a task in the background, its first request paid for.
func (c *courier) start(calls context.Context, t *task) {
	p := c.budget().purse(c.now())
	c.occupy(t.profile, func() { t.run(c.targets.Paced(calls, p.pay, c.meter), c.clock()) })
}

// occupy runs f in the background as one of the calls that may be under way at
// once; busy names what it is about.
func (c *courier) occupy(busy string, f func()) {
	c.mu.Lock()
	c.busy[busy] = true
	c.mu.Unlock()
	c.calls.Go(func() {
		defer func() {
			c.mu.Lock()
			delete(c.busy, busy)
			c.mu.Unlock()
			c.nudge()
		}()
		f()
	})
}

// block keeps the licence from being called for a while, in the store too.
// A wait that was asked for is believed up to five minutes: Actito documents no
// such header, and an error page must not silence the licence for a day.
func (c *courier) block(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		wait = time.Second + time.Duration(c.random()*float64(time.Second))
	}
	wait = min(wait, longestBlock)
	until := c.clock().Add(wait)
	c.mu.Lock()
	c.blocked = max(c.blocked, until)
	lease := c.lease
	c.mu.Unlock()
	if err := c.store.Block(ctx, lease, until); err != nil {
		c.log.ErrorContext(ctx, "a wait asked for by Actito could not be stored", "error", err)
	}
}

func defaultRandom() float64 { return rand.Float64() } //nolint:gosec // spreads retries, protects nothing

// seated makes a call beside those of the single lane, as one of those that may
// be under way at once. The next place is kept for it: where Actito is slow, all
// places are taken by single calls, and a load is wanted most. id is what the
// call is for.
func (c *courier) seated(ctx context.Context, operation string, k store.IntegrationKey, id store.ID, f func(ctx context.Context) error) error {
	name := operation + " " + id.String()
	c.mu.Lock()
	c.wanted++
	c.mu.Unlock()
	for !c.seat(name) {
		select {
		case <-ctx.Done():
			c.mu.Lock()
			c.wanted--
			c.mu.Unlock()
			return &consent.Error{Kind: consent.Transient, Message: "the lease went before the call could be made", Err: ctx.Err()}
		case <-time.After(50 * time.Millisecond):
		}
	}
	defer func() {
		c.mu.Lock()
		delete(c.busy, name)
		c.mu.Unlock()
		c.nudge()
	}()
	began := c.clock()
	err := f(c.targets.Paced(ctx, c.budget().limiter.Wait, nil))
	c.metrics.called(operation, outcomeOf(err))
	c.logCall(ctx, store.Call{
		Organization: k.Organization, Integration: k.ID, ID: id, Operation: operation, StartedAt: began, AnsweredAt: c.clock(), Outcome: outcomeOf(err),
	})
	return err
}

// seat takes the place that is kept, as soon as there is one.
func (c *courier) seat(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.busy) >= c.spend.width() || c.blocked > c.clock() {
		return false
	}
	c.wanted--
	c.busy[name] = true
	return true
}

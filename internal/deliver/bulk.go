package deliver

import (
	"context"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

const (
	// loadsPerDay is how many loads Actito takes for a table in a day
	// (https://developers.actito.com/docs/integration-framework/apis/change-management/changelogs).
	loadsPerDay = 24
	// longestLoad is after what time an execution counts as one that never
	// ends.
	longestLoad = 2 * time.Hour
	// laneRest is how long the lane is closed after a fault that somebody has to
	// mend, laneWait after one that may pass by itself.
	laneRest, laneWait = time.Hour, time.Minute
)

// loader is the bulk lane of one integration, as the courier knows it; all else
// is in the store. Its fields are guarded by the courier's lock.
type loader struct {
	running  bool          // a step is under way
	nextAt   consent.Time  // of the next step
	closed   consent.Time  // until when the lane is closed
	reason   string        // why it is closed
	revision int64         // of the integration when it was closed
	took     time.Duration // by the last load
	plan     store.IntegrationPlan
	// again tells when a load that is open is looked at again; only the step
	// under way uses it.
	again map[store.ID]consent.Time
}

// lanes lets the bulk lane of each integration go on. It never waits. While
// the licence may not be called it is only counted what is due.
func (c *courier) lanes(calls context.Context) {
	for _, i := range c.integrations() {
		k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
		c.mu.Lock()
		l := c.loaders[k]
		if l == nil {
			l = &loader{again: make(map[store.ID]consent.Time)}
			c.loaders[k] = l
		}
		due := !l.running && l.nextAt <= c.clock()
		l.running = l.running || due
		c.mu.Unlock()
		if due {
			c.calls.Go(func() { c.lane(calls, i, l) })
		}
	}
}

// lane makes one step of a bulk lane: what is under way goes on, and where
// nothing is, it is decided whether the backlog goes by bulk.
func (c *courier) lane(ctx context.Context, i *store.Integration, l *loader) {
	wait, err := c.guardedStep(ctx, i, l)
	if err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "the bulk lane met an error, and tries again", "integration", i.ID, "error", err)
		wait = 10 * time.Second
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.running, l.nextAt = false, c.clock().Add(wait)
}

// guardedStep is laneStep in which a fault of ours stops this lane alone: each
// step is on disk before the next begins, so that it can be tried again.
func (c *courier) guardedStep(ctx context.Context, i *store.Integration, l *loader) (wait time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = consent.Errorf(consent.Internal, "deliver.lane", "a panic: %v", p)
		}
	}()
	return c.laneStep(ctx, i, l)
}

const (
	// lookEvery is how often it is counted what is due, at most.
	lookEvery = 2 * time.Second
	// lookShare bounds what counting a large backlog costs: one part in so many
	// of the time.
	lookShare = 50
)

func (c *courier) laneStep(ctx context.Context, i *store.Integration, l *loader) (time.Duration, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	target, err := c.targets.Target(i)
	if err != nil {
		return laneWait, nil // the single lane tells what is wrong
	}
	open, err := c.store.OpenLoads(ctx, k)
	if err != nil {
		return 0, err
	}
	underWay, rests := false, i.Status == store.Suspended || c.rests()
	for _, load := range open {
		if l.again[load.LoadID] <= c.clock() && !rests {
			wait, err := c.advance(ctx, i, target, l, load)
			if err != nil {
				return 0, err
			}
			l.again[load.LoadID] = c.clock().Add(wait)
		}
		if load.State == store.LoadDone {
			delete(l.again, load.LoadID)
		} else if load.Outcome != store.LoadUnclear { // which is only watched
			underWay = true
		}
	}
	began := c.now()
	decision, err := c.weigh(ctx, i, target, l, underWay)
	wait := max(lookEvery, lookShare*c.now().Sub(began))
	if err == nil && decision.Bulk && i.Status == store.Active && !rests {
		err = c.load(ctx, i, target, l, decision)
	}
	return wait, err
}

// weigh decides by which lane the backlog goes, and keeps what is to be told
// of it.
func (c *courier) weigh(ctx context.Context, i *store.Integration, target Target, l *loader, underWay bool) (plan.Decision, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	now := c.clock()
	p := i.Settings.Properties
	lanes := plan.Lanes{
		Now: now, PerMinute: c.shareOf(k), LoadsPerDay: loadsPerDay, UnderWay: underWay,
		DrainLimit:      time.Duration(p.BulkAfterSeconds) * time.Second,
		WithdrawalLimit: time.Duration(p.BulkWithdrawalsAfterSeconds) * time.Second,
	}
	told := store.IntegrationPlan{Due: map[string]store.QueuePlan{}}
	for class := range store.Class(plan.Classes) {
		q, err := c.store.Queue(ctx, k, store.TargetActito, class)
		if err != nil {
			return plan.Decision{}, err
		}
		b := plan.Backlog{Due: int(q.Due)}
		if q.Head > 0 {
			b.OldestWait = max(0, now.Sub(q.Head))
		}
		lanes.ByClass[class] = b
		told.Due[store.ClassNames[class]] = store.QueuePlan{People: q.Due, OldestWaitSeconds: b.OldestWait.Seconds()}
	}
	var err error
	if lanes.LoadsToday, err = c.loadsToday(ctx, i); err != nil {
		return plan.Decision{}, err
	}
	if told.Counts, err = c.store.Counts(ctx, k); err != nil {
		return plan.Decision{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.revision != i.Revision {
		l.closed, l.reason = 0, "" // somebody may have mended it
	}
	why := l.reason
	if target.Bulk() == nil {
		why = "properties.etl_id is not set"
	} else if l.closed <= now {
		lanes.BulkOpen, why = true, ""
	}
	lanes.LoadTime = l.took
	d := lanes.Decide()
	if why == "" {
		why = d.Reason
	}
	told.SingleDrainSeconds = d.SingleDrain.Seconds()
	told.Bulk = store.BulkPlan{
		Open: lanes.BulkOpen, Reason: why, LoadsToday: len(lanes.LoadsToday), LoadsLeft: d.LoadsLeft, DrainSeconds: d.BulkDrain.Seconds(),
	}
	l.plan = told
	return d, nil
}

// shareOf is how many calls a minute an integration can count on: an even
// share among those of the licence that have something due.
func (c *courier) shareOf(k store.IntegrationKey) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	busy := 1
	for other, l := range c.loaders {
		if other != k && l.plan.SingleDrainSeconds > 0 {
			busy++
		}
	}
	return max(1, c.pace.Now(c.clock()).PerMinute/busy)
}

// loadsToday tells when loads were handed over for the table in the last 24
// hours, by whichever integration of the licence.
func (c *courier) loadsToday(ctx context.Context, i *store.Integration) ([]consent.Time, error) {
	var times []consent.Time
	since := c.clock().Add(-24 * time.Hour)
	for _, other := range c.integrations() {
		if other.Settings.Properties.EntityID != i.Settings.Properties.EntityID || other.Snapshot.TableID != i.Snapshot.TableID {
			continue
		}
		started, err := c.store.LoadsStarted(ctx, store.IntegrationKey{Organization: other.Organization, ID: other.ID}, since)
		if err != nil {
			return nil, err
		}
		times = append(times, started...)
	}
	return times, nil
}

// closeLane keeps an integration from loading in bulk for a while. The single
// lane goes on.
func (c *courier) closeLane(ctx context.Context, i *store.Integration, l *loader, d time.Duration, reason string) {
	c.mu.Lock()
	l.closed, l.reason, l.revision = c.clock().Add(d), reason, i.Revision
	c.mu.Unlock()
	c.log.WarnContext(ctx, "the bulk lane is closed for a while", "integration", i.ID, "reason", reason)
}

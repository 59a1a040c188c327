package deliver

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
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
	// usualLoad is how long a load is expected to take while nothing is known.
	usualLoad = 2 * time.Minute
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

// lanes lets the bulk lane of each integration go on. It never waits.
func (c *courier) lanes(calls context.Context, integrations []*store.Integration) {
	for _, i := range integrations {
		k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
		c.mu.Lock()
		l := c.loaders[k]
		if l == nil {
			l = &loader{again: make(map[store.ID]consent.Time)}
			c.loaders[k] = l
		}
		due := !l.running && l.nextAt <= c.clock() && i.Status != store.Suspended
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
	wait, err := c.laneStep(ctx, i, l)
	if err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "the bulk lane met an error, and tries again", "integration", i.ID, "error", err)
		wait = 10 * time.Second
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.running, l.nextAt = false, c.clock().Add(wait)
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
	underWay := false
	for _, load := range open {
		if l.again[load.LoadID] <= c.clock() {
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
	if err == nil && decision.Bulk && i.Status == store.Active {
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

// load puts a part of the backlog into a file and hands it over.
func (c *courier) load(ctx context.Context, i *store.Integration, target Target, l *loader, d plan.Decision) error {
	b := &builder{courier: c, i: i, target: target, bulk: target.Bulk(), decision: d}
	columns, err := b.columns(ctx)
	if err != nil {
		return err
	}
	if len(columns) == 0 {
		c.closeLane(ctx, i, l, laneWait, "too few people of the backlog could share a file")
		return nil
	}
	load := &store.Load{
		IntegrationKey: store.IntegrationKey{Organization: i.Organization, ID: i.ID}, LoadID: store.NewID(), State: store.LoadBuilding,
		Epoch: c.currentLease().Epoch, Columns: columns, CreatedAt: c.clock(),
	}
	if err := c.store.SaveLoad(ctx, c.currentLease(), load); err != nil {
		return err
	}
	if err := b.fill(ctx, load); err != nil {
		return err // what is in it is let go by the next step
	}
	if b.stale {
		return c.endLoad(ctx, load, store.LoadNotApplied, "the integration was changed while the load was made")
	}
	if load.People == 0 {
		return c.endLoad(ctx, load, store.LoadNotApplied, "nobody of the backlog could go by bulk")
	}
	c.log.InfoContext(ctx, "a bulk load is handed over", "integration", i.ID, "load", load.LoadID.String(), "people", load.People,
		"withdrawals", load.Withdrawals, "reason", d.Reason)
	return c.handOver(ctx, i, target, l, load)
}

// handOver gives the file to the other end. It is noted first that this is
// about to happen: whoever finds a load in that state knows that it may have.
func (c *courier) handOver(ctx context.Context, i *store.Integration, target Target, l *loader, load *store.Load) error {
	load.State, load.StartedAt = store.LoadStarted, c.clock()
	if err := c.store.SaveLoad(ctx, c.currentLease(), load); err != nil {
		return err
	}
	var execution string
	err := c.seated(ctx, "load", load.LoadID, func(ctx context.Context) (err error) {
		execution, err = target.Bulk().Load(ctx, load.Columns, c.fileRows(ctx, load))
		return err
	})
	c.metrics.loadStarted(err)
	if err == nil {
		load.State, load.Execution = store.LoadRunning, execution
		return c.store.SaveLoad(ctx, c.currentLease(), load)
	}
	reason := message(err)
	switch consent.KindOf(err) {
	case consent.Unclear:
		c.closeLane(ctx, i, l, laneWait, "the last load: "+reason)
		return c.endLoad(ctx, load, store.LoadUnclear, reason)
	case consent.Invalid, consent.TooLarge: // it may count as one of the day's
		c.closeLane(ctx, i, l, laneRest, "Actito refused the file: "+reason)
	case consent.NotFound:
		load.StartedAt = 0
		c.closeLane(ctx, i, l, laneRest, "there is no ETL "+i.Settings.Properties.ETLID+" in the entity "+i.Settings.Properties.EntityID+": "+reason)
	case consent.RateLimited:
		load.StartedAt = 0
		c.closeLane(ctx, i, l, laneRest, "Actito takes no more loads now: "+reason)
	case consent.Forbidden:
		load.StartedAt = 0
		c.closeLane(ctx, i, l, laneRest, "the API key may not load in bulk: "+reason)
	default:
		load.StartedAt = 0
		c.closeLane(ctx, i, l, laneWait, reason)
	}
	return c.endLoad(ctx, load, store.LoadNotApplied, reason)
}

// seated makes a call of the bulk lane as one of those that may be under way at
// once. The next place is kept for it: where Actito is slow, all places are taken
// by single calls, and a load is wanted most.
func (c *courier) seated(ctx context.Context, operation string, load store.ID, f func(ctx context.Context) error) error {
	name := "load " + load.String()
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
	err := f(c.targets.Paced(ctx, c.budget().limiter.Wait, nil))
	c.metrics.called(operation, outcomeOf(err))
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

// fileRows reads what stands in a load, a page at a time.
func (c *courier) fileRows(ctx context.Context, load *store.Load) iter.Seq2[store.LoadRow, error] {
	return func(yield func(store.LoadRow, error) bool) {
		for after := 0; ; {
			page, err := c.store.FileRows(ctx, load, after, 1000)
			if err != nil {
				yield(store.LoadRow{}, err)
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
				after = r.Row
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

func (c *courier) endLoad(ctx context.Context, load *store.Load, outcome store.LoadOutcome, reason string) error {
	load.State, load.Outcome, load.Reason, load.EndedAt = store.LoadEnding, outcome, reason, c.clock()
	return c.store.SaveLoad(ctx, c.currentLease(), load)
}

// builder chooses who goes into a load.
type builder struct {
	*courier
	i        *store.Integration
	target   Target
	bulk     Bulk
	decision plan.Decision
	stale    bool // the integration was changed meanwhile
}

// buildPage is how many people are looked at, and put into a load, at a time.
const buildPage = 200

// pages walks through what is due, from the most urgent class of the decision
// on and behind those whom the single lane will have served sooner.
func (b *builder) pages(ctx context.Context, f func([]*store.Delivery) (more bool, err error)) error {
	k := store.IntegrationKey{Organization: b.i.Organization, ID: b.i.ID}
	leave := b.decision.Leave
	for class := range store.Class(plan.Classes) {
		var cursor store.DueCursor
		for {
			page, err := b.store.DuePage(ctx, k, store.TargetActito, class, cursor, buildPage)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			cursor = store.After(page[len(page)-1])
			skip := min(leave, len(page))
			leave -= skip
			if page = page[skip:]; len(page) == 0 {
				continue
			}
			if more, err := f(page); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// columns gives the set of subscriptions that the most people of a sample
// have to have written: a file has one set of columns, and every cell of it is
// filled (R22). It gives none where too few people would share a file.
func (b *builder) columns(ctx context.Context) ([]string, error) {
	const sample = 1000
	sets := make(map[string][]string)
	counts := make(map[string]int)
	seen := 0
	err := b.pages(ctx, func(page []*store.Delivery) (bool, error) {
		for _, d := range page {
			j, err := b.prepare(ctx, b.i, b.target, d)
			if err != nil {
				if consent.KindOf(err) == consent.Transient {
					return false, err
				}
				continue // the single lane sets the person aside
			}
			seen++
			if b.fits(j) {
				names := slices.Sorted(maps.Keys(j.whole.Subscriptions))
				name := strings.Join(names, "\x00")
				sets[name] = names
				counts[name]++
			}
		}
		return seen < sample, nil
	})
	best := ""
	for name, n := range counts {
		if n > counts[best] || n == counts[best] && name < best {
			best = name
		}
	}
	// A sample that is not the whole backlog stands for more than itself.
	if seen < sample && counts[best] < plan.MinRows || counts[best]*10 < plan.MinRows {
		return nil, err
	}
	return sets[best], err
}

// fits tells whether a person can go by bulk at all. A profile that is not
// known to exist goes only where the file cannot make one against the
// customer's will, nor one that lacks what every profile must have.
func (b *builder) fits(j *job) bool {
	if len(j.whole.Subscriptions) == 0 || j.Readback > 0 || j.ReadbackAt > 0 || b.isBusy(j) || b.bulk.RowBytes(j.userID, 1) == 0 {
		return false
	}
	switch {
	case j.Known.Confirmed():
		return true
	case b.i.Settings.UpsertMode:
		return !b.needsAttributes()
	}
	return b.i.Settings.Properties.ETLUpdatesOnly
}

// needsAttributes tells whether a new profile needs more than its key.
func (b *builder) needsAttributes() bool {
	return slices.ContainsFunc(b.i.Snapshot.Attributes, func(a consent.Attribute) bool {
		return a.Mandatory && !a.Generated && a.Name != b.i.Settings.Properties.UserUniqueKey
	})
}

// row gives what a person has in a file with these columns. What the file has
// beyond the difference must be off already: to write a refusal once more does
// no harm, to write a grant once more could undo a choice made in Actito.
func (b *builder) row(j *job, columns []string) (store.Joining, bool) {
	join := store.Joining{LoadRow: store.LoadRow{
		Person: j.Person, UserID: j.userID, Version: j.Version, Class: j.Class, DueAt: j.DueAt, Rest: len(j.whole.Attributes) > 0,
		Stranger: !j.Known.Confirmed() && !b.i.Settings.UpsertMode,
	}}
	sent := 0
	for _, name := range columns {
		on, differs := j.whole.Subscriptions[name]
		want, wanted := j.projection.Subscriptions[name]
		switch {
		case differs:
			sent++
		case !wanted || want.On:
			return join, false
		}
		join.On = append(join.On, on)
	}
	if sent < len(j.whole.Subscriptions) {
		return join, false
	}
	join.Doubt = j.Known.Doubt(join.Difference(columns))
	return join, true
}

// fill puts all who share the columns into the load, until the file is full.
func (b *builder) fill(ctx context.Context, load *store.Load) error {
	room := b.bulk.MostBytes() - b.bulk.RowBytes(string(make([]byte, 255)), 0) // the header
	for _, name := range load.Columns {
		room -= 2*len(name) + 32
	}
	return b.pages(ctx, func(page []*store.Delivery) (bool, error) {
		var joining []store.Joining
		for _, d := range page {
			j, err := b.prepare(ctx, b.i, b.target, d)
			if err != nil {
				if consent.KindOf(err) == consent.Transient {
					return false, err
				}
				continue
			}
			if !b.fits(j) {
				continue
			}
			join, ok := b.row(j, load.Columns)
			if size := b.bulk.RowBytes(j.userID, len(load.Columns)); ok && size > 0 {
				if room -= size; room < 0 {
					break
				}
				joining = append(joining, join)
			}
		}
		changed, err := b.changed(ctx, b.i)
		if err != nil || changed {
			b.stale = changed // what was compared under old settings is not sent
			return false, err
		}
		if len(joining) > 0 {
			if _, err := b.store.JoinLoad(ctx, b.currentLease(), load, joining); err != nil {
				return false, err
			}
		}
		return room >= 0, ctx.Err()
	})
}

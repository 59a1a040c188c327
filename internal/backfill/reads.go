package backfill

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// readsRun is how long a reconciliation by reads lasts at most, and how often
	// one is begun: a day each, so that how drift develops can be seen.
	readsRun = 24 * time.Hour
	// readsPage is how many people are looked at at once for some who are to be read.
	readsPage = 100
	// mostUnknown bounds the subscriptions that are listed of those which the
	// snapshot does not have.
	mostUnknown = 100

	lookForReads = 10 * time.Second
	// readsAgain is when it is tried again after a fault that is not of one profile.
	readsAgain = time.Minute
	// mostTries is after how many faults in a row somebody is passed over.
	mostTries = 3
)

// readers are the integrations whose profiles this node reads.
type readers struct {
	mu     sync.Mutex
	active map[store.IntegrationKey]bool
	wake   chan struct{}
	once   sync.Once
}

func (s *readers) init() {
	s.once.Do(func() { s.active, s.wake = map[store.IntegrationKey]bool{}, make(chan struct{}, 1) })
}

// Wake says that an integration was made or changed, or a licence taken. It never
// blocks.
func (c *Reconciler) Wake() {
	c.readers.init()
	select {
	case c.readers.wake <- struct{}{}:
	default:
	}
}

// RunReads reads profiles and compares them until ctx ends: of each integration
// that wants it as many an hour as it says, by the node that delivers for the
// licence. A call is made only when nothing else wants one, and a time in which
// there was none is not made up for.
//
// People are taken by their keys. These are keyed hashes, so that their order has
// nothing to do with anything about them: those of any day are a random sample, and
// nobody is read again before all others were. A reconciliation ends after a day, or
// when everybody was read; the next, a day after it was begun, goes on from there.
func (c *Reconciler) RunReads(ctx context.Context) error {
	c.readers.init()
	ticker := time.NewTicker(lookForReads)
	defer ticker.Stop()
	var all errgroup.Group
	defer all.Wait() //nolint:errcheck // they give no errors
	for {
		if err := c.lookForReads(ctx, &all); err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "it cannot be found out whose profiles are to be read, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-c.readers.wake:
		}
	}
}

// lookForReads begins to read for the integrations that want it.
func (c *Reconciler) lookForReads(ctx context.Context, all *errgroup.Group) error {
	for after := (store.IntegrationKey{}); ; {
		page, err := c.Store.AllIntegrations(ctx, after, 100)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, i := range page {
			after = store.IntegrationKey{Organization: i.Organization, ID: i.ID}
			if i.Settings.Properties.ReconcileReadsPerHour > 0 && i.Status == store.Active && c.Holds(i.Licence) {
				c.readFor(ctx, all, after)
			}
		}
	}
}

// readFor reads for an integration beside the others, unless that is being done.
func (c *Reconciler) readFor(ctx context.Context, all *errgroup.Group, k store.IntegrationKey) {
	s := &c.readers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[k] {
		return
	}
	s.active[k] = true
	all.Go(func() error {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.active, k)
		}()
		r := &reader{Reconciler: c, key: k}
		// The settings may be changed while it waits.
		for wait, more := time.Duration(0), true; more && pause(ctx, min(wait, lookForReads)) == nil; {
			var err error
			if wait, more, err = r.step(ctx); err != nil && ctx.Err() == nil {
				c.Log.ErrorContext(ctx, "a reconciliation by reads failed, trying again", "integration", k.ID, "error", err)
				wait = lookForReads
			}
		}
		return nil
	})
}

// reader reads the profiles of one integration.
type reader struct {
	*Reconciler
	key    store.IntegrationKey
	loaded bool
	run    *store.Reconciliation // the last by reads; nil if there is none
	tries  int                   // of the next person, that failed
	again  consent.Time          // not before this, after one that failed
}

// step reads the next profile if it is time, and says when to come again; more is
// false when there is nothing more to do here.
func (r *reader) step(ctx context.Context) (wait time.Duration, more bool, err error) {
	i, err := r.Store.Integration(ctx, r.key)
	switch {
	case consent.KindOf(err) == consent.NotFound:
		return 0, false, nil
	case err != nil:
		return 0, true, err
	case i.Status != store.Active || !r.Holds(i.Licence):
		return 0, false, nil
	}
	if err := r.load(ctx); err != nil {
		return 0, true, err
	}
	now, err := r.Store.Now(ctx)
	if err != nil {
		return 0, true, err
	}
	turn := turnOfReads(r.run, now, i.Settings.Properties.ReconcileReadsPerHour)
	turn.wait = max(turn.wait, r.again.Sub(now))
	switch {
	case turn.end:
		err = r.conclude(ctx, r.run)
	case turn.begin:
		err = r.begin(ctx, now)
	case turn.off:
		return 0, false, nil
	case turn.wait > 0:
		return turn.wait, true, nil
	default:
		err = r.one(ctx, i, now)
	}
	if err != nil {
		r.loaded = false
	}
	if consent.KindOf(err) == consent.Conflict {
		return lookForReads, true, nil // it was changed, or everybody is being compared
	}
	return 0, true, err
}

// readsTurn is what is to be done.
type readsTurn struct {
	begin, end, off bool
	wait            time.Duration // until a profile is to be read, or one is to be begun
}

// turnOfReads says what is to be done now. It is pure.
func turnOfReads(run *store.Reconciliation, now consent.Time, perHour int) (t readsTurn) {
	reading := run != nil && run.State == store.ReconciliationReading
	switch {
	case reading && (perHour <= 0 || now.Sub(run.StartedAt) >= readsRun):
		t.end = true
	case perHour <= 0:
		t.off = true
	case reading:
		t.wait = max(0, run.AsOf.Add(time.Hour/time.Duration(perHour)).Sub(now))
	case run == nil || now.Sub(run.StartedAt) >= readsRun:
		t.begin = true
	default:
		t.wait = readsRun - now.Sub(run.StartedAt)
	}
	return t
}

// load reads how far it is.
func (r *reader) load(ctx context.Context) error {
	if r.loaded {
		return nil
	}
	all, err := r.Store.Reconciliations(ctx, r.key, store.MostReconciliations)
	if err != nil {
		return err
	}
	r.run, r.loaded = nil, true
	if n := slices.IndexFunc(all, (*store.Reconciliation).ByReads); n >= 0 {
		r.run = all[n]
	}
	return nil
}

// begin starts the next, from where the last one ended.
func (r *reader) begin(ctx context.Context, now consent.Time) error {
	run := &store.Reconciliation{
		IntegrationKey: r.key, RunID: store.NewID(), State: store.ReconciliationReading, Source: store.SourceReads, Policy: store.PolicyWithdrawals, StartedAt: now,
		AsOf: now, // the first read follows when a slice has passed
	}
	if r.run != nil {
		run.Cursor, run.AsOf = r.run.Cursor, r.run.AsOf
	}
	if err := r.Store.StartReconciliation(ctx, run); err != nil {
		return err
	}
	r.run = run
	return nil
}

// one reads the profile of the next person, compares it, and stores what follows
// with the place.
func (r *reader) one(ctx context.Context, i *store.Integration, now consent.Time) error {
	r.run.Policy = cmp.Or(i.Settings.Properties.ReconcilePolicy, store.PolicyWithdrawals)
	if err := r.uncounted(ctx, r.run); err != nil {
		return err
	}
	person, err := r.person(ctx, i)
	if person == nil || err != nil {
		return err
	}
	row, there, at, err := r.read(ctx, i, person)
	if err != nil {
		return r.failed(ctx, now, person.Key, err)
	}
	// Whatever was chosen or written since the read was begun counts.
	is, err := r.Store.ComparePage(ctx, r.key, store.Keys{After: before(person.Key)}, 1)
	if err != nil {
		return err
	}
	same, err := r.Store.Integration(ctx, r.key)
	switch {
	case err != nil:
		return err
	case same.Revision != i.Revision:
		return nil // read again, and compared under the new settings
	}
	r.run.AsOf, r.run.Cursor = at, person.Key[:]
	if there {
		r.run.Rows++
	}
	p := drifting{i: i, rules: i.Rules(), r: r.run, now: now}
	if len(is) > 0 && is[0].Key == person.Key { // else erased meanwhile
		p.compare(is[0], row, there)
	}
	if err := r.Store.SaveReconciliation(ctx, r.run, p.step); err != nil {
		return err
	}
	r.tries = 0
	if len(p.step.Due)+len(p.step.Read) > 0 {
		r.Due()
	}
	return nil
}

// person gives the next whose profile is to be read; nil while there is none, which
// may be because it is not known yet, or because everybody was read: then the
// reconciliation is concluded.
func (r *reader) person(ctx context.Context, i *store.Integration) (*store.Compared, error) {
	page, err := r.Store.ComparePage(ctx, r.key, store.Keys{After: r.run.Cursor}, readsPage)
	if err != nil {
		return nil, err
	}
	if len(page) == 0 {
		r.run.Cursor = nil
		return nil, r.conclude(ctx, r.run)
	}
	rules := i.Rules()
	for _, c := range page {
		if readable(c, rules) {
			return c, nil
		}
		r.run.Cursor = c.Key[:] // stored with the next that is read
	}
	return nil, nil
}

// readable tells whether reading somebody's profile tells anything: they chose, and
// nothing is about to be written or read anyway.
func readable(c *store.Compared, rules consent.Rules) bool {
	return c.Err == nil && !c.Closing() && !c.Readback && len(consent.Project(c.Person.View(), rules).Subscriptions) > 0
}

// read reads a profile, as a row of an export; there is false if it is missing.
func (r *reader) read(ctx context.Context, i *store.Integration, c *store.Compared) (row store.HeldRow, there bool, at consent.Time, err error) {
	subscriptions, at, err := r.Read(ctx, i, c.Person.OrganizationUserID)
	switch {
	case err == nil:
		r.Metrics.read(readFound)
		return r.row(i, c.Key, subscriptions), true, at, nil
	case consent.KindOf(err) == consent.NotFound:
		r.Metrics.read(readMissing)
		return row, false, at, nil
	case consent.KindOf(err) != consent.Conflict && ctx.Err() == nil:
		r.Metrics.read(readFailed)
	}
	return row, false, at, err
}

// row puts what a profile holds into the form of a row: a column for each mapped
// subscription that the table has.
func (r *reader) row(i *store.Integration, person store.PersonKey, subscriptions map[string]bool) store.HeldRow {
	row := store.HeldRow{Person: person}
	r.run.Columns = nil
	for _, m := range i.Settings.Mappings {
		if _, there := i.Snapshot.Subscription(m.ID); !there {
			continue
		}
		r.run.Columns = append(r.run.Columns, m.ID)
		switch {
		case subscriptions == nil:
			row.Cells += "-"
		case subscriptions[m.ID]:
			row.Cells += "1"
		default:
			row.Cells += "0"
		}
	}
	unknown := &r.run.Report.UnknownSubscriptions
	for name := range subscriptions {
		if _, there := i.Snapshot.Subscription(name); !there && !slices.Contains(*unknown, name) && len(*unknown) < mostUnknown {
			*unknown = append(*unknown, name)
		}
	}
	slices.Sort(*unknown)
	return row
}

// failed says when it is tried again after a read that failed, and passes over
// somebody whose profile cannot be read.
func (r *reader) failed(ctx context.Context, now consent.Time, person store.PersonKey, err error) error {
	kind := consent.KindOf(err)
	if kind == consent.Conflict || ctx.Err() != nil {
		return err
	}
	r.tries++
	r.again = now.Add(readsAgain)
	switch {
	case kind == consent.Forbidden:
		r.again = now.Add(time.Hour) // the integration's status tells of it
	case kind == consent.Internal:
		r.Log.ErrorContext(ctx, "a profile could not be read", "integration", r.key.ID, "error", err)
	case kind == consent.Invalid, kind == consent.Transient && r.tries >= mostTries:
		r.run.Report.People++
		r.run.Report.Unreadable++
		r.run.Cursor, r.tries = person[:], 0
		return r.Store.SaveReconciliation(ctx, r.run, store.ReconciliationStep{})
	}
	return nil
}

// before gives the key that people are listed from after, so that the one with this
// key is the first.
func before(k store.PersonKey) []byte {
	for n := len(k) - 1; n >= 0; n-- {
		if k[n]--; k[n] != 0xff {
			return k[:]
		}
	}
	return nil
}

// Package backfill does in the background what concerns all people at once.
//
// It guarantees that nothing we set in motion ourselves turns on subscriptions
// of more than the larger of 100 people and 1 % without somebody's yes; that
// withdrawals do not wait for that yes; and that it goes on where it was after
// a crash.
package backfill

import (
	"context"
	"log/slog"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Store is what the background work needs of the database.
type Store interface {
	Now(ctx context.Context) (consent.Time, error)
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
	Reprojections(ctx context.Context) ([]store.Reprojection, error)
	AdvanceReprojection(ctx context.Context, r store.Reprojection, due []store.Due, changes ...store.Change) error
	Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error)
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	People
}

// People is everybody beside what an integration knows of their profiles.
type People interface {
	ComparePage(ctx context.Context, k store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error)
}

// Reprojector compares everyone again after a new mapping, snapshot or
// integration (R12).
type Reprojector struct {
	store Store
	holds func(licence string) bool
	due   func()
	log   *slog.Logger
	wake  chan struct{}
}

// NewReprojector makes a reprojector; Run starts it. It works on the
// integrations of the licences that this node holds, so that of several nodes
// one does; should two overlap while a licence is handed over, the store lets
// the one that is behind change nothing. due is called when something became
// due for delivery.
func NewReprojector(s Store, holds func(licence string) bool, due func(), log *slog.Logger) *Reprojector {
	return &Reprojector{store: s, holds: holds, due: due, log: log, wake: make(chan struct{}, 1)}
}

// Wake says that an integration was made or changed, or a licence taken.
func (r *Reprojector) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (r *Reprojector) Run(ctx context.Context) error {
	// Another node may have changed an integration of a licence that is held
	// here, and nobody says so.
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if err := r.work(ctx); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "a re-projection failed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-r.wake:
		}
	}
}

// work goes on with every re-projection, a page at a time in turn, until there
// is none left.
func (r *Reprojector) work(ctx context.Context) error {
	for ctx.Err() == nil {
		running, err := r.store.Reprojections(ctx)
		if err != nil {
			return err
		}
		idle := true
		for _, p := range running {
			others, err := r.page(ctx, p)
			if err != nil {
				return err
			}
			idle = idle && others
		}
		if idle {
			return nil
		}
	}
	return nil
}

// pageSize is how many people one transaction makes due at most.
const pageSize = 200

// page goes on with a re-projection by a page, or tells that it is others' to
// do so.
func (r *Reprojector) page(ctx context.Context, p store.Reprojection) (others bool, err error) {
	i, err := r.store.Integration(ctx, p.IntegrationKey)
	switch {
	case consent.KindOf(err) == consent.NotFound:
		p.State = store.ReprojectionDone
		return false, r.store.AdvanceReprojection(ctx, p, nil)
	case err != nil:
		return false, err
	case !r.holds(i.Licence):
		return true, nil
	}
	return false, r.advance(ctx, i, p)
}

func (r *Reprojector) advance(ctx context.Context, i *store.Integration, p store.Reprojection) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	if p.Only.Towards() == store.TargetDidomi {
		return r.tell(ctx, p, now)
	}
	people, next, err := r.people(ctx, i, &p)
	if err != nil {
		return err
	}
	var due []store.Due
	rules := i.Rules()
	for _, c := range people {
		if c.Err != nil {
			r.log.ErrorContext(ctx, "a person cannot be compared and is left out", "person", c.Key.String(), "error", c.Err)
			continue
		}
		if retries(&p) && !asked(&p, c.Standing) {
			continue
		}
		if retries(&p) {
			c.Known = c.Known.Forgive() // what was refused is tried again
		}
		if entry, ok := look(&p, c, gap(c, rules).difference, now); ok {
			entry.SubjectKey = store.SubjectKey{Organization: p.Organization, Person: c.Key}
			due = append(due, entry)
		}
	}
	if len(people) < pageSize {
		r.turn(&p)
	} else {
		p.Cursor = next
	}
	if err := r.store.AdvanceReprojection(ctx, p, due); err != nil {
		return err
	}
	if len(due) > 0 {
		r.due()
	}
	return nil
}

// tell makes the next of those due again of whom Didomi refused to hear. It is
// told what they chose themselves, so nothing is compared, and nobody has to say
// yes.
func (r *Reprojector) tell(ctx context.Context, p store.Reprojection, now consent.Time) error {
	found, err := r.store.Troubled(ctx, p.IntegrationKey, p.Only, store.TroubleCursorOf(p.Cursor), pageSize)
	if err != nil {
		return err
	}
	var due []store.Due
	for _, d := range found {
		due = append(due, store.Due{
			SubjectKey: store.SubjectKey{Organization: p.Organization, Person: d.Person}, Class: store.BackfilledRefusal, ConsentAt: now, At: now,
		})
		p.Cursor = store.TroubleCursor{Reason: store.ReasonOf(d.LastError), Person: d.Person}.Bytes()
	}
	p.People += int64(len(found))
	if len(found) < pageSize {
		p.State = store.ReprojectionDone
	}
	if err := r.store.AdvanceReprojection(ctx, p, due); err != nil {
		return err
	}
	if len(due) > 0 {
		r.due()
	}
	return nil
}

// retries tells whether a re-projection is of some alone.
func retries(p *store.Reprojection) bool { return p.Only != (store.Only{}) }

// asked tells whether a retry is about a delivery, or has sent it already but for
// its grants.
func asked(p *store.Reprojection, s store.Standing) bool {
	return p.Only.Takes(s) || p.State == store.ReprojectionGranting && s.HoldGrants
}

// people gives the next of those whom a re-projection is about, and the cursor
// after them. A retry counts those in trouble; whoever was sent without their
// grants meanwhile is among all the others when the grants go out.
func (r *Reprojector) people(ctx context.Context, i *store.Integration, p *store.Reprojection) (people []*store.Compared, next []byte, err error) {
	if retries(p) && p.Only.State != store.Everyone && p.State == store.ReprojectionCounting {
		return r.troubled(ctx, i, p)
	}
	people, err = r.store.ComparePage(ctx, p.IntegrationKey, store.Keys{After: p.Cursor}, pageSize)
	if len(people) > 0 {
		next = people[len(people)-1].Key[:]
	}
	return people, next, err
}

// troubled gives the next of those in trouble.
func (r *Reprojector) troubled(ctx context.Context, i *store.Integration, p *store.Reprojection) (people []*store.Compared, next []byte, err error) {
	found, err := r.store.Troubled(ctx, p.IntegrationKey, p.Only, store.TroubleCursorOf(p.Cursor), pageSize)
	for _, d := range found {
		c := &store.Compared{Key: d.Person, Standing: store.StandingOf(d)}
		person, err := r.store.Person(ctx, i.Organization, d.Person)
		switch {
		case err == nil:
			c.Person = *person
		case consent.KindOf(err) == consent.Transient || ctx.Err() != nil:
			return nil, nil, err
		default:
			c.Err = err
		}
		people = append(people, c)
		next = store.TroubleCursor{Reason: store.ReasonOf(d.LastError), Person: d.Person}.Bytes()
	}
	return people, next, err
}

// look says whether a person has to be made due. What is about to be closed by
// the person's own live consent is neither counted nor held (R23): what is due is
// compared under the new settings when its turn comes; what is under way was
// compared under the old ones, so it has to be compared again after.
func look(p *store.Reprojection, c *store.Compared, d consent.Difference, now consent.Time) (store.Due, bool) {
	switch {
	case !c.Closing():
		return decide(p, d, now)
	case c.State == store.Pending:
		return store.Due{}, false
	}
	return store.Due{Class: store.Ordinary, ConsentAt: now, At: now}, true
}

// compared is what comparing one person gives.
type compared struct {
	view       consent.View
	projection consent.Projection
	difference consent.Difference
}

// gap compares what one person's profile should hold with what it was last
// known to hold. It brings no newer consent, so nothing differs just because it
// was confirmed long ago.
func gap(c *store.Compared, rules consent.Rules) compared {
	view := c.Person.View()
	projection := consent.Project(view, rules)
	return compared{view, projection, consent.Differ(projection, c.Known, &rules.Snapshot, 0)}
}

// decide says what a person's difference means for the re-projection. While
// counting, everything but grants goes out; then the grants do.
func decide(p *store.Reprojection, d consent.Difference, now consent.Time) (store.Due, bool) {
	due := store.Due{Class: store.Ordinary, ConsentAt: now, At: now}
	if p.State == store.ReprojectionGranting {
		return due, d.Grants()
	}
	p.People++
	if d.Grants() {
		p.Grants++
		due.HoldGrants = true
	}
	if d.Withdraws() {
		p.Withdrawals++
		due.Class = store.BackfilledRefusal
	}
	if retries(p) && p.Only.State != store.Everyone && !d.Grants() {
		return due, true // even where nothing differs: it is no failure then
	}
	return due, !d.WithoutGrants().Empty()
}

// turn ends a pass over all people: after counting the grants go out, unless
// there are so many that somebody has to say yes (R23).
func (r *Reprojector) turn(p *store.Reprojection) {
	p.Cursor = []byte{}
	switch {
	case p.State == store.ReprojectionGranting || p.Grants == 0:
		p.State = store.ReprojectionDone
	case p.Grants > MostGrants(p.People):
		p.State = store.ReprojectionAsking
		r.log.Warn("a re-projection would turn on subscriptions of many people and asks first",
			"integration", p.ID, "people", p.People, "grants", p.Grants)
	default:
		p.State = store.ReprojectionGranting
	}
}

// MostGrants is of how many people subscriptions may be turned on without a yes,
// among so many (R23).
func MostGrants(people int64) int64 { return max(100, people/100) }

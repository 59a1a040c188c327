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
	"slices"
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
	PeoplePage(ctx context.Context, organization string, after []byte, limit int) ([]store.PersonKey, error)
	Troubled(ctx context.Context, k store.IntegrationKey, only store.Only, after store.TroubleCursor, limit int) ([]*store.Delivery, error)
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	Delivery(ctx context.Context, k store.DeliveryKey) (*store.Delivery, error)
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
	keys, next, err := r.people(ctx, &p)
	if err != nil {
		return err
	}
	var due []store.Due
	for _, k := range keys {
		d, delivery, err := r.compare(ctx, i, k)
		state := closing(delivery)
		switch {
		case err != nil && (consent.KindOf(err) == consent.Transient || ctx.Err() != nil):
			return err
		case err != nil:
			r.log.ErrorContext(ctx, "a person cannot be compared and is left out", "person", k.String(), "error", err)
			continue
		case state == store.Pending:
			continue // and compared under the new settings when its turn comes
		case retries(&p) && !asked(&p, delivery):
			continue
		}
		entry, ok := store.Due{Class: store.Ordinary, ConsentAt: now, At: now}, true
		if state == "" {
			entry, ok = decide(&p, d, now)
		}
		if ok {
			entry.SubjectKey = store.SubjectKey{Organization: p.Organization, Person: k}
			due = append(due, entry)
		}
	}
	if len(keys) < pageSize {
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

// retries tells whether a re-projection is of some alone.
func retries(p *store.Reprojection) bool { return p.Only != (store.Only{}) }

// asked tells whether a retry is about a delivery, or has sent it already but for
// its grants.
func asked(p *store.Reprojection, d *store.Delivery) bool {
	return p.Only.Takes(d) || p.State == store.ReprojectionGranting && d.HoldGrants
}

// people gives the next of those whom a re-projection is about, and the cursor
// after them. A retry counts those in trouble; whoever was sent without their
// grants meanwhile is among all the others when the grants go out.
func (r *Reprojector) people(ctx context.Context, p *store.Reprojection) (keys []store.PersonKey, next []byte, err error) {
	if retries(p) && p.State == store.ReprojectionCounting {
		found, err := r.store.Troubled(ctx, p.IntegrationKey, p.Only, store.TroubleCursorOf(p.Cursor), pageSize)
		for _, d := range found {
			keys = append(keys, d.Person)
			next = store.TroubleCursor{Reason: store.ReasonOf(d.LastError), Person: d.Person}.Bytes()
		}
		return keys, next, err
	}
	// A store may give an empty cursor back as nil, which to SQL is no key at
	// all and not the one before all others.
	keys, err = r.store.PeoplePage(ctx, p.Organization, append([]byte{}, p.Cursor...), pageSize)
	if len(keys) > 0 {
		next = keys[len(keys)-1][:]
	}
	return keys, next, err
}

// compare gives the difference between what one person's profile should hold
// and what it was last known to hold, and the delivery, as far as there is one.
func (r *Reprojector) compare(ctx context.Context, i *store.Integration, k store.PersonKey) (consent.Difference, *store.Delivery, error) {
	person, err := r.store.Person(ctx, i.Organization, k)
	if err != nil {
		return consent.Difference{}, &store.Delivery{}, err
	}
	d, err := r.store.Delivery(ctx, store.DeliveryKey{Organization: i.Organization, Integration: i.ID, Target: store.TargetActito, Person: k})
	if consent.KindOf(err) == consent.NotFound && err != nil {
		d, err = &store.Delivery{}, nil
	}
	if err != nil {
		return consent.Difference{}, &store.Delivery{}, err
	}
	// It brings no newer consent, so nothing is sent again just because it was
	// confirmed long ago.
	return consent.Differ(consent.Project(person.View(), i.Rules()), d.Known, &i.Snapshot, 0), d, nil
}

// closing gives the state of a delivery whose difference is about to be closed
// anyway, because of the person's own live consent, which waits for nobody's yes
// (R23): it is due, in flight or in a bulk load. What is under way was compared
// under the old settings, so it has to be compared again after.
func closing(d *store.Delivery) store.DeliveryState {
	if !d.HoldGrants && slices.Contains([]store.DeliveryState{store.Pending, store.InFlight, store.Sent}, d.State) {
		return d.State
	}
	return ""
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
	if retries(p) && !d.Grants() {
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
	case p.Grants > max(100, p.People/100):
		p.State = store.ReprojectionAsking
		r.log.Warn("a re-projection would turn on subscriptions of many people and asks first",
			"integration", p.ID, "people", p.People, "grants", p.Grants)
	default:
		p.State = store.ReprojectionGranting
	}
}

package backfill

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// CatchUpStore is what catching up needs of the database.
type CatchUpStore interface {
	Now(ctx context.Context) (consent.Time, error)
	AllIntegrations(ctx context.Context, after store.IntegrationKey, limit int) ([]*store.Integration, error)
	Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error)
	CatchUp(ctx context.Context, organization string) (store.CatchUp, error)
	SaveCatchUp(ctx context.Context, c *store.CatchUp, changes ...store.Change) error
	Gone(ctx context.Context, after, before consent.Time) ([]consent.Time, error)
	Recompare(ctx context.Context, organization string) error
	Accept(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error)
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
}

// Source is an organization's Didomi, as far as it is fetched from.
type Source interface {
	Users(ctx context.Context, regulation, cursor string) (page []json.RawMessage, next string, err error)
	EventsOf(ctx context.Context, organizationUserID, regulation string) ([]json.RawMessage, error)
}

// CatchUps fetches from Didomi what may have been missed.
//
// It merges what a webhook would have told, so that it may run at any time, any
// number of times. What it fetches are snapshots, which turn no withdrawal into a
// grant; where one says so, the person's events are fetched, whose dates decide
// (R5). It sends no mail (R28). Of several nodes the one that holds the licence
// does it; what it has fetched stays, and another goes on where it was.
type CatchUps struct {
	Store  CatchUpStore
	Hasher *store.Hasher
	// Source opens an integration's Didomi; nil where there are no credentials.
	Source func(i *store.Integration) (Source, error)
	Holds  func(licence string) bool
	// Every is how often everything is fetched without a reason; 0 fetches only
	// when somebody asks, and not after having been away either.
	Every time.Duration
	// Pause is how long it waits between two calls.
	Pause time.Duration
	// Due and Changed: see Importer.
	Due, Changed func()
	Log          *slog.Logger
	Metrics      *Metrics // nil tells nothing

	mu     sync.Mutex
	active map[string]bool // organizations under way on this node
	missed map[string]bool // organizations of which a webhook was not accepted here
	wake   chan struct{}
	once   sync.Once
}

const (
	// CatchUpPause is the usual Pause: Didomi does not limit these calls
	// (https://developers.didomi.io/api/introduction/rate-limiting), and ten a
	// second are a thousand people a second.
	CatchUpPause = 100 * time.Millisecond
	// catchUpOverlap is how far before the last good point users are looked at:
	// for clocks that differ, and for what came late.
	catchUpOverlap = time.Hour
	// awayFor is after how long without anybody to accept something may have been
	// missed: Didomi tries again for about five minutes, and a node says every
	// minute that it is there.
	awayFor = 3 * time.Minute
	// missedFor is how long it is waited after a webhook was answered with an
	// error: mostly Didomi's next try is accepted.
	missedFor = 6 * time.Minute
	// errorsEvery bounds how often errors alone are a reason.
	errorsEvery = time.Hour
	// goodEvery is how often it is stored that all is well.
	goodEvery = time.Minute

	lookForCatchUps = 10 * time.Second
	mostCatchUps    = 4 // organizations at once
)

// init makes what is not set by whoever makes a CatchUps.
func (c *CatchUps) init() {
	c.once.Do(func() {
		c.active, c.missed, c.wake = map[string]bool{}, map[string]bool{}, make(chan struct{}, 1)
	})
}

// Missed says that a webhook of an organization was not accepted by this node,
// whichever delivers. It never blocks.
func (c *CatchUps) Missed(organization string) {
	c.init()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.missed) < 10_000 {
		c.missed[organization] = true
	}
}

// Wake says that an integration was made or changed. It never blocks.
func (c *CatchUps) Wake() {
	c.init()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx ends.
func (c *CatchUps) Run(ctx context.Context) error {
	c.init()
	ticker := time.NewTicker(lookForCatchUps)
	defer ticker.Stop()
	var runs errgroup.Group
	runs.SetLimit(mostCatchUps)
	defer runs.Wait() //nolint:errcheck // they give no errors
	for {
		if err := c.look(ctx, &runs); err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "it cannot be found out whether something has to be fetched from Didomi, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-c.wake:
		}
	}
}

// look finds the organizations that can be fetched for, and works on each.
func (c *CatchUps) look(ctx context.Context, runs *errgroup.Group) error {
	if c.Every > 0 {
		if err := c.tellMissed(ctx); err != nil {
			return err
		}
	}
	seen, mine := "", map[string]bool{}
	for after := (store.IntegrationKey{}); ; {
		page, err := c.Store.AllIntegrations(ctx, after, 100)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			c.Metrics.keep(mine)
			return nil
		}
		for _, i := range page {
			after = store.IntegrationKey{Organization: i.Organization, ID: i.ID}
			if i.Organization == seen || !c.Holds(i.Licence) {
				continue
			}
			source, err := c.Source(i)
			if err != nil || source == nil {
				continue // its status tells of it
			}
			seen, mine[i.Organization] = i.Organization, true
			c.begin(ctx, runs, i, source)
		}
	}
}

// tellMissed stores of which organizations this node did not accept a webhook, for
// the one that delivers. What cannot be stored, for the database is what is wrong, is
// tried again; of an organization that was never fetched everything is to be.
func (c *CatchUps) tellMissed(ctx context.Context) error {
	c.mu.Lock()
	missed := slices.Collect(maps.Keys(c.missed))
	c.mu.Unlock()
	for _, organization := range missed {
		row, err := c.Store.CatchUp(ctx, organization)
		if err != nil {
			return err
		}
		now, err := c.Store.Now(ctx)
		if err != nil {
			return err
		}
		if row.Version > 0 && row.MissedAt == 0 {
			row.MissedAt = now
			switch err := c.Store.SaveCatchUp(ctx, &row); {
			case consent.KindOf(err) == consent.Conflict:
				continue // the next time
			case err != nil:
				return err
			}
		}
		c.mu.Lock()
		delete(c.missed, organization)
		c.mu.Unlock()
	}
	return nil
}

// begin works on an organization beside others, unless that is done already or
// too many others are.
func (c *CatchUps) begin(ctx context.Context, runs *errgroup.Group, i *store.Integration, source Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[i.Organization] {
		return
	}
	c.active[i.Organization] = runs.TryGo(func() error {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.active, i.Organization)
		}()
		if err := c.tend(ctx, i, source); err != nil && ctx.Err() == nil && consent.KindOf(err) != consent.Conflict {
			c.Log.ErrorContext(ctx, "a catch-up from Didomi failed, trying again", "organization", i.Organization, "error", err)
		}
		return nil
	})
}

// tend decides whether an organization has something to fetch, and fetches it.
func (c *CatchUps) tend(ctx context.Context, i *store.Integration, source Source) error {
	row, err := c.Store.CatchUp(ctx, i.Organization)
	if err != nil {
		return err
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return err
	}
	was := row
	// One of a restored database may be a trial beside the real one.
	if c.Every > 0 && (i.Status != store.Paused || i.Snapshot.RestoredAt == 0) {
		gone, err := c.Store.Gone(ctx, row.GoneAt, now.Add(-awayFor))
		if err != nil {
			return err
		}
		row = decideCatchUp(missedBy(row, gone), now, c.Every)
		c.Metrics.stands(&row)
	}
	if row != was {
		if err := c.Store.SaveCatchUp(ctx, &row); err != nil {
			return err
		}
	}
	if !row.Running || row.NextAt > now {
		return nil
	}
	regulations, err := c.regulations(ctx, i.Organization)
	if err != nil {
		return err
	}
	return (&catchUpRun{CatchUps: c, row: row, source: source, licence: i.Licence, regulations: regulations}).all(ctx)
}

// missedBy notes what nodes may have missed that ended without saying so: nobody knows
// when Didomi's webhooks were last sent to them. It is pure.
func missedBy(c store.CatchUp, gone []consent.Time) store.CatchUp {
	for _, at := range gone {
		c.MissedAt, c.GoneAt = cmp.Or(min(c.MissedAt, at), at), max(c.GoneAt, at)
	}
	return c
}

// decideCatchUp says what follows from how things stand: since when something may
// have been missed, and whether it has to be fetched. It is pure.
func decideCatchUp(c store.CatchUp, now consent.Time, every time.Duration) store.CatchUp {
	if c.AliveAt > 0 && now.Sub(c.AliveAt) > awayFor {
		c.MissedAt, c.Away = cmp.Or(min(c.MissedAt, c.AliveAt), c.AliveAt), true
	}
	if now.Sub(c.AliveAt) >= goodEvery {
		c.AliveAt = now
	}
	switch {
	case c.Running:
	case !c.Done:
		return startCatchUp(c, store.CatchUpFirst, 0, now)
	case c.Away:
		return startCatchUp(c, store.CatchUpAway, missedSince(c), now)
	case c.MissedAt > 0 && now.Sub(c.MissedAt) > missedFor && now.Sub(c.EndedAt) > errorsEvery:
		return startCatchUp(c, store.CatchUpMissed, missedSince(c), now)
	case now.Sub(c.EndedAt) > every:
		return startCatchUp(c, store.CatchUpSchedule, missedSince(c).Add(-every), now)
	}
	return c
}

// missedSince is since when something may have been missed, the overlap taken off;
// 0 is for ever.
func missedSince(c store.CatchUp) consent.Time {
	return max(0, c.GoodAt().Add(-catchUpOverlap))
}

// startCatchUp begins to fetch what has changed in Didomi since a time. Where that
// is more than what may have been missed, or the first of all, grants are counted
// first (R23).
func startCatchUp(c store.CatchUp, reason store.CatchUpReason, since, now consent.Time) store.CatchUp {
	return store.CatchUp{
		Organization: c.Organization, Version: c.Version, Done: c.Done, AliveAt: c.AliveAt, MissedAt: c.MissedAt, Away: c.Away, GoneAt: c.GoneAt,
		Running: true, Reason: reason, Since: max(0, since), StartedAt: now,
		Counted: !c.Done || reason == store.CatchUpAsked && since < missedSince(c),
	}
}

// regulations gives those that an organization's integrations look at.
func (c *CatchUps) regulations(ctx context.Context, organization string) ([]string, error) {
	var all []string
	for after := ""; ; {
		page, err := c.Store.Integrations(ctx, organization, after, 100)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			all, after = append(all, i.Settings.Properties.Regulations...), i.ID
		}
		if len(page) < 100 {
			slices.Sort(all)
			return slices.Compact(all), nil
		}
	}
}

// CatchUpView is how far a catch-up is, as it is shown.
type CatchUpView struct {
	OrganizationID string `json:"organization_id"`
	// Possible tells that an integration has credentials for Didomi's API.
	Possible  bool                `json:"possible"`
	Running   bool                `json:"running"`
	Reason    store.CatchUpReason `json:"reason,omitempty"`
	Since     *consent.Time       `json:"since"`
	StartedAt *consent.Time       `json:"started_at"`
	EndedAt   *consent.Time       `json:"ended_at"`
	// GoodAt is up to when nothing can have been missed.
	GoodAt     *consent.Time `json:"good_at"`
	Users      int64         `json:"users"`
	Changed    int64         `json:"changed"`
	Events     int64         `json:"events"`
	Unreadable int64         `json:"unreadable"`
	LastError  string        `json:"last_error"`
	NextAt     *consent.Time `json:"next_at"`
}

// Get tells how an organization's catch-up stands.
func (c *CatchUps) Get(ctx context.Context, organization string) (*CatchUpView, error) {
	row, err := c.Store.CatchUp(ctx, organization)
	if err != nil {
		return nil, err
	}
	possible, err := c.possible(ctx, organization)
	return catchUpView(row, possible), err
}

func catchUpView(c store.CatchUp, possible bool) *CatchUpView {
	return &CatchUpView{
		c.Organization, possible, c.Running, c.Reason, c.Since.OrNil(), c.StartedAt.OrNil(), c.EndedAt.OrNil(), c.GoodAt().OrNil(),
		c.Users, c.Changed, c.Events, c.Unreadable, c.LastError, c.NextAt.OrNil(),
	}
}

// possible tells whether one of the integrations has credentials.
func (c *CatchUps) possible(ctx context.Context, organization string) (bool, error) {
	found, err := c.Store.Integrations(ctx, organization, "", 100)
	for _, i := range found {
		if source, err := c.Source(i); err == nil && source != nil {
			return true, nil
		}
	}
	return false, err
}

// Ask begins a catch-up of what has changed in Didomi since a time; nil is the
// last good point, zero is everything.
func (c *CatchUps) Ask(ctx context.Context, organization string, since *consent.Time) (*CatchUpView, error) {
	row, err := c.Store.CatchUp(ctx, organization)
	if err != nil {
		return nil, err
	}
	possible, err := c.possible(ctx, organization)
	if err != nil {
		return nil, err
	}
	now, err := c.Store.Now(ctx)
	switch {
	case err != nil:
		return nil, err
	case !possible:
		return nil, incoming.Refuse(consent.Conflict, map[string]string{
			"authentication.didomi_api_key": "no integration of the organization has credentials for Didomi's API: set it and didomi_api_secret with a PATCH of the integration",
		})
	case row.Running && row.LastError == "":
		return nil, consent.Errorf(consent.Conflict, "backfill.Ask", "a catch-up is under way: it ends by itself")
	}
	from := missedSince(row)
	if since != nil {
		from = *since
	}
	row = startCatchUp(row, store.CatchUpAsked, from, now)
	detail := store.Detail{Name: "since", Is: "everything"}
	if row.Since > 0 {
		detail.Is = row.Since.Std().Format(time.RFC3339)
	}
	if err := c.Store.SaveCatchUp(ctx, &row, changes.New(ctx, now.Std(), organization, "", "catch_up.asked", detail)); err != nil {
		return nil, err
	}
	c.Wake()
	return catchUpView(row, true), nil
}

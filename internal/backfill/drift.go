package backfill

import (
	"bytes"
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// mostReads bounds for how many people a reconciliation has the profile read:
	// each costs a call.
	mostReads = 10_000
	// driftExamples of each kind are kept.
	driftExamples = 5
)

// page compares people, who are everybody after the cursor and up to end, with the
// rows of them, and stores what follows with the place.
func (c *Reconciler) page(ctx context.Context, i *store.Integration, r *store.Reconciliation, people []*store.Compared, rows []store.HeldRow, end []byte) error {
	now, err := c.Store.Now(ctx)
	if err != nil {
		return err
	}
	p := drifting{i: i, rules: i.Rules(), r: r, now: now}
	p.rules.AllMetadata, p.rules.Attributes = false, nil // subscriptions are compared
	for _, person := range people {
		before, rest := store.HeldUpTo(rows, person.Key[:])
		rows = rest
		row, there := store.HeldRow{}, false
		if n := len(before); n > 0 && before[n-1].Person == person.Key {
			row, there, before = before[n-1], true, before[:n-1]
		}
		r.Report.UnknownProfiles += int64(len(before))
		p.compare(person, row, there)
	}
	r.Report.UnknownProfiles += int64(len(rows))
	r.Cursor = store.Keys{Before: end}.End()
	if err := c.Store.SaveReconciliation(ctx, r, p.step); err != nil {
		return err
	}
	if len(p.step.Due)+len(p.step.Read) > 0 {
		c.Due()
	}
	return nil
}

// heldRows gives the rows of an export in the order of people's keys.
type heldRows struct {
	rows  []store.HeldRow
	slice int // the next to be read
}

// heldAfter gives those after a key.
func heldAfter(key []byte) *heldRows {
	if len(key) == 0 {
		return &heldRows{}
	}
	return &heldRows{slice: int(key[0])}
}

// mostHeld is beyond how many rows no further slice is read, where few people are
// known and the export has many.
const mostHeld = 20_000

// upTo gives the next rows, up to those of a key, or of one before it if there are
// many; an empty key is after all.
func (h *heldRows) upTo(ctx context.Context, s ReconcileStore, r *store.Reconciliation, end []byte) (rows []store.HeldRow, to []byte, err error) {
	last := store.HeldSlices - 1
	if len(end) > 0 {
		last = int(end[0])
	}
	for h.slice <= last {
		more, err := s.HeldRows(ctx, r, h.slice)
		if err != nil {
			return nil, nil, err
		}
		if len(r.Cursor) > 0 {
			_, more = store.HeldUpTo(more, r.Cursor)
		}
		h.rows = append(h.rows, more...)
		if h.slice++; len(h.rows) > mostHeld && h.slice <= last {
			rows, h.rows = h.rows, nil
			return rows, []byte{byte(h.slice)}, nil //nolint:gosec // last is at most a byte
		}
	}
	rows, h.rows = store.HeldUpTo(h.rows, end)
	return rows, end, nil
}

// upTo gives those of a page who are up to a key; an empty key is after all.
func upTo(people []*store.Compared, key []byte) []*store.Compared {
	if len(key) == 0 {
		return people
	}
	n := slices.IndexFunc(people, func(c *store.Compared) bool { return bytes.Compare(c.Key[:], key) > 0 })
	if n < 0 {
		return people
	}
	return people[:n]
}

// finish ends a comparison with an export, and forgets the rows.
func (c *Reconciler) finish(ctx context.Context, r *store.Reconciliation) error {
	r.Cursor = nil
	if err := c.conclude(ctx, r); err != nil {
		return err
	}
	for more := true; more; {
		var err error
		if more, err = c.Store.ForgetHeld(ctx, r.IntegrationKey, store.ID{}, 10_000); err != nil {
			return err
		}
	}
	return nil
}

// conclude has everybody counted whose grants are to be repaired, and says that the
// reconciliation is done.
func (c *Reconciler) conclude(ctx context.Context, r *store.Reconciliation) error {
	if r.Report.On > 0 {
		err := c.Store.StartRetry(ctx, r.IntegrationKey, store.Only{State: store.Everyone})
		if err != nil {
			return err // a conflict too: those who were counted before are others
		}
		c.Changed()
	}
	now, err := c.Store.Now(ctx)
	if err != nil {
		return err
	}
	r.State, r.EndedAt = store.ReconciliationDone, now
	if err := c.Store.SaveReconciliation(ctx, r, store.ReconciliationStep{}); err != nil {
		return err
	}
	c.Metrics.compared(&r.Report)
	return nil
}

// drifting compares people. It is pure.
type drifting struct {
	i     *store.Integration
	rules consent.Rules
	r     *store.Reconciliation
	now   consent.Time
	step  store.ReconciliationStep
}

// compare compares one person with their row, if there is one.
func (p *drifting) compare(c *store.Compared, row store.HeldRow, there bool) {
	report := &p.r.Report
	report.People++
	switch {
	case c.Err != nil:
		report.Unreadable++
		return
	case !there:
		if c.Known.Confirmed() && c.State != store.Unmatched {
			report.MissingProfiles++
			p.example("missing_profile", c, "")
		}
		return
	}
	report.Profiles++
	if c.State == store.Unmatched {
		report.FoundProfiles++
		p.example("found_profile", c, "")
		p.found(c)
		return
	}
	projection := consent.Project(c.Person.View(), p.rules)
	said := drift{learnt: map[string]bool{}}
	for n, name := range p.r.Columns {
		on := row.Cell(n)
		if on == nil {
			continue
		}
		if want, mapped := projection.Subscriptions[name]; mapped {
			p.cell(c, name, want.On, *on, &said)
		} else if p.isMapped(name) {
			report.Unsaid++
		}
	}
	p.follow(c, said)
}

// found has a person tried again who has a profile now (R20). Who wants something
// on is counted first, which the policy has to allow.
func (p *drifting) found(c *store.Compared) {
	grants := consent.Project(c.Person.View(), p.rules).Grants()
	if p.r.Policy == store.PolicyReport || grants && p.r.Policy != store.PolicyAll {
		return
	}
	if grants {
		p.r.Report.On++
	}
	p.step.Due = append(p.step.Due, store.Due{SubjectKey: p.key(c), Class: store.BackfilledRefusal, ConsentAt: p.now, HoldGrants: true})
}

// drift is what follows from the cells of one person.
type drift struct {
	learnt        map[string]bool
	off, on, read bool
}

// cell compares what one subscription is with what it should be.
func (p *drifting) cell(c *store.Compared, name string, want, is bool, d *drift) {
	report := &p.r.Report
	fact, known := c.Known.Subscriptions[name]
	if c.Closing() || known && (fact.Unknown || fact.ConfirmedAt > p.r.AsOf) {
		report.ChangedSince++
		return
	}
	if want == is {
		report.Agree++
		if !known || fact.Value != any(is) {
			d.learnt[name] = is
		}
		return
	}
	foreign := known && fact.Value == any(want)
	kind := ""
	switch {
	case foreign && is:
		report.TurnedOn++
		kind = "turned_on"
	case foreign:
		report.TurnedOff++
		kind = "turned_off"
	case is:
		report.ShouldBeOff++
		kind = "should_be_off"
	default:
		report.ShouldBeOn++
		kind = "should_be_on"
	}
	p.example(kind, c, name)
	switch {
	case p.r.Policy == store.PolicyReport:
	case foreign && !is && p.i.Settings.EnableWebhooks:
		// Somebody has turned it off in Actito: it may be the person's own newer
		// choice, which reading the profile finds out (R25).
		d.read = true
	case is:
		d.off, d.learnt[name] = true, true
	case p.r.Policy == store.PolicyAll:
		d.on, d.learnt[name] = true, false
	}
}

// follow notes what follows.
func (p *drifting) follow(c *store.Compared, d drift) {
	report := &p.r.Report
	if len(d.learnt) > 0 {
		report.Learnt++
		p.step.Learnt = append(p.step.Learnt, store.Learnt{Person: c.Key, Subscriptions: d.learnt, At: p.r.AsOf})
	}
	if d.off {
		report.Off++
		p.step.Due = append(p.step.Due, store.Due{SubjectKey: p.key(c), Class: store.BackfilledRefusal, ConsentAt: p.now, At: p.now, HoldGrants: true})
	}
	if d.on {
		report.On++
	}
	if d.read && report.Read < mostReads {
		report.Read++
		p.step.Read = append(p.step.Read, c.Key)
	}
}

func (p *drifting) key(c *store.Compared) store.SubjectKey {
	return store.SubjectKey{Organization: p.r.Organization, Person: c.Key}
}

func (p *drifting) isMapped(name string) bool {
	for _, m := range p.i.Settings.Mappings {
		if m.ID == name {
			return true
		}
	}
	return false
}

func (p *drifting) example(kind string, c *store.Compared, subscription string) {
	report := &p.r.Report
	n := 0
	for _, e := range report.Examples {
		if e.Kind == kind {
			n++
		}
	}
	if n < driftExamples {
		report.Examples = append(report.Examples, store.DriftExample{Kind: kind, OrganizationUserID: c.Person.OrganizationUserID, Subscription: subscription})
	}
}

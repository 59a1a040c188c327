package deliver

import (
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// choose gives the next job that needs a call; nil when there is none. What
// turns out to need no call is settled on the way.
func (c *courier) choose(ctx context.Context, working []*store.Integration) (*job, error) {
	var heads [plan.Classes]plan.Head
	var jobs [plan.Classes]*job
	for class := range store.Class(plan.Classes) {
		j, err := c.first(ctx, working, class)
		if err != nil {
			return nil, err
		}
		if j != nil {
			jobs[class], heads[class] = j, plan.Head{Due: true, Since: c.since(j)}
		}
	}
	class, ok := c.tally.Choose(heads, c.clock())
	if !ok {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns[class].Served(turnOf(jobs[class].Organization, jobs[class].Integration))
	return jobs[class], nil
}

// turnOf names whose turn it is: within a class the integrations of a licence
// are served in turn.
func turnOf(organization, integration string) string { return organization + "\x00" + integration }

// since tells since when a job waits for its turn. One that failed before has
// had its turn: it waits for its profile, not for the budget.
func (c *courier) since(j *job) consent.Time {
	if j.Attempts > 0 {
		return c.clock()
	}
	return j.DueAt
}

// first gives the first job of a class, of the integration whose turn it is.
func (c *courier) first(ctx context.Context, working []*store.Integration, class store.Class) (*job, error) {
	var jobs []*job
	var waiting []plan.Waiting
	for _, i := range working {
		target, err := c.targets.Target(i)
		if err != nil {
			c.suspend(ctx, i, consent.MessageOf(err), false)
			continue
		}
		j, err := c.firstOf(ctx, i, target, class)
		if err != nil {
			return nil, err
		}
		if j != nil {
			jobs, waiting = append(jobs, j), append(waiting, plan.Waiting{Key: turnOf(j.Organization, j.Integration), Since: j.DueAt})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.turns[class].Next(waiting)
	if next < 0 {
		return nil, nil
	}
	return jobs[next], nil
}

// firstOf gives the first job of a class that needs a call. What needs none is
// settled on the way, one look-ahead at a time: then the classes are compared
// again, so that a backlog without differences holds up no withdrawal.
func (c *courier) firstOf(ctx context.Context, i *store.Integration, target Target, class store.Class) (*job, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	// More than can be busy, so that busy ones never hide the others.
	due, err := c.store.NextDue(ctx, k, store.TargetActito, class, lookahead+c.budget().width())
	if err != nil {
		return nil, err
	}
	if len(due) > 0 {
		if changed, err := c.changed(ctx, i); err != nil || changed {
			return nil, err
		}
	}
	found, settled, err := c.sift(ctx, i, target, due)
	if err != nil {
		return nil, err
	}
	if len(settled) > 0 {
		if err := c.store.Settle(ctx, c.currentLease(), settled); err != nil {
			return nil, err
		}
		for _, s := range settled {
			c.overdue.forget(s.DeliveryKey)
		}
		c.nudge()
	}
	if found == nil && class == store.BackfilledRefusal {
		return c.readback(ctx, i, target)
	}
	return found, nil
}

// sift goes through what is due up to the first that needs a call, and gives
// those before it that need none.
func (c *courier) sift(ctx context.Context, i *store.Integration, target Target, due []*store.Delivery) (*job, []store.Settled, error) {
	var settled []store.Settled
	for _, d := range due {
		j, err := c.prepare(ctx, i, target, d)
		switch {
		case err != nil && consent.KindOf(err) != consent.Transient && ctx.Err() == nil:
			// One person whose state cannot be worked out holds up nobody else.
			c.log.ErrorContext(ctx, "a person cannot be worked out and is set aside", "person", d.Person.String(), "error", err)
			if err := c.store.Fail(ctx, c.currentLease(), d.DeliveryKey, d.Version, "internal: what is stored of this person cannot be read"); err != nil {
				return nil, nil, err
			}
		case err != nil:
			return nil, nil, err
		case c.isBusy(j):
		case !j.send.Empty():
			return j, settled, nil
		default:
			settled = append(settled, store.Settled{DeliveryKey: d.DeliveryKey, Version: d.Version, LeftOut: j.projection.LeftOut})
		}
	}
	return nil, settled, nil
}

// changed tells whether an integration was changed since it was read. It is
// asked once the due rows are read: what came due under new settings must not
// be compared under the old ones, for no re-projection would come by again.
func (c *courier) changed(ctx context.Context, i *store.Integration) (bool, error) {
	integrations, err := c.store.IntegrationsOfLicence(ctx, c.currentLease().Licence)
	if err != nil {
		return false, err
	}
	same := slices.ContainsFunc(integrations, func(now *store.Integration) bool {
		return now.Organization == i.Organization && now.ID == i.ID && now.Revision == i.Revision && now.Status == i.Status
	})
	if !same {
		c.nudge() // look again at once
	}
	return !same, nil
}

// readback gives a delayed read that is due (R16). It goes with the refusals
// of old: soon, but after live withdrawals.
func (c *courier) readback(ctx context.Context, i *store.Integration, target Target) (*job, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	due, err := c.store.NextReadback(ctx, k, store.TargetActito, lookahead)
	if err != nil {
		return nil, err
	}
	for _, d := range due {
		j, err := c.prepare(ctx, i, target, d)
		if err != nil {
			return nil, err
		}
		if !c.isBusy(j) {
			j.readOnly = true
			return j, nil
		}
	}
	return nil, nil
}

func (c *courier) isBusy(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[j.profile()]
}

// prepare reads the person and works out what is to be sent now.
func (c *courier) prepare(ctx context.Context, i *store.Integration, target Target, d *store.Delivery) (*job, error) {
	person, err := c.store.Person(ctx, d.Organization, d.Person)
	if consent.KindOf(err) == consent.NotFound && err != nil {
		person = &store.Person{} // erased meanwhile: nothing is wanted
	} else if err != nil {
		return nil, err
	}
	j := &job{Delivery: d, integration: i, target: target, userID: person.OrganizationUserID}
	j.projection = consent.Project(person.View(), i.Rules())
	c.with(i, func(h *health) {
		for _, name := range h.gone {
			if _, wanted := j.projection.Subscriptions[name]; wanted {
				delete(j.projection.Subscriptions, name)
				j.projection.LeftOut = append(j.projection.LeftOut, consent.LeftOut{Name: name, Reason: "the subscription no longer exists in Actito"})
			}
		}
		j.whole = consent.Differ(j.projection, d.Known, &i.Snapshot, c.clock().Add(-c.stale))
		if d.HoldGrants {
			j.whole = j.whole.WithoutGrants()
		}
		j.send, j.rest = j.whole.Portion(d.Known, h.distrusted(), h.proven)
	})
	j.projection.LeftOut = append(j.projection.LeftOut, d.Known.Refusals(j.projection)...)
	return j, nil
}

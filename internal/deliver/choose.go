package deliver

import (
	"context"
	"maps"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// task is what the next call is for.
type task struct {
	organization, integration string
	profile                   string       // that it is about, see job.profile
	since                     consent.Time // since when it waits for its turn
	dueAt                     consent.Time
	run                       func(ctx context.Context, now consent.Time)
}

// choose gives the next task; nil when there is none. What turns out to need no
// call is settled on the way.
func (c *courier) choose(ctx context.Context, working []*store.Integration) (*task, error) {
	var heads [plan.Ranks]plan.Head
	var tasks [plan.Ranks]*task
	for rank := range plan.Rank(plan.Ranks) {
		t, err := c.first(ctx, working, rank)
		if err != nil {
			return nil, err
		}
		if t != nil {
			tasks[rank], heads[rank] = t, plan.Head{Due: true, Since: t.since}
		}
	}
	rank, ok := c.tally.Choose(heads, c.clock())
	if !ok {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turns[rank].Served(turnOf(tasks[rank].organization, tasks[rank].integration))
	return tasks[rank], nil
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

// first gives the first task of a rank, of the integration whose turn it is.
func (c *courier) first(ctx context.Context, working []*store.Integration, rank plan.Rank) (*task, error) {
	var tasks []*task
	var waiting []plan.Waiting
	for _, i := range working {
		class, deliveries := rank.Class()
		if !deliveries && !i.Settings.EnableEmailing {
			continue
		}
		target, err := c.targets.Target(i)
		if err != nil {
			c.suspend(ctx, i, consent.MessageOf(err), false)
			continue
		}
		var t *task
		if deliveries {
			t, err = c.firstDelivery(ctx, i, target, class)
		} else {
			t, err = c.firstMessage(ctx, i, target, rank)
		}
		if err != nil {
			return nil, err
		}
		if t != nil {
			tasks, waiting = append(tasks, t), append(waiting, plan.Waiting{Key: turnOf(t.organization, t.integration), Since: t.dueAt})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.turns[rank].Next(waiting)
	if next < 0 {
		return nil, nil
	}
	return tasks[next], nil
}

// firstDelivery is firstOf as a task.
func (c *courier) firstDelivery(ctx context.Context, i *store.Integration, target Target, class store.Class) (*task, error) {
	j, err := c.firstOf(ctx, i, target, class)
	if j == nil || err != nil {
		return nil, err
	}
	return &task{
		j.Organization, j.Integration, j.profile(), c.since(j), j.DueAt,
		func(ctx context.Context, now consent.Time) { c.attempt(ctx, j, now) },
	}, nil
}

// firstOf gives the first job of a class that needs a call. What needs none is
// settled on the way, one look-ahead at a time: then the classes are compared
// again, so that a backlog without differences holds up no withdrawal.
func (c *courier) firstOf(ctx context.Context, i *store.Integration, target Target, class store.Class) (*job, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	busy := c.busyNow()
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
	found, settled, err := c.sift(ctx, i, target, due, busy)
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
		return c.readback(ctx, i, target, busy)
	}
	return found, nil
}

// sift goes through what is due up to the first that needs a call, and gives
// those before it that need none.
func (c *courier) sift(ctx context.Context, i *store.Integration, target Target, due []*store.Delivery, busy map[string]bool) (*job, []store.Settled, error) {
	var settled []store.Settled
	for _, d := range due {
		j, err := c.prepare(ctx, i, target, d)
		switch {
		case hopeless(ctx, err):
			if err := c.setAside(ctx, d, err); err != nil {
				return nil, nil, err
			}
		case err != nil:
			return nil, nil, err
		case busy[j.profile()]:
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
func (c *courier) readback(ctx context.Context, i *store.Integration, target Target, busy map[string]bool) (*job, error) {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	due, err := c.store.NextReadback(ctx, k, store.TargetActito, lookahead)
	if err != nil {
		return nil, err
	}
	for _, d := range due {
		j, err := c.prepare(ctx, i, target, d)
		switch {
		case hopeless(ctx, err):
			if err := c.setAside(ctx, d, err); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case !busy[j.profile()]:
			j.readOnly = true
			return j, nil
		}
	}
	return nil, nil
}

// hopeless tells whether what went wrong with one person would go wrong again,
// since what is stored of them cannot be read. It holds up nobody else.
func hopeless(ctx context.Context, err error) bool {
	return err != nil && consent.KindOf(err) != consent.Transient && ctx.Err() == nil
}

// unreadable is what is said of such a person.
const unreadable = "what is stored of this person cannot be read"

// setAside fails the delivery of a person whose state cannot be worked out.
func (c *courier) setAside(ctx context.Context, d *store.Delivery, err error) error {
	c.log.ErrorContext(ctx, "a person cannot be worked out and is set aside", "person", d.Person.String(), "error", err)
	return c.store.Fail(ctx, c.currentLease(), d.DeliveryKey, d.Version, "internal: "+unreadable)
}

// busyNow gives the profiles that a call is under way for. It is asked before the
// store is: what ends later may not show in what the store gives, so that it
// would be done a second time. Only whoever asks makes profiles busy.
func (c *courier) busyNow() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.busy)
}

func (c *courier) isBusy(profile string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy[profile]
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
		j.send, j.rest = plan.Portion(i, j.whole, d.Known, h.distrusted(), h.proven)
	})
	j.projection.LeftOut = append(j.projection.LeftOut, d.Known.Refusals(j.projection)...)
	return j, nil
}

package deliver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// health is what a courier has learnt about an integration since it holds the
// lease, or since the integration was last changed.
type health struct {
	revision   int64
	generation uint64
	// trustUntil is how long a 404 counts as a missing profile without a look
	// at the table; trust grows with each look that confirms it.
	trustUntil consent.Time
	trust      time.Duration
	checkedAt  consent.Time
	last404    bool // the last answer of the table was a 404
	gone       []string
	proven     map[string]bool         // attributes that were accepted once, for anybody
	refusals   map[string]int          // by attribute: people in a row whose value was refused
	closed     map[string]consent.Time // by operation
	probeAt    consent.Time
	probes     int
	watchAt    consent.Time // when the table may be looked at again for no other reason
}

const (
	firstTrust = 2 * time.Second
	mostTrust  = time.Minute
)

// of gives the health of an integration, anew when the integration changed.
// The caller holds c.mu.
func (c *courier) of(i *store.Integration) *health {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	h := c.health[k]
	if h == nil || h.revision != i.Revision {
		h = &health{revision: i.Revision, checkedAt: c.clock(), proven: map[string]bool{}, refusals: map[string]int{}, closed: map[string]consent.Time{}}
		c.health[k] = h
	}
	return h
}

// with runs f on the health of an integration, under the lock.
func (c *courier) with(i *store.Integration, f func(*health)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.of(i))
}

// alive notes that d was written well.
func (c *courier) alive(ctx context.Context, j *job, d consent.Difference) {
	restored := false
	c.with(j.integration, func(h *health) {
		h.last404, h.probes = false, 0
		for name := range d.Attributes {
			delete(h.refusals, name)
			h.proven[name] = true
		}
		for operation, until := range h.closed {
			if until <= c.clock() {
				delete(h.closed, operation)
			}
		}
		restored = len(h.gone) == 0 && len(h.closed) == 0
	})
	if restored && j.integration.StatusReason != "" {
		c.setStatus(ctx, j.integration, store.Active, store.Active, "")
	}
}

// trusts404 tells whether a 404 may be taken for a missing profile without a
// look at the table. The first one after a change of token or snapshot never
// is, and in a run of them the table is looked at again and again, though ever
// more rarely while it proves to be there (R18).
func (c *courier) trusts404(j *job) (trusted bool) {
	c.with(j.integration, func(h *health) {
		if g := j.target.Generation(); g != h.generation {
			h.generation, h.trustUntil, h.trust = g, 0, 0
		}
		trusted = c.clock() < h.trustUntil && (!h.last404 || h.trust > firstTrust)
		h.last404 = true
	})
	return trusted
}

// checkTable reads the structure of the table and gives the mapped
// subscriptions that are gone from it.
func (c *courier) checkTable(ctx context.Context, i *store.Integration, t Target) (gone []string, err error) {
	structure, err := t.Check(ctx)
	now := c.clock()
	if consent.KindOf(err) == consent.Forbidden {
		// Without the right to read the structure there is nothing to go by
		// but the answers themselves.
		c.setStatus(ctx, i, store.Active, store.Active, "the API key may not read the structure of profile tables: give it the right in Actito")
		err = nil
	}
	if err != nil {
		c.with(i, func(h *health) { h.trustUntil, h.trust = 0, 0 })
		return nil, err
	}
	for _, m := range i.Settings.Mappings {
		if len(structure.Subscriptions) == 0 {
			break // the answer does not tell: every Actito table has at least one
		}
		if _, was := i.Snapshot.Subscription(m.ID); was && !slices.Contains(structure.Subscriptions, m.ID) {
			gone = append(gone, m.ID)
		}
	}
	c.with(i, func(h *health) {
		h.generation = t.Generation()
		h.trust = min(mostTrust, max(firstTrust, 2*h.trust))
		h.trustUntil, h.checkedAt, h.gone = now.Add(h.trust), now, gone
	})
	c.saw(ctx, i, structure)
	if len(gone) > 0 {
		c.setStatus(ctx, i, store.Active, store.Active, fmt.Sprintf("no longer in the Actito table and not sent: %v; refresh the integration", gone))
	}
	return gone, nil
}

// suspend stops the deliveries of an integration with its reason, or of all
// integrations of the licence when its credentials are at fault. It is probed
// from then on.
func (c *courier) suspend(ctx context.Context, i *store.Integration, reason string, all bool) {
	affected := []*store.Integration{i}
	if all {
		affected = c.integrations()
	} else {
		// Whoever was taken for unmatched since the last good look at the
		// table may have a profile after all.
		var since consent.Time
		c.with(i, func(h *health) { since = h.checkedAt })
		if err := c.store.Reopen(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, since); err != nil {
			c.log.ErrorContext(ctx, "unmatched people could not be reopened", "integration", i.ID, "error", err)
		}
	}
	for _, x := range affected {
		c.with(x, func(h *health) {
			// The longer it goes on without a call that went well, the rarer.
			h.probeAt = c.clock().Add(min(lastProbe, firstProbe<<min(h.probes, 10)))
		})
		c.setStatus(ctx, x, store.Active, store.Suspended, reason)
	}
}

const (
	firstProbe = 3 * time.Second
	lastProbe  = 5 * time.Minute
)

// probe looks whether a suspended integration works again: with a harmless
// read of the table's structure, ever more rarely. It runs in the background,
// one at a time, so that an Actito that hangs holds up no other integration.
func (c *courier) probe(ctx context.Context, i *store.Integration) {
	now := c.clock()
	due := false
	c.with(i, func(h *health) {
		if h.probeAt == 0 {
			h.probeAt = now
		}
		if due = h.probeAt <= now && !c.busy[""]; due {
			h.probes++
			h.probeAt = now.Add(min(lastProbe, firstProbe<<min(h.probes, 10)))
		}
	})
	if due {
		c.occupy("", func() { c.look(ctx, i) })
	}
}

// look makes the read of a probe.
func (c *courier) look(ctx context.Context, i *store.Integration) {
	var since consent.Time
	c.with(i, func(h *health) { since = h.checkedAt })
	target, err := c.targets.Target(i)
	if err == nil {
		ctx := c.targets.Paced(ctx, c.budget().limiter.Wait, nil)
		_, err = c.checkTable(ctx, i, target)
	}
	if err != nil {
		c.log.WarnContext(ctx, "the integration is still suspended", "integration", i.ID, "error", err)
		return
	}
	// A 404 that was believed may have been recorded after the suspension.
	if err := c.store.Reopen(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, since); err != nil {
		c.log.ErrorContext(ctx, "unmatched people could not be reopened, and the integration stays suspended until the next look", "integration", i.ID, "error", err)
		c.with(i, func(h *health) { h.checkedAt = since })
		return
	}
	c.setStatus(ctx, i, store.Suspended, store.Active, "")
}

func (c *courier) setStatus(ctx context.Context, i *store.Integration, from, to store.IntegrationStatus, reason string) {
	changed, err := c.store.SetStatus(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, from, to, reason)
	switch {
	case err != nil:
		c.log.ErrorContext(ctx, "the status of an integration could not be stored", "integration", i.ID, "error", err)
	case changed:
		c.log.WarnContext(ctx, "the status of an integration changed", "integration", i.ID, "status", string(to), "reason", reason)
	}
}

// closedFor is how long an operation that Actito does not permit is left alone.
const closedFor = time.Minute

func (c *courier) closeOperation(ctx context.Context, i *store.Integration, operation string) consent.Time {
	until := c.clock().Add(closedFor)
	c.with(i, func(h *health) { h.closed[operation] = until })
	c.setStatus(ctx, i, store.Active, store.Active, "Actito does not let this API key "+operation+" profiles: give it the right, or look at the base URL")
	return until
}

// closedUntil tells until when an operation is left alone; the past if it is not.
func (c *courier) closedUntil(i *store.Integration, operation string) (until consent.Time) {
	c.with(i, func(h *health) { until = h.closed[operation] })
	return until
}

// distrusted gives the attributes that go alone, because the values of several
// people in a row were refused; one that is accepted ends it.
func (h *health) distrusted() map[string]bool {
	found := make(map[string]bool)
	for name, n := range h.refusals {
		if n >= 3 {
			found[name] = true
		}
	}
	return found
}

func (c *courier) distrustAttribute(i *store.Integration, name string) {
	c.with(i, func(h *health) {
		h.refusals[name]++
		delete(h.proven, name)
	})
}

package deliver

import (
	"context"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	// watchEvery is how often the table of an integration is looked at where
	// nothing else asks for it.
	watchEvery = 24 * time.Hour
	// watchAgain is after what time a look that failed is tried again, and how
	// old what is stored of the last one may be.
	watchAgain = time.Hour
)

// watch looks at the table of an integration once a day, so that somebody can
// be told what is no longer as in the snapshot. It is one call of the licence's
// budget, in the background, as a probe is.
func (c *courier) watch(calls context.Context, i *store.Integration) {
	now := c.clock()
	if now.Sub(max(i.Snapshot.TakenAt, i.Seen.LookedAt)) < watchEvery || !c.free() {
		return
	}
	due := false
	c.with(i, func(h *health) {
		if due = h.watchAt <= now && !c.busy[""]; due {
			h.watchAt = now.Add(watchAgain)
		}
	})
	if !due {
		return
	}
	c.occupy("", func() {
		target, err := c.targets.Target(i)
		if err == nil {
			_, err = c.checkTable(c.targets.Paced(calls, c.budget().limiter.Wait, nil), i, target)
		}
		if err != nil && calls.Err() == nil {
			c.log.WarnContext(calls, "the table could not be looked at, trying again later", "integration", i.ID, "error", err)
		}
	})
}

// saw keeps what a look at the table showed. Nothing is taken over from it.
func (c *courier) saw(ctx context.Context, i *store.Integration, s Structure) {
	seen := consent.Seen{LookedAt: c.clock(), Subscriptions: s.Subscriptions, Attributes: s.Attributes}
	known := i.Seen.Same(&seen)
	if len(s.Subscriptions)+len(s.Attributes) == 0 || known && seen.LookedAt.Sub(i.Seen.LookedAt) < watchAgain {
		return
	}
	if err := c.store.SetSeen(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, seen); err != nil {
		c.log.ErrorContext(ctx, "how the table looks could not be stored", "integration", i.ID, "error", err)
		return
	}
	if d := i.Snapshot.Differs(&seen); !known && !d.Empty() {
		c.log.WarnContext(ctx, "the table is no longer as in the snapshot", "integration", i.ID,
			"subscriptions_added", d.SubscriptionsAdded, "subscriptions_removed", d.SubscriptionsRemoved)
	}
}

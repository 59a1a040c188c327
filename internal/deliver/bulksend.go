package deliver

import (
	"context"
	"iter"
	"log/slog"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

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
	ctx, span := c.tracedFor(ctx, "load", load.IntegrationKey, nil, slog.String("load", load.LoadID.String()), slog.Int64("people", load.People))
	defer span.End()
	var execution string
	err := c.seated(ctx, "load", load.IntegrationKey, load.LoadID, func(ctx context.Context) (err error) {
		execution, err = target.Bulk().Load(ctx, load.Columns, c.fileRows(ctx, load))
		return err
	})
	failed(span, err)
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

package deliver

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// advance lets a load that is open go on: it is asked how far it is, or what
// became of it is recorded, or one that a crash left behind is let go. It tells
// when to look again.
func (c *courier) advance(ctx context.Context, i *store.Integration, target Target, l *loader, load *store.Load) (time.Duration, error) {
	switch load.State {
	case store.LoadBuilding:
		if err := c.endLoad(ctx, load, store.LoadNotApplied, "the load was given up while it was made"); err != nil {
			return 0, err
		}
	case store.LoadStarted:
		if err := c.endLoad(ctx, load, store.LoadUnclear, "it is not known whether Actito got the file"); err != nil {
			return 0, err
		}
	case store.LoadRunning:
		wait, err := c.follow(ctx, i, target, l, load)
		if err == nil && load.State == store.LoadRunning {
			err = c.relieve(ctx, i, load, wait)
		}
		if err != nil || load.State == store.LoadRunning {
			return wait, err
		}
	}
	return c.finishLoad(ctx, i, load)
}

// tolerated is how long an execution may be unknown to Actito, which may not
// show it at once.
const tolerated = 10 * time.Minute

// follow asks how an execution stands, ever more rarely.
func (c *courier) follow(ctx context.Context, i *store.Integration, target Target, l *loader, load *store.Load) (time.Duration, error) {
	age := c.clock().Sub(load.StartedAt)
	wait := min(time.Minute, max(2*time.Second, age/8))
	if target.Bulk() == nil {
		return wait, c.endLoad(ctx, load, store.LoadUnclear, "properties.etl_id was removed while a load was under way")
	}
	var result LoadResult
	err := c.seated(ctx, "load_result", load.IntegrationKey, load.LoadID, func(ctx context.Context) (err error) {
		result, err = target.Bulk().Result(ctx, load.Execution)
		return err
	})
	switch {
	case age > longestLoad && (err != nil || result.Running):
		c.closeLane(ctx, i, l, laneRest, fmt.Sprintf("execution %s of ETL %s does not end", load.Execution, i.Settings.Properties.ETLID))
		return wait, c.endLoad(ctx, load, store.LoadUnclear, "Actito did not end the load")
	case age > tolerated && slices.Contains([]consent.Kind{consent.NotFound, consent.Forbidden, consent.Invalid}, consent.KindOf(err)):
		c.closeLane(ctx, i, l, laneRest, "Actito tells nothing of execution "+load.Execution+": "+message(err))
		return wait, c.endLoad(ctx, load, store.LoadUnclear, "Actito tells nothing of the load")
	case err != nil:
		c.log.WarnContext(ctx, "a bulk load could not be asked after", "integration", i.ID, "error", err)
		return wait, nil
	case result.Running:
		return wait, nil
	case result.Failed:
		c.closeLane(ctx, i, l, laneRest, "Actito gave the load up: "+result.Reason)
		return wait, c.endLoad(ctx, load, store.LoadUnclear, "Actito gave the load up: "+result.Reason)
	}
	told, err := c.refuse(ctx, load, result)
	if err != nil {
		c.log.WarnContext(ctx, "what Actito refused of a bulk load could not be read", "integration", i.ID, "error", err)
		return wait, nil
	}
	c.mu.Lock()
	l.took = age
	c.mu.Unlock()
	outcome := store.LoadUntold
	if told {
		outcome = store.LoadConfirmed
	}
	return wait, c.endLoad(ctx, load, outcome, "")
}

// relieve lets withdrawals leave a load that takes longer than they may wait.
// They go by calls of their own, and once more when the load ends, as if they
// had come meanwhile (R22). The oldest go first, and no more than the single
// lane serves until the next look: those who are still in the load when it ends
// well need no call.
func (c *courier) relieve(ctx context.Context, i *store.Integration, load *store.Load, next time.Duration) error {
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
	limit := cmp.Or(time.Duration(i.Settings.Properties.BulkWithdrawalsAfterSeconds)*time.Second, plan.WithdrawalLimit)
	due, err := c.store.Queue(ctx, k, store.TargetActito, store.LiveWithdrawal)
	if err != nil {
		return err
	}
	room := max(1, int(next.Minutes()*float64(c.shareOf(k)))) - int(due.Due)
	var late []store.LoadRow
	for after, live := 0, true; live && len(late) < room; {
		page, err := c.store.LoadRows(ctx, load, store.RowOpen, after, buildPage)
		if err != nil {
			return err
		}
		live = len(page) > 0
		for _, r := range page {
			after, live = r.Row, r.Class == store.LiveWithdrawal // they are the first in the file
			if live && len(late) < room && r.Withdraws() && c.clock().Sub(r.DueAt) >= limit {
				late = append(late, r)
			}
		}
	}
	if len(late) == 0 {
		return nil
	}
	c.log.WarnContext(ctx, "withdrawals leave a bulk load that takes too long", "integration", i.ID, "load", load.LoadID.String(), "people", len(late))
	_, err = c.store.EndRows(ctx, c.currentLease(), load, late)
	c.nudge()
	return err
}

// refuse records the rows that were refused. told is false when they cannot be
// relied on to be all.
func (c *courier) refuse(ctx context.Context, load *store.Load, result LoadResult) (told bool, err error) {
	told = result.Told
	var batch []store.RowRefusal
	flush := func() error {
		found, err := c.store.RefuseRows(ctx, c.currentLease(), load, batch)
		told = told && found == len(batch)
		batch = batch[:0]
		return err
	}
	if result.Refused != nil {
		for refusal, err := range result.Refused {
			if err != nil {
				return false, err
			}
			if batch = append(batch, refusal); len(batch) == buildPage {
				if err := flush(); err != nil {
					return false, err
				}
			}
		}
	}
	return told, flush()
}

// finishLoad records, person by person, what became of a load that has ended,
// and tells when to look again for those who are not done yet.
func (c *courier) finishLoad(ctx context.Context, i *store.Integration, load *store.Load) (time.Duration, error) {
	left, err := c.endRows(ctx, load, store.RowOpen)
	if err != nil {
		return 0, err
	}
	if load.Outcome == store.LoadUntold && left > 0 {
		sampled, err := c.store.LoadRows(ctx, load, store.RowSampled, 0, sampleSize)
		if err == nil && len(sampled) > 0 {
			err = c.judge(ctx, i, load, sampled)
		} else if err == nil {
			err = c.sample(ctx, load)
		}
		return lookEvery, err
	}
	sampled, err := c.endRows(ctx, load, store.RowSampled)
	if err != nil {
		return 0, err
	}
	single, err := c.endRows(ctx, load, store.RowSingle)
	if err != nil {
		return 0, err
	}
	watched, err := c.endRows(ctx, load, store.RowAgain)
	if err != nil {
		return 0, err
	}
	age := c.clock().Sub(load.EndedAt)
	switch {
	case left+sampled+single > 0:
		return lookEvery, nil // in flight: looked at again
	case load.Outcome == store.LoadUnclear && age < store.LateLoad:
		c.nudge()
		return min(max(c.readbackDelay, age), store.LateLoad-age), nil // ever more rarely
	case watched > 0:
		return lookEvery, nil
	}
	load.State = store.LoadDone
	if err := c.store.SaveLoad(ctx, c.currentLease(), load); err != nil {
		return 0, err
	}
	c.metrics.loadEnded(load)
	c.nudge()
	for more := true; more; {
		if more, err = c.store.ForgetRows(ctx, load); err != nil {
			return 0, err
		}
	}
	return lookEvery, nil
}

// endRows records the ends of all rows in a state, and tells how many stay in
// it.
func (c *courier) endRows(ctx context.Context, load *store.Load, state store.RowState) (left int, err error) {
	for after := 0; ; {
		page, err := c.store.LoadRows(ctx, load, state, after, buildPage)
		if err != nil {
			return left, err
		}
		if len(page) == 0 {
			return left, nil
		}
		moved, err := c.store.EndRows(ctx, c.currentLease(), load, page)
		if err != nil {
			return left, err
		}
		if load.Outcome == store.LoadConfirmed && state == store.RowOpen {
			now := c.clock()
			c.metrics.loaded(page, now, func(r store.LoadRow) { c.effects.add(load.IntegrationKey, r.Withdraws(), r.DueAt, now) })
		}
		left += len(page) - moved
		after = page[len(page)-1].Row
	}
}

// sampleSize is how many profiles are read to tell about the others of a load.
const sampleSize = 20

// sample chooses grants of which Actito told nothing, spread over the load, to
// be read back.
func (c *courier) sample(ctx context.Context, load *store.Load) error {
	var rows []int
	step := max(1, int(load.People)/sampleSize)
	for after := 0; len(rows) < sampleSize; {
		page, err := c.store.LoadRows(ctx, load, store.RowOpen, after, 1)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		rows = append(rows, page[0].Row)
		after = page[0].Row + step - 1
	}
	return c.store.SampleRows(ctx, c.currentLease(), load, rows)
}

// judge looks whether the profiles that were read hold what the load should
// have written: then the load is believed, otherwise it is unclear. When all of
// them have newer consent by now, others are read.
func (c *courier) judge(ctx context.Context, i *store.Integration, load *store.Load, sampled []store.LoadRow) error {
	agreed := 0
	for _, r := range sampled {
		d, err := c.store.Delivery(ctx, store.DeliveryKey{Organization: load.Organization, Integration: load.ID, Target: store.TargetActito, Person: r.Person})
		if consent.KindOf(err) == consent.NotFound {
			continue
		} else if err != nil {
			return err
		}
		switch {
		case d.State == store.Sent && d.ReadbackAt > 0:
			return nil // not read yet
		case d.State != store.Sent || d.Version != r.Version:
			continue // something newer was sent
		}
		for n, name := range load.Columns {
			if fact := d.Known.Subscriptions[name]; fact.Unknown || fact.Value != any(r.On[n]) {
				c.log.WarnContext(ctx, "a profile does not hold what a bulk load should have written", "integration", i.ID, "load", load.LoadID.String(), "person", r.Person.String())
				return c.endLoad(ctx, load, store.LoadUnclear, "profiles that were read do not hold what the load should have written")
			}
		}
		agreed++
	}
	if agreed == 0 {
		_, err := c.store.EndRows(ctx, c.currentLease(), load, sampled)
		return err
	}
	load.Outcome = store.LoadConfirmed
	return c.store.SaveLoad(ctx, c.currentLease(), load)
}

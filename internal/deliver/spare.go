package deliver

import (
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// spareSeat is the place of the one spare call that may be under way.
const spareSeat = "a spare call"

// ReadSpare reads what a person's profile holds with a call that nothing else
// wants: it waits until nothing is due for the licence, a whole burst of calls is
// saved up and a place stays free (plan.Spare). at is when the read was begun:
// whatever is written from then on may be missing in it. The error is Conflict
// where this node does not deliver for the licence (any more), NotFound where the
// table has no such profile, Transient where that cannot be told. It is Conflict too
// where the integration has been changed since i was read.
func (e *Engine) ReadSpare(ctx context.Context, i *store.Integration, userID string) (held Held, at consent.Time, err error) {
	e.mu.Lock()
	r := e.couriers[i.Licence]
	e.mu.Unlock()
	gone := consent.Errorf(consent.Conflict, "deliver.ReadSpare", "another node delivers for the licence")
	if r == nil {
		return Held{}, 0, gone
	}
	done := make(chan struct{})
	read := func(ctx context.Context) {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.log.ErrorContext(ctx, "a spare read panicked", "panic", p)
				err = consent.Errorf(consent.Internal, "deliver.ReadSpare", "an error of consentsync")
			}
		}()
		held, at, err = r.readSpare(ctx, i, userID)
	}
	select {
	case r.spares <- read:
		<-done // it ends with the lease at the latest
		return held, at, err
	case <-ctx.Done():
		return Held{}, 0, ctx.Err()
	case <-r.done:
		return Held{}, 0, gone
	}
}

// spareCall gives a spare call that waits and may be made now, and takes its place;
// nil for none.
func (c *courier) spareCall() func(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := plan.CeilingOf(c.current)
	force := c.pace.Now(c.clock())
	spare := plan.Spare{
		Saved: c.spend.limiter.TokensAt(c.now()), Burst: c.spend.limiter.Burst(), UnderWay: len(c.busy) + c.wanted, Width: force.Width, Slowed: force != most,
	}
	if !spare.Allowed() || c.busy[spareSeat] || len(c.current) == 0 {
		return nil
	}
	select {
	case run := <-c.spares: // it is waited for, so it is run
		c.busy[spareSeat] = true
		return run
	default:
		return nil
	}
}

// readSpare reads a profile. What the answer tells of the integration, the table
// and the licence is heeded as after any other call.
func (c *courier) readSpare(ctx context.Context, i *store.Integration, userID string) (held Held, at consent.Time, err error) {
	at = c.clock()
	if !slices.ContainsFunc(c.integrations(), func(x *store.Integration) bool {
		return x.Organization == i.Organization && x.ID == i.ID && x.Revision == i.Revision && x.Status == store.Active
	}) {
		return held, at, consent.Errorf(consent.Conflict, "deliver.ReadSpare", "the integration was changed, or does not deliver")
	}
	if c.closedUntil(i, "read") > at {
		return held, at, consent.Errorf(consent.Forbidden, "deliver.ReadSpare", "the API key may not read profiles")
	}
	target, err := c.targets.Target(i)
	if err != nil {
		return held, at, err
	}
	j := &job{
		Delivery:    &store.Delivery{DeliveryKey: store.DeliveryKey{Organization: i.Organization, Integration: i.ID, Target: store.TargetActito, Person: c.targets.PersonKey(i.Organization, userID)}},
		integration: i, target: target, userID: userID,
	}
	a := &attempt{courier: c, job: j}
	err = a.call(ctx, a.newCall("read", consent.Difference{}, at), func(ctx context.Context) (err error) {
		held, err = target.Read(ctx, userID)
		return err
	})
	switch consent.KindOf(err) {
	case consent.NotFound:
		if !c.trusts404(j) {
			if _, checkErr := c.checkTable(ctx, i, target); checkErr != nil {
				a.tableFault(ctx, checkErr)
				return held, at, consent.Errorf(consent.Transient, "deliver.ReadSpare", "whether the table is there cannot be told: %s", message(checkErr))
			}
		}
	case consent.Forbidden:
		c.closeOperation(ctx, i, "read")
	case consent.Unauthorized:
		c.suspend(ctx, i, "Actito refuses the API key: "+message(err), true)
	case consent.RateLimited:
		c.block(ctx, consent.RetryAfter(err))
	case consent.Unclear, consent.Transient:
		c.trouble(ctx, j.profile())
		return held, at, consent.Errorf(consent.Transient, "deliver.ReadSpare", "%s", message(err))
	case consent.Conflict: // of Actito's, not the lease's
		return held, at, consent.Errorf(consent.Transient, "deliver.ReadSpare", "%s", message(err))
	}
	return held, at, err
}

package deliver

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// job is one delivery about to be attempted, with what was decided about it.
type job struct {
	*store.Delivery
	integration *store.Integration
	target      Target
	userID      string
	projection  consent.Projection
	whole       consent.Difference // all that differs
	send        consent.Difference // what goes now
	rest        bool               // something is to follow in a call of its own
	readOnly    bool               // only the delayed read is due (R16)
}

// after gives the class of what follows once d is in effect.
func (j *job) after(d consent.Difference) store.Class {
	if j.whole.Without(d).Withdraws() {
		return j.Class
	}
	return store.Ordinary
}

// profile names the Actito profile that the job is about: one call at a time
// is under way for it, whatever integration it serves (R14).
func (j *job) profile() string { return profileOf(j.integration, j.userID) }

func profileOf(i *store.Integration, userID string) string {
	p := i.Settings.Properties
	return p.EntityID + "\x00" + i.Snapshot.TableID + "\x00" + p.UserUniqueKey + "\x00" + userID
}

// attempt makes the calls of a job and records how they ended.
func (c *courier) attempt(ctx context.Context, j *job, now consent.Time) {
	a := &attempt{courier: c, job: j}
	ctx, span := c.traced(ctx, "deliver", j.DeliveryKey, sinceOf(j.Delivery))
	defer func() {
		span.Set(slog.String("state", string(a.finish.State)), slog.Int("calls", len(a.finish.Calls)), slog.Int("attempts", a.finish.Attempts))
		if s := a.finish.State; s == store.Waiting || s == store.Failed {
			span.Fail(string(s))
		}
		span.End()
	}()
	if j.readOnly {
		a.readAgain(ctx)
		return
	}
	call := a.newCall("update", j.send, now)
	ok, err := c.begin(ctx, store.Start{
		DeliveryKey: j.DeliveryKey, Version: j.Version, Doubt: j.Known.Doubt(j.send), Call: call,
	})
	if err != nil {
		c.log.ErrorContext(ctx, "a delivery could not be begun", "person", j.Person.String(), "error", err)
		return
	}
	if !ok {
		return // newer consent came, or the lease went: it will be found again
	}
	a.finish = store.Finish{
		DeliveryKey: j.DeliveryKey, Version: j.Version, State: store.Synced, Class: j.Class,
		Known: j.Known, LeftOut: j.projection.LeftOut, Readback: j.Readback, Attempts: j.Attempts,
	}
	a.overdue.begun(j.Delivery, now)
	a.guarded(ctx, call)
	a.overdue.ended(j.Delivery, &a.finish, a.clock())
	if a.record(ctx, a.finish) {
		if now := a.clock(); a.metrics.finished(a.job, &a.finish, now) {
			a.effects.add(a.job.IntegrationKey(), a.job.send.Withdraws(), a.job.DueAt, now)
		}
	}
}

// begin stores that a call is about to be made, and tells whether it may be.
// Where the store gives no answer, it may have begun all the same, and would
// stay in flight for nobody: it is asked again until the lease is gone.
func (c *courier) begin(ctx context.Context, s store.Start) (ok bool, err error) {
	return insist(ctx, func(ctx context.Context) (bool, error) { return c.store.Begin(ctx, c.currentLease(), s) })
}

// insist asks the store until it answers, or the lease must be gone.
func insist(ctx context.Context, ask func(context.Context) (bool, error)) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, store.LeaseLife)
	defer cancel()
	for {
		if ok, err = ask(ctx); err == nil || consent.KindOf(err) != consent.Transient {
			return ok, err
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(time.Second):
		}
	}
}

// guarded runs the attempt so that a fault of ours in it fails this delivery,
// and nothing else.
func (a *attempt) guarded(ctx context.Context, call store.Call) {
	defer func() {
		if p := recover(); p != nil {
			a.log.ErrorContext(ctx, "a delivery panicked", "person", a.job.Person.String(), "panic", p)
			a.finish.State, a.finish.LastError = store.Failed, "internal: an error of consentsync"
			a.finish.Known = a.finish.Known.Doubt(a.job.send)
		}
	}()
	a.run(ctx, call)
}

type attempt struct {
	*courier
	job    *job
	finish store.Finish
}

// named keeps the profile's own id, if a write told it.
func (a *attempt) named(profileID string, err error) error {
	if profileID != "" {
		a.finish.ProfileID = profileID
	}
	return err
}

func (a *attempt) run(ctx context.Context, call store.Call) {
	err := a.call(ctx, call, func(ctx context.Context) error { return a.named(a.job.target.Update(ctx, a.job.userID, a.job.send)) })
	switch kind := consent.KindOf(err); {
	case err == nil:
		a.settle(ctx, a.job.send, nil)
	case kind == consent.NotFound:
		a.missing(ctx, err)
	case kind == consent.Invalid, kind == consent.Conflict && len(a.job.send.Attributes) > 0:
		a.refused(ctx, err)
	default:
		a.settle(ctx, a.job.send, err)
	}
}

// settle records the plain ends of a write of d: done, unclear, or a fault
// that is not the profile's.
func (a *attempt) settle(ctx context.Context, d consent.Difference, err error) {
	f := &a.finish
	if err == nil {
		a.alive(ctx, a.job, d)
		f.Known = f.Known.Confirm(d, a.clock())
		f.Attempts = 0
		if a.job.rest {
			f.State, f.Class = store.Pending, a.job.after(d)
		}
		if f.Readback > 0 {
			a.readBack(ctx)
		}
		return
	}
	f.LastError = consent.KindOf(err).String() + ": " + message(err)
	switch consent.KindOf(err) {
	case consent.Unauthorized:
		f.State = store.Pending // the integration is at fault, not the profile
		a.suspend(ctx, a.job.integration, "Actito refuses the API key: "+message(err), true)
	case consent.Forbidden:
		a.forbidden(ctx, f.Calls[len(f.Calls)-1].Operation)
	case consent.RateLimited:
		f.State = store.Pending
		a.block(ctx, consent.RetryAfter(err))
	case consent.Unclear:
		f.Known = f.Known.Doubt(d)
		f.Readback = 2
		a.backOff(ctx, err)
	default: // Transient, and whatever we do not understand: nothing was applied
		if wait := consent.RetryAfter(err); wait > 0 {
			a.block(ctx, wait) // it is the licence that was asked to wait
		}
		a.backOff(ctx, err)
	}
}

// backOff makes the delivery wait: the longer the more often it failed, with
// full jitter, and as long as the other side asked for at least.
func (a *attempt) backOff(ctx context.Context, err error) {
	f := &a.finish
	f.State = store.Waiting
	f.Attempts++
	f.NextAt = a.clock().Add(max(a.jitter(f.Attempts, f.Class), min(consent.RetryAfter(err), longestBlock)))
	a.trouble(ctx, a.job.profile())
}

// refused handles a 400: the subscriptions go alone at once, and the
// attributes are found out one by one afterwards (R17).
func (a *attempt) refused(ctx context.Context, err error) {
	send := a.job.send
	if len(send.Attributes) > 0 {
		a.suspectAttributes(send, err)
		if len(send.Subscriptions) == 0 {
			a.finish.Attempts = 0
			return
		}
		alone := consent.Difference{Subscriptions: send.Subscriptions}
		err = a.call(ctx, a.newCall("update", alone, a.clock()), func(ctx context.Context) error {
			return a.named(a.job.target.Update(ctx, a.job.userID, alone))
		})
		switch consent.KindOf(err) {
		case consent.Invalid:
		case consent.NotFound:
			a.missing(ctx, err)
			return
		default:
			a.settle(ctx, alone, err)
			return
		}
	}
	a.refusedSubscriptions(ctx, err)
}

// suspectAttributes notes that Actito refused a call that carried attributes.
// A single one is known to be refused with this value; of several any may be
// the bad one, and each will go alone.
func (a *attempt) suspectAttributes(send consent.Difference, err error) {
	f := &a.finish
	certain := len(send.Attributes) == 1 && len(send.Subscriptions) == 0
	f.Known = f.Known.Suspect(send.Attributes, certain, message(err))
	if certain {
		for name := range send.Attributes {
			a.distrustAttribute(a.job.integration, name)
		}
	}
	a.job.rest = true
	f.State, f.Class = store.Pending, store.Ordinary
}

// refusedSubscriptions handles a 400 to subscriptions alone. Where one of them
// is gone from the table it is the integration's fault and is sent no more;
// otherwise Actito refuses this person's data.
func (a *attempt) refusedSubscriptions(ctx context.Context, err error) {
	f := &a.finish
	f.LastError = "invalid: " + message(err)
	gone, checkErr := a.checkTable(ctx, a.job.integration, a.job.target)
	switch {
	case checkErr != nil:
		a.tableFault(ctx, checkErr)
	case slices.ContainsFunc(gone, func(name string) bool { _, sent := a.job.send.Subscriptions[name]; return sent }):
		f.State, f.Class = store.Pending, a.job.Class
	default:
		f.State = store.Failed
	}
}

// missing handles a 404: is it the profile that is missing, or the table?
// (R18) Only then is the profile created, or the person unmatched.
func (a *attempt) missing(ctx context.Context, err error) {
	if !a.trusts404(a.job) {
		if _, checkErr := a.checkTable(ctx, a.job.integration, a.job.target); checkErr != nil {
			a.tableFault(ctx, checkErr)
			return
		}
	}
	f := &a.finish
	f.Known = consent.Known{}
	if a.job.integration.Settings.UpsertMode {
		a.create(ctx)
		return
	}
	a.unmatched("there is no profile with this "+a.job.integration.Settings.Properties.UserUniqueKey+" and upsert_mode is off", a.job.projection.Withdraws())
}

// unmatched records that there is no profile and none can be made. Newer
// consent tries again; by itself only who holds a withdrawal is tried, or whom a
// right that somebody may give would help, ever more rarely (R20): a later
// import with default-on must not mail someone who refused.
func (a *attempt) unmatched(reason string, again bool) {
	f := &a.finish
	f.State, f.LastError = store.Unmatched, reason
	f.Readback, f.ReadbackAt = 0, 0
	f.NextAt = 0
	if again {
		f.Attempts++
		f.NextAt = a.clock().Add(a.unmatchedDelay(f.Attempts))
	}
}

// create makes the profile with all that is wanted, for it holds nothing yet.
// Only grants that wait for a yes are left out (R23).
func (a *attempt) create(ctx context.Context) {
	const notAllowed = "there is no profile, and the API key may not create one"
	if a.closedUntil(a.job.integration, "create") > a.clock() {
		a.unmatched(notAllowed, true)
		return
	}
	full := consent.Differ(a.job.projection, consent.Known{}, &a.job.integration.Snapshot, 0)
	if a.job.HoldGrants {
		full = full.WithoutGrants()
	}
	var first consent.Difference
	a.with(a.job.integration, func(h *health) { first, _ = full.Portion(consent.Known{}, h.distrusted(), h.proven) })
	// A profile cannot be made without its mandatory attributes.
	bare := consent.Difference{Subscriptions: full.Subscriptions, Attributes: a.mandatory(full.Attributes)}
	maps.Copy(first.Attributes, bare.Attributes)
	a.job.rest = len(first.Attributes) < len(full.Attributes)
	err := a.createWith(ctx, first)
	if consent.KindOf(err) == consent.Invalid && len(first.Attributes) > len(bare.Attributes) {
		// The attributes may be at fault: without those that can be spared.
		a.suspectAttributes(first, err)
		first = bare
		err = a.createWith(ctx, first)
	}
	switch consent.KindOf(err) {
	case consent.Forbidden:
		a.closeOperation(ctx, a.job.integration, "create")
		a.unmatched(notAllowed, true)
	case consent.Invalid, consent.Conflict:
		a.finish.State, a.finish.LastError = store.Failed, "invalid: "+message(err)
	case consent.NotFound:
		// The collection itself is missing.
		if _, checkErr := a.checkTable(ctx, a.job.integration, a.job.target); checkErr != nil {
			a.tableFault(ctx, checkErr)
			return
		}
		a.finish.State, a.finish.LastError = store.Failed, "Actito has no operation to create a profile: "+message(err)
	default:
		a.settle(ctx, first, err)
	}
}

func (a *attempt) createWith(ctx context.Context, d consent.Difference) error {
	return a.call(ctx, a.newCall("create", d, a.clock()), func(ctx context.Context) error {
		return a.named(a.job.target.Create(ctx, a.job.userID, d))
	})
}

func (a *attempt) mandatory(attributes map[string]any) map[string]any {
	kept := make(map[string]any)
	for name, value := range attributes {
		if x, there := a.job.integration.Snapshot.Attribute(name); there && x.Mandatory {
			kept[name] = value
		}
	}
	return kept
}

// tableFault handles a table that could not be checked, or is gone.
func (a *attempt) tableFault(ctx context.Context, err error) {
	switch consent.KindOf(err) {
	case consent.NotFound:
		a.finish.State = store.Pending
		a.finish.LastError = "not_found: " + message(err)
		a.suspend(ctx, a.job.integration, "the profile table is gone: "+message(err), false)
	case consent.Unclear:
		a.settle(ctx, consent.Difference{}, &consent.Error{Kind: consent.Transient, Message: message(err), Err: err})
	default:
		a.settle(ctx, consent.Difference{}, err)
	}
}

// forbidden closes the operation that Actito does not permit, not the
// integration (R18).
func (a *attempt) forbidden(ctx context.Context, operation string) {
	until := a.closeOperation(ctx, a.job.integration, operation)
	a.finish.State = store.Waiting
	a.finish.NextAt = until
}

// record writes how a call ended, and tells whether that could be done. When
// the store cannot be written the delivery stays in flight for it; it is tried
// until the lease is gone.
func (c *courier) record(ctx context.Context, f store.Finish) bool {
	// A definite answer is worth recording though the calls were cut.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.LeaseLife)
	defer cancel()
	for {
		err := c.store.Finish(ctx, c.currentLease(), f)
		switch {
		case err == nil:
			return true
		case consent.KindOf(err) == consent.Conflict:
			c.log.WarnContext(ctx, "a result was refused, the lease has gone to another node", "person", f.Person.String())
			return false
		}
		c.log.ErrorContext(ctx, "a result could not be recorded, trying again", "person", f.Person.String(), "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
}

func (a *attempt) newCall(operation string, d consent.Difference, now consent.Time) store.Call {
	call := store.Call{
		Organization: a.job.Organization, Person: a.job.Person, ID: store.NewID(), Integration: a.job.Integration, Revision: a.job.integration.Revision,
		Operation: operation, Subscriptions: d.Subscriptions, StartedAt: now,
	}
	for name := range d.Attributes {
		call.Attributes = append(call.Attributes, name)
	}
	slices.Sort(call.Attributes)
	return call
}

// call makes one call and keeps its trace.
func (a *attempt) call(ctx context.Context, call store.Call, f func(context.Context) error) error {
	err := f(ctx)
	call.AnsweredAt, call.Outcome = a.clock(), outcomeOf(err)
	if err != nil {
		call.Detail = message(err)
	}
	if err == nil || slices.Contains([]consent.Kind{consent.NotFound, consent.Invalid, consent.Conflict}, consent.KindOf(err)) {
		a.definite()
	}
	a.finish.Calls = append(a.finish.Calls, call)
	a.metrics.called(call.Operation, call.Outcome)
	a.logCall(ctx, call)
	return err
}

// outcomeOf names how a call ended.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return consent.KindOf(err).String()
}

func message(err error) string {
	if m := consent.MessageOf(err); m != "" {
		return m
	}
	return "no answer"
}

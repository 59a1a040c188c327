package deliver

import (
	"cmp"
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// readBack reads the profile right after the write that follows an unclear
// answer, and asks for another read after a delay: a call that was given up
// may land late (R16).
func (a *attempt) readBack(ctx context.Context) {
	f := &a.finish
	f.Readback, f.ReadbackAt = 1, a.clock().Add(a.readbackDelay)
	// Right after the write only subscriptions are compared: an attribute may
	// be given back in another form than it was written in.
	known, changed, err := a.read(ctx, f.Known, false)
	switch {
	case err != nil && a.unreadable(ctx, err):
		f.Readback, f.ReadbackAt = 0, 0
	case err != nil:
		f.Readback = 2 // not read yet: both reads are still to come
	case !changed.Empty():
		// Somebody else wrote, or a read does not show what was written: the
		// latter must not become an endless loop.
		f.Known = known
		f.State, f.Class, f.Attempts = store.Waiting, a.urgency(known), a.job.Attempts+1
		f.NextAt = a.clock().Add(a.jitter(f.Attempts, store.Ordinary))
		f.LastError = "Actito did not show what was just written to it"
	default:
		f.Known = known
	}
}

// readAgain is the delayed read.
func (a *attempt) readAgain(ctx context.Context) {
	j := a.job
	a.finish = store.Finish{DeliveryKey: j.DeliveryKey, Class: store.BackfilledRefusal, Known: j.Known}
	f := &a.finish
	known, changed, err := a.read(ctx, j.Known, true)
	if err == nil {
		known, changed, err = a.heed(ctx, known, changed)
	}
	differs := !changed.Empty()
	switch {
	case err == nil:
		f.Known, f.Class = known, a.urgency(known)
		if j.Readback > 1 {
			f.Readback, f.ReadbackAt = 1, a.clock().Add(a.readbackDelay)
		}
	case consent.KindOf(err) == consent.NotFound:
		// Gone, or so it seems. Nothing is known of it any more, so all that
		// is wanted is due, and the next write will tell.
		f.Known, differs = consent.Known{}, true
	case a.unreadable(ctx, err):
	default:
		f.Readback, f.ReadbackAt = j.Readback, a.clock().Add(max(10*a.readbackDelay, consent.RetryAfter(err)))
	}
	if err := a.store.RecordRead(ctx, a.currentLease(), *f, differs); err != nil {
		a.log.ErrorContext(ctx, "a read could not be recorded", "person", j.Person.String(), "error", err)
	}
}

// heed finds the subscriptions that somebody in Actito has turned off since we
// saw them on: no write of ours explains it. Where it is listened to what happens
// in Actito this is news, and is not overwritten before it is known what they
// mean: what Actito itself tells of them may come later, or never. Such
// subscriptions are no longer among what has changed, and stay as they were known.
func (a *attempt) heed(ctx context.Context, known consent.Known, changed consent.Difference) (consent.Known, consent.Difference, error) {
	j := a.job
	if !j.integration.Settings.EnableWebhooks || j.State != store.Synced || j.Readback > 1 {
		return known, changed, nil // or it was never seen on after the write
	}
	failed := func(err error) (consent.Known, consent.Difference, error) {
		return j.Known, consent.Difference{}, &consent.Error{Kind: consent.Transient, Op: "deliver.heed", Err: err}
	}
	k := store.IntegrationKey{Organization: j.Organization, ID: j.Integration}
	writes, err := a.store.OwnWrites(ctx, k, j.Person, a.clock().Add(-store.EchoWindow))
	if err != nil {
		return failed(err)
	}
	refused := make(map[string]bool)
	for _, m := range j.integration.Settings.Mappings {
		on, is := changed.Subscriptions[m.ID]
		_, clear := consent.Invert(m.Value)
		ours := slices.ContainsFunc(writes[m.ID], func(w consent.OwnWrite) bool { return !w.On })
		if is && !on && clear && !ours && j.projection.Subscriptions[m.ID].On {
			refused[m.ID] = false
		}
	}
	if len(refused) == 0 {
		return known, changed, nil
	}
	told := store.Told{
		ProfileID: a.finish.ProfileID, Subscriptions: refused,
		Keys: map[string]string{j.integration.Settings.Properties.UserUniqueKey: j.userID},
	}
	id := a.finish.Calls[len(a.finish.Calls)-1].ID.String()
	if err := a.store.Hear(ctx, []store.News{{IntegrationKey: k, Told: told, EventID: id, Canonical: []byte("a read-back")}}); err != nil {
		return failed(err)
	}
	for name := range refused {
		delete(changed.Subscriptions, name)
		known.Subscriptions[name] = j.Known.Subscriptions[name]
	}
	a.nudge()
	return known, changed, nil
}

// unreadable tells whether a read failed for good: then there is nothing to
// wait for. When the API key may not read at all, the integration's status says
// so.
func (a *attempt) unreadable(ctx context.Context, err error) bool {
	switch consent.KindOf(err) {
	case consent.Forbidden:
		a.closeOperation(ctx, a.job.integration, "read")
		return true
	case consent.Invalid, consent.Conflict:
		return true
	}
	return false
}

// urgency tells what a difference that a read has shown counts as: a
// subscription that is on and should be off is a withdrawal that is not in
// effect.
func (a *attempt) urgency(known consent.Known) store.Class {
	for name, want := range a.job.projection.Subscriptions {
		if !want.On && known.Subscriptions[name].Value == any(true) {
			return store.LiveWithdrawal
		}
	}
	return store.Ordinary
}

// read compares what the profile holds with what is known. changed are the
// fields that we have written and that hold something else; attributes count
// only if asked for.
func (a *attempt) read(ctx context.Context, known consent.Known, attributes bool) (_ consent.Known, changed consent.Difference, _ error) {
	var held Held
	err := a.call(ctx, a.newCall("read", consent.Difference{}, a.clock()), func(ctx context.Context) (err error) {
		held, err = a.job.target.Read(ctx, a.job.userID)
		return err
	})
	a.finish.ProfileID = cmp.Or(held.ProfileID, a.finish.ProfileID)
	if err != nil {
		if consent.KindOf(err) == consent.RateLimited {
			a.block(ctx, consent.RetryAfter(err))
		}
		return known, changed, err
	}
	changed = consent.Difference{Subscriptions: map[string]bool{}, Attributes: map[string]any{}}
	found := consent.Difference{Subscriptions: map[string]bool{}}
	if held.Subscriptions != nil { // else the answer tells nothing about them
		for name, fact := range known.Subscriptions {
			on := held.Subscriptions[name]
			found.Subscriptions[name] = on
			if !fact.Unknown && fact.Value != any(on) {
				changed.Subscriptions[name] = on
			}
		}
	}
	for name, fact := range known.Attributes {
		value, told := held.Attributes[name]
		if !attributes || !told || fact.Unknown || consent.SameValue(fact.Value, value) {
			continue
		}
		changed.Attributes[name] = value
	}
	found.Attributes = changed.Attributes
	return known.Confirm(found, a.clock()), changed, nil
}

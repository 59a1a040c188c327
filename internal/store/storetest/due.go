package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var due = group{
	"newer consent, whatever the delivery is doing":         dueInEveryState,
	"an undelivered withdrawal stays the most urgent":       withdrawalStaysUrgent,
	"a wait is never made longer":                           waitNeverLonger,
	"R21 by class, then the oldest consent first":           dueOrder,
	"R20 what has waited its time is promoted":              promote,
	"R23 grants are held until somebody says yes":           holdGrants,
	"a replay makes due at once and forgives":               makeDue,
	"a replay needs a person and an integration":            makeDueUnknown,
	"paused or suspended, what becomes due meanwhile stays": dueWhilePaused,
}

// deliveryKey names the delivery of a person to an integration.
func (b *bench) deliveryKey(k store.IntegrationKey, person string) store.DeliveryKey {
	return store.DeliveryKey{Organization: k.Organization, Integration: k.ID, Target: store.TargetActito, Person: b.person(k.Organization, person)}
}

func (b *bench) delivery(k store.IntegrationKey, person string) *store.Delivery {
	b.Helper()
	d, err := b.Delivery(b.Context(), b.deliveryKey(k, person))
	b.must(err)
	return d
}

// next lists who is due in a class, by the time of the oldest consent.
func (b *bench) next(k store.IntegrationKey, class store.Class, limit int) []consent.Time {
	b.Helper()
	found, err := b.NextDue(b.Context(), k, store.TargetActito, class, limit)
	b.must(err)
	var times []consent.Time
	for _, d := range found {
		if d.State != store.Pending || d.Class != class || d.Integration != k.ID || d.Organization != k.Organization {
			b.Errorf("due is %+v", d)
		}
		times = append(times, d.ConsentAt)
	}
	return times
}

// known is what a profile holds in the subscription News, confirmed at noon.
func known(on bool) consent.Known {
	return consent.Known{Subscriptions: map[string]consent.Fact{"News": {Value: on, ConfirmedAt: noon}}}
}

// doubt is that, while a call is under way.
func doubt(on bool) consent.Known {
	return known(on).Doubt(consent.Difference{Subscriptions: map[string]bool{"News": on}})
}

// lease takes the tests' licence for a node.
func (b *bench) lease(node string) store.Lease {
	b.Helper()
	held, err := b.Acquire(b.Context(), node)
	b.must(err)
	if len(held) != 1 || held[0].Licence != licence || held[0].Owner != node {
		b.Fatalf("%s holds %+v", node, held)
	}
	return held[0]
}

// begin starts a call that turns News on.
func (b *bench) begin(l store.Lease, d *store.Delivery) store.Call {
	b.Helper()
	call := store.Call{
		Organization: d.Organization, Person: d.Person, ID: store.NewID(), Integration: d.Integration,
		Operation: "update", Subscriptions: map[string]bool{"News": true}, StartedAt: b.now(),
	}
	ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(true), Call: call})
	b.must(err)
	if !ok {
		b.Fatal("the call may not begin")
	}
	return call
}

// answered is the end of a call that went well, for a test to change.
func answered(d *store.Delivery, call store.Call, now consent.Time) store.Finish {
	call.AnsweredAt, call.Outcome = now, "ok"
	return store.Finish{DeliveryKey: d.DeliveryKey, Version: d.Version, State: store.Synced, Class: d.Class, Known: known(true), Calls: []store.Call{call}}
}

// bring puts the delivery of ana, who is due, into a state by one call.
func (b *bench) bring(k store.IntegrationKey, to store.DeliveryState, end func(*store.Finish)) *store.Delivery {
	b.Helper()
	d := b.delivery(k, "ana")
	if to == store.Pending {
		return d
	}
	l := b.lease("node")
	call := b.begin(l, d)
	if to == store.InFlight {
		return b.delivery(k, "ana")
	}
	f := answered(d, call, b.now())
	f.State = to
	if end != nil {
		end(&f)
	}
	b.must(b.Finish(b.Context(), l, f))
	return b.delivery(k, "ana")
}

// short is what newer consent may change of a delivery.
type short struct {
	State     store.DeliveryState
	Class     store.Class
	ConsentAt consent.Time
	DueAt     consent.Time
	NextAt    consent.Time
	Attempts  int
}

func dueInEveryState(b *bench) {
	old, now := at(-10), at(1)
	said := at(-1) // when the newer consent was given
	back := at(60)
	soon := noon.Add(5 * time.Second) // a withdrawal waits 5 s from the attempt at most
	for i, x := range []struct {
		in       store.DeliveryState
		withdraw bool
		want     short
	}{
		{store.Pending, false, short{store.Pending, store.Ordinary, old, noon, 0, 0}},
		{store.Pending, true, short{store.Pending, store.LiveWithdrawal, said, now, 0, 0}},
		{store.InFlight, false, short{store.InFlight, store.Ordinary, said, now, 0, 0}},
		{store.InFlight, true, short{store.InFlight, store.LiveWithdrawal, said, now, 0, 0}},
		{store.Waiting, false, short{store.Waiting, store.Ordinary, old, noon, back, 3}},
		{store.Waiting, true, short{store.Waiting, store.LiveWithdrawal, said, now, soon, 3}},
		{store.Synced, false, short{store.Pending, store.Ordinary, said, now, 0, 3}},
		{store.Synced, true, short{store.Pending, store.LiveWithdrawal, said, now, 0, 3}},
		{store.Unmatched, false, short{store.Pending, store.Ordinary, said, now, 0, 3}},
		{store.Unmatched, true, short{store.Pending, store.LiveWithdrawal, said, now, 0, 3}},
		{store.Failed, false, short{store.Pending, store.Ordinary, said, now, 0, 0}},
		{store.Failed, true, short{store.Pending, store.LiveWithdrawal, said, now, 0, 0}},
	} {
		organization := string(rune('A' + i))
		k := b.integrate(organization, organization)
		b.clock.set(noon)
		b.accept(organization, event("e1", old, yes("p")))
		before := b.bring(k, x.in, func(f *store.Finish) {
			f.Attempts = 3
			if x.in == store.Waiting || x.in == store.Unmatched {
				f.NextAt = back
			}
		})
		b.clock.set(now)
		newer := yes("q")
		newer.Enabled = !x.withdraw
		if !b.accept(organization, event("e2", said, newer))[0].Due {
			b.Error("nothing is due")
		}
		d := b.delivery(k, "ana")
		what := string(x.in) + " and a grant"
		if x.withdraw {
			what = string(x.in) + " and a withdrawal"
		}
		b.same(what, short{d.State, d.Class, d.ConsentAt, d.DueAt, d.NextAt, d.Attempts}, x.want)
		b.same(what+": version, epoch, known", []any{d.Version, d.Epoch, d.Known}, []any{before.Version + 1, before.Epoch, before.Known})
		b.must(b.Release(b.Context(), "node"))
		b.remove(k)
	}
}

// A withdrawal that was not delivered yet stays the most urgent thing about
// the delivery, whatever comes after it.
func withdrawalStaysUrgent(b *bench) {
	for i, state := range []store.DeliveryState{store.Pending, store.InFlight, store.Waiting} {
		organization := string(rune('A' + i))
		k := b.integrate(organization, organization)
		b.clock.set(noon)
		b.accept(organization, event("e1", at(-10), no("p")))
		b.bring(k, state, func(f *store.Finish) { f.NextAt = at(60) })
		if state == store.InFlight { // then it is the newer one that counts
			b.accept(organization, event("e2", at(-9), no("q")))
		}
		b.clock.set(at(1))
		b.accept(organization, event("e3", at(-1), yes("r")))
		d := b.delivery(k, "ana")
		b.same(string(state), []any{d.State, d.Class}, []any{state, store.LiveWithdrawal})
		if state != store.InFlight {
			b.same(string(state)+": since when", []any{d.ConsentAt, d.DueAt}, []any{at(-10), noon})
		}
		b.must(b.Release(b.Context(), "node"))
		b.remove(k)
	}
}

func waitNeverLonger(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-10), no("p")))
	next := noon.Add(2 * time.Second)
	b.bring(k, store.Waiting, func(f *store.Finish) { f.NextAt = next })
	b.accept(acme, event("e2", at(-9), no("q")))
	d := b.delivery(k, "ana")
	b.same("state, next and oldest", []any{d.State, d.NextAt, d.ConsentAt}, []any{store.Waiting, next, at(-10)})
}

func dueOrder(b *bench) {
	k := b.integrate(acme, "i")
	other := b.integrate(acme, "j")
	b.accept(acme,
		as(event("1", at(-5), no("p")), "a", ""), as(event("2", at(-9), no("p")), "b", ""), as(event("3", at(-7), no("p")), "c", ""),
		as(event("4", at(-99), yes("p")), "d", ""), as(event("5", at(-50), yes("p")), "e", ""))
	b.must(b.MakeDue(b.Context(), b.deliveryKey(k, "e"), store.BackfilledRefusal, at(-70)))
	b.same("withdrawals", b.next(k, store.LiveWithdrawal, 10), []consent.Time{at(-9), at(-7), at(-5)})
	b.same("refusals of old", b.next(k, store.BackfilledRefusal, 10), []consent.Time{at(-70)})
	b.same("the rest", b.next(k, store.Ordinary, 10), []consent.Time{at(-99)})
	b.same("of another integration", b.next(other, store.Ordinary, 10), []consent.Time{at(-99), at(-50)})
	b.same("not more than asked for", b.next(k, store.LiveWithdrawal, 2), []consent.Time{at(-9), at(-7)})
	b.begin(b.lease("node"), b.delivery(k, "b"))
	b.same("not while under way", b.next(k, store.LiveWithdrawal, 2), []consent.Time{at(-7), at(-5)})
	found, err := b.NextDue(b.Context(), k, "didomi", store.LiveWithdrawal, 10)
	b.must(err)
	b.same("not of another target", len(found), 0)
}

func promote(b *bench) {
	k := b.integrate(acme, "i")
	back := at(5)
	for _, x := range []struct {
		person string
		said   consent.Said
		state  store.DeliveryState
		next   consent.Time
		class  store.Class // of what is due then
	}{
		{"waits", no("p"), store.Waiting, back, store.LiveWithdrawal},
		{"refused", no("p"), store.Unmatched, back, store.BackfilledRefusal},
		{"granted", yes("p"), store.Unmatched, back, store.Ordinary},
		{"forever", yes("p"), store.Unmatched, 0, -1},
		{"later", no("p"), store.Waiting, back + 1, -1},
		{"done", no("p"), store.Synced, 0, -1},
	} {
		b.clock.set(noon)
		b.accept(acme, as(event(x.person, at(-9), x.said), x.person, ""))
		d, l := b.delivery(k, x.person), b.lease("node")
		f := answered(d, b.begin(l, d), noon)
		f.State, f.NextAt = x.state, x.next
		b.must(b.Finish(b.Context(), l, f))
		b.clock.set(back - 1)
		b.promoted(k, 0)
		b.clock.set(back)
		wanted := int64(1)
		if x.class < 0 {
			wanted = 0
		}
		b.promoted(k, wanted)
		b.promoted(k, 0)
		d = b.delivery(k, x.person)
		if wanted == 0 {
			b.same(x.person, []any{d.State, d.NextAt}, []any{x.state, x.next})
			continue
		}
		b.same(x.person, []any{d.State, d.Class, d.NextAt, d.Version}, []any{store.Pending, x.class, consent.Time(0), int64(1)})
	}
	n, err := b.Promote(b.Context(), b.integrate(acme, "j"), store.TargetActito)
	b.must(err)
	b.same("of another integration", n, int64(0))
}

func (b *bench) promoted(k store.IntegrationKey, want int64) {
	b.Helper()
	n, err := b.Promote(b.Context(), k, store.TargetActito)
	b.must(err)
	b.same("promoted", n, want)
}

func holdGrants(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.same("live consent is never held", b.delivery(k, "ana").HoldGrants, false)
	b.bring(k, store.Synced, nil)
	b.reproject(k, store.Due{Class: store.Ordinary, ConsentAt: noon, At: noon, HoldGrants: true})
	b.same("held", b.delivery(k, "ana").HoldGrants, true)
	b.bring(k, store.Synced, nil)
	b.same("as long as nobody says yes", b.delivery(k, "ana").HoldGrants, true)
	b.reproject(k, store.Due{Class: store.Ordinary, ConsentAt: noon, At: noon})
	b.same("somebody said yes", b.delivery(k, "ana").HoldGrants, false)
	b.reproject(k, store.Due{Class: store.Ordinary, ConsentAt: noon, At: noon, HoldGrants: true})
	b.accept(acme, event("e2", at(-8), yes("p")))
	b.same("live consent came", b.delivery(k, "ana").HoldGrants, false)
}

// reproject makes ana due as a re-projection does.
func (b *bench) reproject(k store.IntegrationKey, due store.Due) {
	b.Helper()
	b.clock.pass(time.Second)
	i, err := b.Integration(b.Context(), k)
	b.must(err)
	i.Revision++
	i.UpdatedAt = b.now()
	b.must(b.UpdateIntegration(b.Context(), i))
	r, ok, err := b.Reprojection(b.Context(), k)
	if err != nil || !ok {
		b.Fatalf("no re-projection: %v", err)
	}
	due.SubjectKey = store.SubjectKey{Organization: k.Organization, Person: b.person(k.Organization, "ana")}
	b.must(b.AdvanceReprojection(b.Context(), r, []store.Due{due}))
}

func makeDue(b *bench) {
	k := b.integrate(acme, "i")
	refused := "7"
	b.accept(acme, event("e1", at(-9), yes("p")))
	for _, state := range []store.DeliveryState{store.Synced, store.Waiting, store.Unmatched, store.Failed} {
		before := b.bring(k, state, func(f *store.Finish) {
			f.Attempts = 4
			f.Known.Attributes = map[string]consent.Fact{"age": {Value: "6", Refused: &refused, Why: "no", Suspect: true}}
			if state == store.Waiting || state == store.Unmatched {
				f.NextAt = at(60)
			}
		})
		b.must(b.MakeDue(b.Context(), b.deliveryKey(k, "ana"), store.BackfilledRefusal, at(-3)))
		d := b.delivery(k, "ana")
		b.same(string(state), []any{d.State, d.NextAt, d.Version}, []any{store.Pending, consent.Time(0), before.Version + 1})
		b.same("forgiven", d.Known.Attributes["age"], consent.Fact{Value: "6"})
		b.same("still known", d.Known.Subscriptions["News"], known(true).Subscriptions["News"])
	}
	b.same("in its class", b.delivery(k, "ana").Class, store.BackfilledRefusal)
	// Under way it stays so, and is due when the call ends.
	before := b.bring(k, store.InFlight, nil)
	b.must(b.MakeDue(b.Context(), b.deliveryKey(k, "ana"), store.BackfilledRefusal, at(-3)))
	d := b.delivery(k, "ana")
	b.same("in flight", []any{d.State, d.Version}, []any{store.InFlight, before.Version + 1})
	// Of one who was never made due.
	k2 := b.integrate(acme, "i2")
	b.must(b.MakeDue(b.Context(), b.deliveryKey(k2, "ana"), store.Ordinary, at(-3)))
	b.same("new", b.next(k2, store.Ordinary, 10), []consent.Time{at(-3)})
}

func makeDueUnknown(b *bench) {
	k := b.integrate(acme, "i")
	b.kind(b.MakeDue(b.Context(), b.deliveryKey(k, "nobody"), store.Ordinary, noon), consent.NotFound)
	b.accept(acme, event("e1", at(-9), yes("p")))
	gone := b.deliveryKey(store.IntegrationKey{Organization: acme, ID: "gone"}, "ana")
	b.kind(b.MakeDue(b.Context(), gone, store.Ordinary, noon), consent.NotFound)
	_, err := b.Delivery(b.Context(), gone)
	b.kind(err, consent.NotFound)
	_, err = b.Delivery(b.Context(), b.deliveryKey(k, "nobody"))
	b.kind(err, consent.NotFound)
}

func dueWhilePaused(b *bench) {
	k := b.integrate(acme, "i")
	for n, status := range []store.IntegrationStatus{store.Paused, store.Suspended} {
		_, err := b.SetStatus(b.Context(), k, "", status, "for a test")
		b.must(err)
		if !b.accept(acme, event(string(status), at(n-9), no("p")))[0].Due {
			b.Errorf("nothing is due while %s", status)
		}
	}
	b.same("due", b.next(k, store.LiveWithdrawal, 10), []consent.Time{at(-9)})
}

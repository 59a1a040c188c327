package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var calls = group{
	"R13 the doubt is stored before the call":                 doubtFirst,
	"a call does not begin when newer consent came":           beginOutdated,
	"a call does not begin twice":                             beginTwice,
	"whoever got no answer asks again with the same call":     beginAgain,
	"what the end of a call says is stored":                   finishStores,
	"newer consent during the call stays due":                 newerDuringCall,
	"what has to wait waits, a withdrawal 5 s at most":        newerWhileWaiting,
	"more is to follow":                                       rest,
	"R21 a withdrawal that was not delivered keeps its class": classKept,
	"calls are counted and traced":                            callsCounted,
	"settled without a call":                                  settle,
	"what cannot be worked out is set aside":                  setAside,
	"what is left out is summed up":                           leftOut,
	"R18 unmatched people are reopened":                       reopen,
}

func doubtFirst(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.same("nothing is known", d.Known, consent.Known{})
	b.clock.pass(time.Second)
	call := b.begin(l, d)
	is := b.delivery(k, "ana")
	b.same("in flight", []any{is.State, is.Epoch, is.Version, is.NextAt}, []any{store.InFlight, l.Epoch, d.Version, consent.Time(0)})
	b.same("doubted", is.Known, doubt(true))
	traced := b.trace(acme, d.Person).Calls
	b.same("the call, unanswered", traced, []store.Call{call})
}

func beginOutdated(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.accept(acme, event("e2", at(-8), no("p")))
	ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(true), Call: store.Call{Organization: acme, Person: d.Person, ID: store.NewID()}})
	b.must(err)
	is := b.delivery(k, "ana")
	b.same("begun, state, known, calls", []any{ok, is.State, is.Known, len(b.trace(acme, d.Person).Calls)}, []any{false, store.Pending, consent.Known{}, 0})
}

func beginTwice(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.begin(l, d)
	ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(true)})
	b.must(err)
	b.same("begun twice", ok, false)
}

func beginAgain(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	again := func(l store.Lease, call store.Call) bool {
		b.Helper()
		ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(true), Call: call})
		b.must(err)
		return ok
	}
	call := b.begin(l, d)
	b.same("begun", again(l, call), true)
	other := call
	other.ID = store.NewID()
	b.same("by another call", again(l, other), false)
	b.accept(acme, event("e2", at(-8), yes("q")))
	b.same("newer consent came", again(l, call), true)
	counts, err := b.Counts(b.Context(), k)
	b.must(err)
	b.same("counted and traced once", []any{counts[store.CountEvents], len(b.trace(acme, d.Person).Calls)}, []any{int64(1), 1})

	b.must(b.Finish(b.Context(), l, answered(d, call, b.now())))
	b.same("it has ended", []any{again(l, call), b.delivery(k, "ana").State}, []any{false, store.Pending})
	d = b.delivery(k, "ana")
	ended := call
	call = b.begin(l, d)
	b.same("another is under way", again(l, ended), false)
	b.clock.pass(store.LeaseLife)
	next := b.lease("another")
	b.same("the lease has gone", []any{again(l, call), again(next, call)}, []any{false, false})
}

func finishStores(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	refused := "x"
	f := answered(d, b.begin(l, d), at(1))
	f.State, f.NextAt, f.Attempts, f.LastError = store.Unmatched, at(60), 2, "not there"
	f.Readback, f.ReadbackAt = 1, at(2)
	f.Known.Attributes = map[string]consent.Fact{
		"name": {Value: "Ana", ConfirmedAt: at(1)}, "age": {Unknown: true, Suspect: true}, "city": {Value: nil, Refused: &refused, Why: "too long"},
	}
	f.LeftOut = []consent.LeftOut{{Name: "age", Reason: "no", Attribute: true}}
	b.clock.set(at(1))
	b.must(b.Finish(b.Context(), l, f))
	want := *d
	want.State, want.NextAt, want.Attempts, want.LastError, want.Epoch = f.State, f.NextAt, f.Attempts, f.LastError, l.Epoch
	want.Readback, want.ReadbackAt, want.Known, want.LeftOut, want.Calls, want.UpdatedAt = 1, at(2), f.Known, f.LeftOut, 1, at(1)
	b.same("the delivery", b.delivery(k, "ana"), &want)
	found, err := b.DeliveriesOf(b.Context(), acme, d.Person)
	b.must(err)
	b.same("all deliveries", found, []*store.Delivery{&want})
}

func newerDuringCall(b *bench) {
	for i, end := range []store.DeliveryState{store.Synced, store.Failed, store.Unmatched, store.Pending} {
		organization := string(rune('A' + i))
		k := b.integrate(organization, organization)
		b.accept(organization, event("e1", at(-9), yes("p")))
		d, l := b.delivery(k, "ana"), b.lease("node")
		call := b.begin(l, d)
		b.accept(organization, event("e2", at(-8), no("p")))
		f := answered(d, call, noon)
		f.State, f.Attempts = end, 5
		if end == store.Unmatched {
			f.NextAt = at(60)
		}
		b.must(b.Finish(b.Context(), l, f))
		is := b.delivery(k, "ana")
		b.same("after "+string(end), []any{is.State, is.Class, is.NextAt, is.Attempts, is.Version, is.Known},
			[]any{store.Pending, store.LiveWithdrawal, consent.Time(0), 0, d.Version + 1, f.Known})
		b.same("due", b.next(k, store.LiveWithdrawal, 10), []consent.Time{at(-8)})
		b.remove(k)
	}
}

func newerWhileWaiting(b *bench) {
	k := b.integrate(acme, "i")
	for i, x := range []struct {
		person string
		newer  consent.Said
		next   consent.Time // as the call's end says
		class  store.Class
		want   consent.Time
	}{
		{"a", yes("q"), at(60), store.Ordinary, at(60)},
		{"b", no("q"), at(60), store.LiveWithdrawal, noon.Add(5 * time.Second)},
		{"c", no("q"), noon.Add(time.Second), store.LiveWithdrawal, noon.Add(time.Second)},
	} {
		b.accept(acme, as(event("e"+x.person, at(-9), yes("p")), x.person, ""))
		d, l := b.delivery(k, x.person), b.lease("node")
		call := b.begin(l, d)
		b.accept(acme, as(event("f"+x.person, at(-8+i), x.newer), x.person, ""))
		f := answered(d, call, noon)
		f.State, f.NextAt, f.Attempts = store.Waiting, x.next, 3
		b.must(b.Finish(b.Context(), l, f))
		is := b.delivery(k, x.person)
		b.same(x.person, []any{is.State, is.Class, is.NextAt, is.Attempts}, []any{store.Waiting, x.class, x.want, 3})
	}
}

func rest(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), no("p")))
	is := b.bring(k, "rest", func(f *store.Finish) { f.State, f.Class = store.Pending, store.Ordinary })
	b.same("state and class", []any{is.State, is.Class, is.Version}, []any{store.Pending, store.Ordinary, int64(1)})
	b.same("due", b.next(k, store.Ordinary, 10), []consent.Time{at(-9)})
}

func classKept(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), no("p")))
	for _, state := range []store.DeliveryState{store.Pending, store.Waiting} {
		is := b.bring(k, "kept", func(f *store.Finish) { f.State, f.NextAt = state, at(1) })
		b.same(string(state), []any{is.State, is.Class}, []any{state, store.LiveWithdrawal})
	}
	b.clock.set(at(1))
	b.promoted(k, 1)
	b.bring(k, store.Synced, nil)
	b.accept(acme, event("e2", at(-8), yes("p")))
	b.same("but not once delivered", b.delivery(k, "ana").Class, store.Ordinary)
}

func callsCounted(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	f := answered(d, b.begin(l, d), at(1))
	second := f.Calls[0]
	second.ID, second.Operation, second.Outcome, second.Detail = store.NewID(), "create", "unclear", "cut off"
	second.Attributes, second.Subscriptions = []string{"age", "name"}, nil
	f.Calls = append(f.Calls, second)
	b.must(b.Finish(b.Context(), l, f))
	b.same("calls", b.delivery(k, "ana").Calls, int64(2))
	b.same("traced", b.trace(acme, d.Person).Calls, f.Calls)
	third := second
	third.ID, third.Operation = store.NewID(), "read"
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Known: known(true), Calls: []store.Call{third}}, false))
	b.same("calls", b.delivery(k, "ana").Calls, int64(3))
	t, err := b.Trace(b.Context(), acme, []store.PersonKey{d.Person}, 2)
	b.must(err)
	b.same("the newest, oldest first", t.Calls, []store.Call{second, third})
	b.remove(k)
	b.same("history stays", len(b.trace(acme, d.Person).Calls), 3)
}

func settle(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("e2", at(-9), yes("p")), "bob", ""))
	l := b.lease("node")
	ana, bob := b.delivery(k, "ana"), b.delivery(k, "bob")
	b.accept(acme, event("e3", at(-8), no("p")))
	b.must(b.Settle(b.Context(), l, []store.Settled{{DeliveryKey: ana.DeliveryKey, Version: ana.Version}, {DeliveryKey: bob.DeliveryKey, Version: bob.Version}}))
	b.same("newer consent came", b.delivery(k, "ana").State, store.Pending)
	is := b.delivery(k, "bob")
	b.same("settled", []any{is.State, is.Calls, is.Attempts, is.Known}, []any{store.Synced, int64(0), 0, consent.Known{}})
	ana = b.delivery(k, "ana")
	b.begin(l, ana)
	b.must(b.Settle(b.Context(), l, []store.Settled{{DeliveryKey: ana.DeliveryKey, Version: ana.Version}}))
	b.same("not while a call is under way", b.delivery(k, "ana").State, store.InFlight)
}

func setAside(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	gone := l
	gone.Epoch--
	b.must(b.Fail(b.Context(), gone, d.DeliveryKey, d.Version, "too late"))
	b.must(b.Fail(b.Context(), l, d.DeliveryKey, d.Version-1, "newer consent came"))
	b.same("left alone", b.delivery(k, "ana"), d)
	b.must(b.Fail(b.Context(), l, d.DeliveryKey, d.Version, "a reason"))
	is := b.delivery(k, "ana")
	b.same("set aside", []any{is.State, is.LastError}, []any{store.Failed, "a reason"})
	b.accept(acme, event("e2", at(-8), no("p")))
	b.same("newer consent tries again", b.next(k, store.LiveWithdrawal, 10), []consent.Time{at(-8)})
}

func leftOut(b *bench) {
	k, other := b.integrate(acme, "i"), b.integrate(acme, "j")
	totals := func(want ...store.LeftOutTotal) {
		b.Helper()
		t, err := b.Totals(b.Context(), k)
		b.must(err)
		b.same("totals", t.LeftOut, want)
	}
	age, name := consent.LeftOut{Name: "age", Reason: "too old", Attribute: true}, consent.LeftOut{Name: "name", Reason: "too long", Attribute: true}
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("e2", at(-9), yes("p")), "bob", ""))
	l := b.lease("node")
	settle := func(person string, list ...consent.LeftOut) {
		b.Helper()
		d := b.delivery(k, person)
		b.must(b.Settle(b.Context(), l, []store.Settled{{DeliveryKey: d.DeliveryKey, Version: d.Version, LeftOut: list}}))
		b.same("left out of "+person, b.delivery(k, person).LeftOut, list)
	}
	totals()
	settle("ana", age, name)
	settle("bob", age)
	totals(store.LeftOutTotal{Name: "age", Reason: "too old", People: 2}, store.LeftOutTotal{Name: "name", Reason: "too long", People: 1})
	settle("ana", age, name) // again
	totals(store.LeftOutTotal{Name: "age", Reason: "too old", People: 2}, store.LeftOutTotal{Name: "name", Reason: "too long", People: 1})
	b.accept(acme, event("e3", at(-8), no("p")))
	d := b.delivery(k, "ana")
	f := answered(d, b.begin(l, d), noon)
	f.LeftOut = []consent.LeftOut{name}
	b.must(b.Finish(b.Context(), l, f))
	totals(store.LeftOutTotal{Name: "age", Reason: "too old", People: 1}, store.LeftOutTotal{Name: "name", Reason: "too long", People: 1})
	settle("ana")
	settle("bob")
	totals()
	t, err := b.Totals(b.Context(), other)
	b.must(err)
	b.same("of another integration", len(t.LeftOut), 0)
}

func reopen(b *bench) {
	k, other := b.integrate(acme, "i"), b.integrate(acme, "j")
	for n, person := range []string{"early", "late", "refused"} {
		b.clock.set(at(n))
		b.accept(acme, as(event(person, at(-9), no("p")), person, ""))
		for _, of := range []store.IntegrationKey{k, other} {
			d, l := b.delivery(of, person), b.lease("node")
			f := answered(d, b.begin(l, d), at(n))
			f.State, f.NextAt, f.Attempts = store.Unmatched, at(60), 1
			if person == "refused" {
				f.State, f.NextAt = store.Failed, 0
			}
			b.must(b.Finish(b.Context(), l, f))
		}
	}
	b.must(b.Reopen(b.Context(), k, at(0)))
	is := b.delivery(k, "late")
	b.same("late", []any{is.State, is.NextAt, is.Version, is.Class}, []any{store.Pending, consent.Time(0), int64(2), store.LiveWithdrawal})
	b.same("before the last good look", b.delivery(k, "early").State, store.Unmatched)
	b.same("not unmatched", b.delivery(k, "refused").State, store.Failed)
	b.same("of another integration", b.delivery(other, "late").State, store.Unmatched)
}

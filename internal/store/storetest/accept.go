package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

const (
	applied    = consent.Applied
	superseded = consent.Superseded
	duplicate  = consent.Duplicate
)

var accepting = group{
	"R1 the same id and content is a duplicate for ever":        sameIDAndContent,
	"R1 the same id with other content is no duplicate":         sameIDOtherContent,
	"R1 without an id equal content counts for 15 minutes":      withoutID,
	"R1 without an id no withdrawal is ever dropped":            withdrawalWithoutID,
	"R1 created, updated and deleted share an id":               sharedID,
	"R1 a user and an event may share an id":                    userAndEventShareID,
	"R1 duplicates within a batch":                              duplicatesWithinBatch,
	"R1 a duplicate changes nothing":                            duplicateChangesNothing,
	"R2 what has no time is dated by its arrival":               datedByArrival,
	"each message has its outcome":                              outcomes,
	"something is due only where there is an integration":       dueWithIntegration,
	"something is due only where something changed":             dueWithChange,
	"organizations never see each other":                        apart,
	"many events of one person in one batch":                    manyOfOnePerson,
	"the most urgent of a batch counts":                         mostUrgentOfBatch,
	"a batch of 256":                                            fullBatch,
	"an empty batch":                                            func(b *bench) { b.accept(acme) },
	"R29 the names of a person differ between organizations":    namesDiffer,
	"one who was never heard of is not found, and has no trace": unheardOf,
}

func sameIDAndContent(b *bench) {
	m := event("e1", at(-9), yes("p"))
	b.same("at first", b.acme(m), []consent.Outcome{applied})
	b.clock.pass(24 * 365 * time.Hour)
	b.same("a year later", b.acme(m), []consent.Outcome{duplicate})
	off := event("e2", at(-8), no("p"))
	b.same("a withdrawal with an id too", b.acme(off, off), []consent.Outcome{applied, duplicate})
}

func sameIDOtherContent(b *bench) {
	b.same("outcomes", b.acme(event("e1", at(-9), yes("p")), event("e1", at(-8), no("p")), event("e1", at(-9), yes("p"))),
		[]consent.Outcome{applied, applied, duplicate})
	b.same("choices", b.says(acme, "ana"), []string{"-p"})
}

func withoutID(b *bench) {
	m := event("", at(-9), yes("p"))
	b.same("at first", b.acme(m), []consent.Outcome{applied})
	b.clock.pass(15*time.Minute - time.Microsecond)
	b.same("within 15 minutes", b.acme(m), []consent.Outcome{duplicate})
	b.clock.pass(time.Microsecond)
	b.same("after 15 minutes, for a duplicate does not prolong them", b.acme(m), []consent.Outcome{superseded})
	b.clock.pass(14 * time.Minute)
	b.same("they begin anew", b.acme(m), []consent.Outcome{duplicate})
	b.same("other content", b.acme(event("", at(-8), yes("p"))), []consent.Outcome{applied})
}

func withdrawalWithoutID(b *bench) {
	m := event("", 0, no("p"))
	b.acme(m)
	b.clock.set(at(1))
	b.acme(event("e", at(1), yes("p")))
	b.same("on again", b.says(acme, "ana"), []string{"p"})
	b.clock.pass(2 * time.Minute)
	b.same("the same withdrawal again", b.acme(m), []consent.Outcome{applied})
	b.same("off again", b.says(acme, "ana"), []string{"-p"})
	list := &consent.Message{
		Type: consent.EventCreated, OrganizationUserID: "ana", Regulation: "gdpr",
		Selections: []consent.Selection{{Purpose: "p", Preference: "f", Values: []string{"a"}}},
	}
	b.same("a list refuses whatever is not in it", b.acme(list, list), []consent.Outcome{applied, superseded})
	b.same("two in one batch", len(b.trace(acme, b.person(acme, "ana")).Events), 5)
}

func sharedID(b *bench) {
	created := event("e1", at(-9), yes("p"))
	content := inbound(acme, created).Canonical
	var got []consent.Outcome
	for _, m := range []*consent.Message{created, typed(created, consent.EventUpdated, at(-8)), deletion("e1"), created} {
		// Even if nothing but the type differs.
		receipts, err := b.Accept(b.Context(), []store.Inbound{{Organization: acme, Message: m, Canonical: content, Payload: content}})
		b.must(err)
		got = append(got, receipts[0].Outcome)
	}
	b.same("outcomes", got, []consent.Outcome{applied, applied, applied, duplicate})
	b.same("choices", b.says(acme, "ana"), []string{"-p"})
}

func userAndEventShareID(b *bench) {
	m := event("x", at(-9), yes("p"))
	b.acme(typed(m, consent.UserUpdated, at(-9)))
	b.acme(deletion("x")) // of an event, not of what the user record says
	b.same("choices", b.says(acme, "ana"), []string{"p"})
}

func duplicatesWithinBatch(b *bench) {
	m, n := event("e1", at(-9), yes("p")), event("e2", at(-8), yes("q"))
	nameless := event("", at(-7), yes("r"))
	off := event("", at(-6), no("s"))
	var got []consent.Outcome
	for _, r := range b.accept(acme, m, n, m, nameless, nameless, off, off, n) {
		got = append(got, r.Outcome)
		if (r.Event == store.ID{}) != (r.Outcome == duplicate) {
			b.Errorf("the receipt %+v has to name an event unless it is of a duplicate", r)
		}
	}
	b.same("outcomes", got, []consent.Outcome{applied, applied, duplicate, applied, duplicate, applied, superseded, duplicate})
	b.same("events", len(b.trace(acme, b.person(acme, "ana")).Events), 5)
}

func duplicateChangesNothing(b *bench) {
	k := b.integrate(acme, "i")
	m := event("e1", at(-9), no("p"))
	b.accept(acme, m)
	before := b.delivery(k, "ana")
	b.clock.pass(time.Minute)
	if r := b.accept(acme, m)[0]; r.Due || r.Event != (store.ID{}) {
		b.Errorf("the receipt of a duplicate is %+v", r)
	}
	b.same("the delivery", b.delivery(k, "ana"), before)
	b.same("the events", len(b.trace(acme, b.person(acme, "ana")).Events), 1)
}

func datedByArrival(b *bench) {
	far := at(0).Add(consent.MaxAhead)
	b.acme(event("e1", 0, yes("p")), event("e2", far, yes("q")), event("e3", far+1, yes("r")))
	times := map[string]consent.Time{}
	for _, h := range b.view(acme, "ana").Choices {
		times[h.Purpose] = h.At
	}
	b.same("times", times, map[string]consent.Time{"p": noon, "q": far, "r": noon})
}

func outcomes(b *bench) {
	on := event("e", at(-9), yes("p"))
	for _, x := range []struct {
		m    *consent.Message
		want consent.Outcome
	}{
		{on, applied},
		{event("older", at(-10), yes("p")), superseded},
		{event("off", at(-8), no("p")), applied},
		{event("pending", at(-7), yes("p")), consent.PendingApproval},
		{event("differ", at(-7), yes("p")), consent.RegulationConflict},
		{as(event("nobody", at(-7), yes("p")), "", ""), consent.NoPerson},
		{as(event("anonymous", at(-7), yes("p")), "", "d1"), consent.Unlinked},
		{as(event("linking", at(-6), yes("q")), "ana", "d1"), applied},
		{as(event("linked", at(-5), yes("p")), "", "d1"), applied},
		{deletion(""), consent.NoPerson},
		{deletion("linking"), applied},
		{&consent.Message{Type: consent.UserDeleted}, consent.NoPerson},
		{&consent.Message{Type: consent.UserDeleted, EntityID: "d1", DidomiUserID: "d1"}, applied},
	} {
		x.m.Pending = x.m.EntityID == "pending"
		x.m.RegulationsDiffer = x.m.EntityID == "differ"
		r := b.accept(acme, x.m)[0]
		if r.Outcome != x.want {
			b.Errorf("%s %q is %q, want %q", x.m.Type, x.m.EntityID, r.Outcome, x.want)
		}
	}
	b.same("choices", b.says(acme, "ana"), []string{"-p", "-q"})
	for _, e := range b.trace(acme, b.person(acme, "ana")).Events {
		want := map[string]consent.Outcome{"older": superseded, "pending": consent.PendingApproval, "differ": consent.RegulationConflict}[e.EntityID]
		if want == "" {
			want = applied
		}
		if e.Outcome != want {
			b.Errorf("the trace says %q of %s %q, want %q", e.Outcome, e.Type, e.EntityID, want)
		}
	}
}

func dueWithIntegration(b *bench) {
	if b.accept(acme, event("e1", at(-9), yes("p")))[0].Due {
		b.Error("something is due without an integration")
	}
	b.integrate(globex, "i1")
	if b.accept(acme, event("e2", at(-8), no("p")))[0].Due {
		b.Error("something is due for another's integration")
	}
	k2, k3 := b.integrate(acme, "i2"), b.integrate(acme, "i3")
	receipts := b.accept(acme, event("e3", at(-7), yes("p")), as(event("e4", at(-7), yes("p")), "", "d1"), deletion("nothing"))
	b.same("due", []bool{receipts[0].Due, receipts[1].Due, receipts[2].Due}, []bool{true, false, false})
	for _, k := range []store.IntegrationKey{k2, k3} {
		b.same("the state in "+k.ID, b.delivery(k, "ana").State, store.Pending)
	}
	found, err := b.DeliveriesOf(b.Context(), acme, b.person(acme, "ana"))
	b.must(err)
	b.same("deliveries", len(found), 2)
}

func dueWithChange(b *bench) {
	k := b.integrate(acme, "i")
	on := event("e1", at(-9), yes("p"))
	receipts := b.accept(acme, on, event("e0", at(-10), yes("p")))
	b.same("due", []bool{receipts[0].Due, receipts[1].Due}, []bool{true, false})
	before := b.delivery(k, "ana")
	pending := change(event("e2", at(-8), no("p")), func(m *consent.Message) { m.Pending = true })
	b.clock.pass(time.Minute)
	for _, m := range []*consent.Message{pending, as(on, "", ""), deletion("other"), event("e3", at(-20), yes("p")), event("e4", at(-9), no("x"))} {
		if due := b.accept(acme, m)[0].Due; due != (m.EntityID == "e4") {
			b.Errorf("%q makes something due: %v", m.EntityID, due)
		}
	}
	b.same("made due", b.delivery(k, "ana").Version, before.Version+1)
}

func apart(b *bench) {
	ka, kg := b.integrate(acme, "ia"), b.integrate(globex, "ig")
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("a1", at(-9), yes("q")), "ana", "d1"))
	b.accept(globex, event("e1", at(-9), no("p")))
	b.same("acme", b.says(acme, "ana"), []string{"p", "q"})
	b.same("globex", b.says(globex, "ana"), []string{"-p"})
	b.same("the same event of another is no duplicate", b.accept(globex, event("e1", at(-9), yes("p")))[0].Outcome, applied)

	// A deletion, a Didomi user's end and a new link stay where they were said.
	b.accept(globex, deletion("e1"))
	b.accept(globex, &consent.Message{Type: consent.UserDeleted, EntityID: "d1", DidomiUserID: "d1"})
	b.accept(globex, as(event("e9", at(-99), yes("q")), "bob", "d1"))
	b.accept(globex, as(event("e8", at(-1), no("q")), "", "d1"))
	b.same("acme", b.says(acme, "ana"), []string{"p", "q"})
	b.same("globex, bob", b.says(globex, "bob"), []string{"-q"})

	for org, k := range map[string]store.IntegrationKey{acme: ka, globex: kg} {
		keys := b.page(org, nil, 100)
		wanted := map[string]int{acme: 1, globex: 2}[org]
		b.same("people of "+org, len(keys), wanted)
		var found int
		for class := range store.Class(3) {
			d, err := b.NextDue(b.Context(), k, store.TargetActito, class, 100)
			b.must(err)
			found += len(d)
		}
		b.same("deliveries of "+org, found, wanted)
	}
	// Not even with the other's keys.
	_, err := b.Person(b.Context(), globex, b.person(acme, "ana"))
	b.kind(err, consent.NotFound)
	b.same("the trace with the other's key", b.trace(globex, b.person(acme, "ana")), store.Trace{})
	id := b.trace(acme, b.person(acme, "ana")).Events[0].ID
	_, _, err = b.Payload(b.Context(), globex, id)
	b.kind(err, consent.NotFound)
	_, err = b.Integration(b.Context(), store.IntegrationKey{Organization: globex, ID: "ia"})
	b.kind(err, consent.NotFound)
	b.kind(b.DeleteIntegration(b.Context(), store.IntegrationKey{Organization: globex, ID: "ia"}), consent.NotFound)
	err = b.MakeDue(b.Context(), store.DeliveryKey{Organization: globex, Integration: "ia", Target: store.TargetActito, Person: b.person(globex, "ana")}, store.Ordinary, noon)
	b.kind(err, consent.NotFound)
}

func manyOfOnePerson(b *bench) {
	k := b.integrate(acme, "i")
	var batch []*consent.Message
	for i := range 40 {
		said := yes("p")
		said.Enabled = i%2 == 0
		batch = append(batch, event("e"+string(rune('A'+i)), at(-i-1), said))
	}
	b.accept(acme, batch...)
	b.same("choices", b.says(acme, "ana"), []string{"p"})
	b.same("events", len(b.trace(acme, b.person(acme, "ana")).Events), len(batch))
	b.same("one delivery, due once", b.delivery(k, "ana").Version, int64(1))
}

func mostUrgentOfBatch(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("q")), event("e3", at(-6), no("r")), event("e2", at(-5), no("p")), event("e4", at(-1), yes("s")))
	d := b.delivery(k, "ana")
	b.same("class and the oldest consent of it", []any{d.Class, d.ConsentAt}, []any{store.LiveWithdrawal, at(-6)})
}

func fullBatch(b *bench) {
	b.integrate(acme, "i")
	batch := make([]*consent.Message, 256)
	for i := range batch {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		batch[i] = as(event("e"+id, at(-9), no("p")), "u"+id, "d"+id)
	}
	ids := map[store.ID]bool{}
	for _, r := range b.accept(acme, batch...) {
		if r.Outcome != applied || !r.Due {
			b.Fatalf("receipt %+v", r)
		}
		ids[r.Event] = true
	}
	b.same("ids", len(ids), len(batch))
	b.same("people", len(b.page(acme, nil, 1000)), len(batch))
	b.same("choices of the last", b.says(acme, batch[255].OrganizationUserID), []string{"-p"})
	for _, r := range b.accept(acme, batch...) {
		if r.Outcome != duplicate {
			b.Fatalf("receipt %+v", r)
		}
	}
}

func namesDiffer(b *bench) {
	keys := map[store.PersonKey]bool{b.person(acme, "x"): true, b.person(globex, "x"): true, b.user(acme, "x"): true, b.user(globex, "x"): true}
	b.same("different keys", len(keys), 4)
	b.accept(acme, as(event("e", at(-1), yes("p")), "x", ""), as(event("f", at(-1), no("p")), "", "x"))
	b.same("a Didomi user is not the person of the same id", b.says(acme, "x"), []string{"p"})
}

func unheardOf(b *bench) {
	_, err := b.Person(b.Context(), acme, b.person(acme, "ana"))
	b.kind(err, consent.NotFound)
	b.same("trace", b.trace(acme, b.person(acme, "ana")), store.Trace{})
	_, err = b.Delivery(b.Context(), b.deliveryKey(b.integrate(acme, "i"), "ana"))
	b.kind(err, consent.NotFound)
	_, _, err = b.Payload(b.Context(), acme, store.NewID())
	b.kind(err, consent.NotFound)
	found, err := b.DeliveriesOf(b.Context(), acme, b.person(acme, "ana"))
	b.must(err)
	b.same("deliveries", len(found), 0)
}

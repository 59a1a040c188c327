package storetest

import (
	"bytes"
	"fmt"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var reconciliations = group{
	"rows and their place are one":                          reconciliationStages,
	"a new one replaces what is not done":                   reconciliationReplaced,
	"what an export tells is learnt, but for what is newer": reconciliationLearns,
	"what follows is due, or read":                          reconciliationFollows,
	"rows are forgotten":                                    reconciliationForgets,
	"so many are kept":                                      reconciliationsKept,
	"by reads it stands beside one by an export":            reconciliationByReads,
}

func (b *bench) reconcile(k store.IntegrationKey) *store.Reconciliation {
	b.Helper()
	r := &store.Reconciliation{
		IntegrationKey: k, RunID: store.NewID(), State: store.ReconciliationLoading, Policy: store.PolicyAll, AsOf: at(-1), Columns: []string{"News"}, StartedAt: noon,
	}
	b.must(b.StartReconciliation(b.Context(), r))
	return r
}

// staged lists the rows of all slices.
func (b *bench) staged(r *store.Reconciliation) (all []store.HeldRow) {
	b.Helper()
	for slice := range store.HeldSlices {
		rows, err := b.HeldRows(b.Context(), r, slice)
		b.must(err)
		all = append(all, rows...)
	}
	return all
}

func reconciliationStages(b *bench) {
	k := b.integrate(acme, "i")
	r := b.reconcile(k)
	ana, bob := store.HeldRow{Person: b.person(acme, "ana"), Cells: "1"}, store.HeldRow{Person: b.person(acme, "bob"), Cells: "0"}
	stale := *r
	r.Rows = 2
	b.must(b.StageHeld(b.Context(), r, []store.HeldRow{ana, bob}))
	b.kind(b.StageHeld(b.Context(), &stale, []store.HeldRow{ana}), consent.Conflict)
	ana.Cells = "-"
	r.Rows = 4
	b.must(b.StageHeld(b.Context(), r, []store.HeldRow{{Person: ana.Person, Cells: "0"}, ana}))
	want := []store.HeldRow{ana, bob}
	if bytes.Compare(ana.Person[:], bob.Person[:]) > 0 {
		want = []store.HeldRow{bob, ana}
	}
	b.same("rows", b.staged(r), want)
	got, err := b.Reconciliation(b.Context(), k, r.RunID)
	b.must(err)
	b.same("kept", got, r)
	_, err = b.Reconciliation(b.Context(), store.IntegrationKey{Organization: globex, ID: "i"}, r.RunID)
	b.kind(err, consent.NotFound)
	r.State, r.Report.Examples = store.ReconciliationComparing, []store.DriftExample{{Kind: "should_be_off", OrganizationUserID: "ana", Subscription: "News"}}
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{}))
	running, err := b.Reconciling(b.Context())
	b.must(err)
	b.same("comparing", running, []*store.Reconciliation{r})
}

func reconciliationReplaced(b *bench) {
	k := b.integrate(acme, "i")
	first := b.reconcile(k)
	second := b.reconcile(k)
	b.kind(b.SaveReconciliation(b.Context(), first, store.ReconciliationStep{}), consent.Conflict)
	second.State = store.ReconciliationDone
	b.must(b.SaveReconciliation(b.Context(), second, store.ReconciliationStep{}))
	b.reconcile(k)
	all, err := b.Reconciliations(b.Context(), k, 10)
	b.must(err)
	b.same("states", []store.ReconciliationState{all[0].State, all[1].State, all[2].State},
		[]store.ReconciliationState{store.ReconciliationLoading, store.ReconciliationDone, store.ReconciliationReplaced})
	none := store.Reconciliation{IntegrationKey: store.IntegrationKey{Organization: acme, ID: "none"}, RunID: store.NewID()}
	b.kind(b.StartReconciliation(b.Context(), &none), consent.NotFound)
}

func reconciliationLearns(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("e2", at(-9), yes("p")), "bob", ""))
	d := b.bring(k, store.Synced, func(f *store.Finish) {
		f.Known = consent.Known{Subscriptions: map[string]consent.Fact{"News": {Value: true, ConfirmedAt: at(-5)}, "Late": {Value: true, ConfirmedAt: at(5)}, "Unknown": {Value: true, Unknown: true}}}
	})
	r := b.reconcile(k)
	told := map[string]bool{"News": false, "Late": false, "Unknown": false, "Other": true}
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{Learnt: []store.Learnt{
		{Person: d.Person, Subscriptions: told, At: r.AsOf}, {Person: b.person(acme, "eve"), Subscriptions: map[string]bool{"News": true}, At: r.AsOf},
	}}))
	got := b.delivery(k, "ana")
	value := func(d *store.Delivery, name string) any { return d.Known.Subscriptions[name].Value }
	b.same("ana", []any{value(got, "News"), value(got, "Late"), got.Known.Subscriptions["Unknown"].Unknown, value(got, "Other"), got.Known.Subscriptions["News"].ConfirmedAt},
		[]any{false, true, true, true, r.AsOf})
	b.same("ana, otherwise", []any{got.State, got.Version}, []any{d.State, d.Version})
	eve := b.delivery(k, "eve")
	b.same("eve", []any{eve.State, value(eve, "News")}, []any{store.Synced, true})
}

func reconciliationFollows(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), no("p")))
	b.bring(k, store.Synced, nil)
	r := b.reconcile(k)
	ana := store.SubjectKey{Organization: acme, Person: b.person(acme, "ana")}
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{Read: []store.PersonKey{ana.Person}}))
	b.same("read", b.delivery(k, "ana").Readback, 1)
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{Due: []store.Due{{SubjectKey: ana, Class: store.BackfilledRefusal, ConsentAt: noon, At: noon, HoldGrants: true}}}))
	d := b.delivery(k, "ana")
	b.same("due", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, true})
}

func reconciliationForgets(b *bench) {
	k := b.integrate(acme, "i")
	old := b.reconcile(k)
	var rows []store.HeldRow
	for n := range 5 {
		rows = append(rows, store.HeldRow{Person: b.person(acme, fmt.Sprint(n)), Cells: "1"})
	}
	b.must(b.StageHeld(b.Context(), old, rows))
	r := b.reconcile(k)
	b.must(b.StageHeld(b.Context(), r, rows[:2]))
	more, err := b.ForgetHeld(b.Context(), k, r.RunID, 3)
	b.must(err)
	b.same("more", more, true)
	more, err = b.ForgetHeld(b.Context(), k, r.RunID, 3)
	b.must(err)
	b.same("no more", []any{more, len(b.staged(old)), len(b.staged(r))}, []any{false, 0, 2})
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.Sweep(b.Context()))
	b.same("of an integration that is gone", len(b.staged(r)), 0)
}

func reconciliationsKept(b *bench) {
	k := b.integrate(acme, "i")
	for range store.MostReconciliations + 2 {
		b.reconcile(k)
	}
	all, err := b.Reconciliations(b.Context(), k, 1000)
	b.must(err)
	b.same("kept", len(all), store.MostReconciliations)
}

func reconciliationByReads(b *bench) {
	k := b.integrate(acme, "i")
	read := func() *store.Reconciliation {
		r := &store.Reconciliation{
			IntegrationKey: k, RunID: store.NewID(), State: store.ReconciliationReading, Source: store.SourceReads, Policy: store.PolicyReport, StartedAt: noon, Cursor: []byte{1, 2},
		}
		b.must(b.StartReconciliation(b.Context(), r))
		return r
	}
	replaced, export := read(), b.reconcile(k)
	reads := read()
	b.kind(b.SaveReconciliation(b.Context(), replaced, store.ReconciliationStep{}), consent.Conflict)
	b.must(b.StageHeld(b.Context(), export, nil))
	got, err := b.Reconciliation(b.Context(), k, reads.RunID)
	b.must(err)
	b.same("kept", got, reads)
	for range store.MostReconciliations {
		b.reconcile(k)
	}
	b.must(b.SaveReconciliation(b.Context(), reads, store.ReconciliationStep{}))
	running, err := b.Reconciling(b.Context())
	b.must(err)
	b.same("nothing is compared with an export", len(running), 0)
}

package storetest

import (
	"fmt"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var integrations = group{
	"how its table was seen is no change of it":       integrationSeen,
	"all of it comes back":                            integrationStored,
	"a change based on an old reading is refused":     revisionConflict,
	"an id is given once":                             idTaken,
	"they come in pages":                              integrationPages,
	"the status changes from what it was":             setStatus,
	"a change that began before a user's switch":      switchIsAChange,
	"no attributes are not all of them":               noAttributes,
	"R12 what was known is kept across a change":      knownKept,
	"one that is deleted leaves nothing but history":  deleteIntegration,
	"one that is deleted leaves the others alone":     deleteOne,
	"however much is left is swept":                   sweepMany,
	"whatever was known for it is swept":              sweepAll,
	"a restore pauses all of them, and is remembered": restored,
	"a restore gives up the loads that are under way": loadsRestored,
}

// remove deletes an integration with all that is left of it.
func (b *bench) remove(k store.IntegrationKey) {
	b.Helper()
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.Sweep(b.Context()))
}

func integrationStored(b *bench) {
	i := b.integration(acme, "i")
	i.StatusReason, i.Sealed = "a reason", []byte{0, 1, 0xff}
	i.Settings.EnableEmailing = true
	i.Settings.Properties.Licence = "label"
	i.Settings.Properties.Attributes = []store.AttributeEntry{{Mapping: consent.Mapping{ID: "age", Value: "user_metadata_age"}}}
	i.Snapshot.Attributes = []consent.Attribute{{Name: "age", Kind: consent.Integer, Mandatory: true}}
	b.must(b.CreateIntegration(b.Context(), i))
	k := store.IntegrationKey{Organization: acme, ID: "i"}
	b.sameIntegration(k, i)

	changed := *i
	changed.Revision, changed.Status, changed.StatusReason, changed.Sealed, changed.UpdatedAt = 2, store.Paused, "", []byte("new"), at(1)
	changed.Licence = "another"
	changed.Settings.Mappings = nil
	b.must(b.UpdateIntegration(b.Context(), &changed))
	b.sameIntegration(k, &changed)
	b.same("its lease can be taken", b.acquire("node")[0].Licence, "another")

	organization, err := b.OrganizationOf(b.Context(), "i")
	b.must(err)
	b.same("organization", organization, acme)
	_, err = b.OrganizationOf(b.Context(), "j")
	b.kind(err, consent.NotFound)
	_, err = b.Integration(b.Context(), store.IntegrationKey{Organization: acme, ID: "j"})
	b.kind(err, consent.NotFound)
}

func (b *bench) sameIntegration(k store.IntegrationKey, want *store.Integration) {
	b.Helper()
	got, err := b.Integration(b.Context(), k)
	b.must(err)
	// An attribute entry has an unexported part, which shows in its JSON.
	gotEntries, wantEntries := fmt.Sprint(got.Settings.Properties.Attributes), fmt.Sprint(want.Settings.Properties.Attributes)
	b.same("attributes", gotEntries, wantEntries)
	plain := *want
	got.Settings.Properties.Attributes, plain.Settings.Properties.Attributes = nil, nil
	b.same("integration", got, &plain)
}

func revisionConflict(b *bench) {
	k := b.integrate(acme, "i")
	first, err := b.Integration(b.Context(), k)
	b.must(err)
	second := *first
	first.Revision++
	first.Settings.UpsertMode = false
	b.must(b.UpdateIntegration(b.Context(), first))
	second.Revision++
	second.Settings.EnableEmailing = true
	b.kind(b.UpdateIntegration(b.Context(), &second), consent.Conflict)
	b.sameIntegration(k, first)
	second.Revision += 5
	b.kind(b.UpdateIntegration(b.Context(), &second), consent.Conflict)
	second.ID = "never there"
	b.kind(b.UpdateIntegration(b.Context(), &second), consent.Conflict)
	_, ok, err := b.Reprojection(b.Context(), store.IntegrationKey{Organization: acme, ID: "never there"})
	b.must(err)
	b.same("re-projection of what is not there", ok, false)
}

func idTaken(b *bench) {
	k := b.integrate(acme, "i")
	for _, organization := range []string{acme, globex} {
		b.kind(b.CreateIntegration(b.Context(), b.integration(organization, "i")), consent.Conflict)
	}
	_, ok, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.same("re-projection by a creation that failed", ok, false)
}

func integrationPages(b *bench) {
	for _, id := range []string{"d", "b", "e", "a", "c"} {
		b.integrate(acme, id)
	}
	b.integrate(globex, "bb")
	var pages [][]string
	for after := ""; ; {
		found, err := b.Integrations(b.Context(), acme, after, 2)
		b.must(err)
		if len(found) == 0 {
			break
		}
		var ids []string
		for _, i := range found {
			ids = append(ids, i.ID)
		}
		pages = append(pages, ids)
		after = ids[len(ids)-1]
	}
	b.same("pages", pages, [][]string{{"a", "b"}, {"c", "d"}, {"e"}})
}

func setStatus(b *bench) {
	k := b.integrate(acme, "i")
	other := b.integrate(acme, "j")
	for n, x := range []struct {
		from, to store.IntegrationStatus
		reason   string
		changed  bool
		status   store.IntegrationStatus // afterwards
	}{
		{store.Paused, store.Suspended, "no", false, store.Active},
		{store.Active, store.Suspended, "key refused", true, store.Suspended},
		{store.Active, store.Suspended, "key refused", false, store.Suspended},
		{store.Suspended, store.Suspended, "table gone", true, store.Suspended},
		{store.Suspended, store.Suspended, "table gone", false, store.Suspended},
		{"", store.Paused, "", true, store.Paused},
		{"", store.Paused, "", false, store.Paused},
		{store.Suspended, store.Active, "", false, store.Paused},
		{"", store.Active, "", true, store.Active},
	} {
		changed, err := b.SetStatus(b.Context(), k, x.from, x.to, x.reason)
		b.must(err)
		i, err := b.Integration(b.Context(), k)
		b.must(err)
		b.same(fmt.Sprint("step ", n), []any{changed, i.Status, i.Revision}, []any{x.changed, x.status, int64(1)})
		if x.changed {
			b.same(fmt.Sprint("reason ", n), i.StatusReason, x.reason)
		}
	}
	i, err := b.Integration(b.Context(), other)
	b.must(err)
	b.same("of another integration", i.Status, store.Active)
	changed, err := b.SetStatus(b.Context(), store.IntegrationKey{Organization: globex, ID: "i"}, "", store.Paused, "")
	b.must(err)
	b.same("in another organization", changed, false)
}

func switchIsAChange(b *bench) {
	k := b.integrate(acme, "i")
	before, err := b.Integration(b.Context(), k)
	b.must(err)
	_, err = b.SetStatus(b.Context(), k, "", store.Suspended, "key refused")
	b.must(err)
	b.must(b.Switch(b.Context(), k, store.Paused))
	i, err := b.Integration(b.Context(), k)
	b.must(err)
	b.same("status, reason, revision", []any{i.Status, i.StatusReason, i.Revision}, []any{store.Paused, "", before.Revision + 1})
	b.same("updated later", i.UpdatedAt > before.UpdatedAt, true)
	before.Revision++
	b.kind(b.UpdateIntegration(b.Context(), before), consent.Conflict)
	b.kind(b.Switch(b.Context(), store.IntegrationKey{Organization: globex, ID: "i"}, store.Paused), consent.NotFound)
}

func noAttributes(b *bench) {
	for id, attributes := range map[string][]store.AttributeEntry{"all": nil, "none": {}} {
		i := b.integration(acme, id)
		i.Settings.Properties.Attributes = attributes
		b.must(b.CreateIntegration(b.Context(), i))
		got, err := b.Integration(b.Context(), store.IntegrationKey{Organization: acme, ID: id})
		b.must(err)
		b.same(id, got.Rules().AllMetadata, id == "all")
	}
}

func knownKept(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.bring(k, store.Synced, nil)
	b.reproject(k, store.Due{Class: store.BackfilledRefusal, ConsentAt: noon, At: noon})
	d := b.delivery(k, "ana")
	b.same("due, in its class, with what is known", []any{d.State, d.Class, d.Known}, []any{store.Pending, store.BackfilledRefusal, known(true)})
}

func deleteIntegration(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.bring(k, store.Synced, func(f *store.Finish) { f.LeftOut = []consent.LeftOut{{Name: "age", Reason: "no", Attribute: true}} })
	i, err := b.Integration(b.Context(), k)
	b.must(err)
	i.Revision++
	b.must(b.UpdateIntegration(b.Context(), i)) // starts a re-projection
	r, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.remove(k)

	_, err = b.Integration(b.Context(), k)
	b.kind(err, consent.NotFound)
	_, err = b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)
	running, err := b.Reprojections(b.Context())
	b.must(err)
	b.same("re-projections", len(running), 0)
	t, err := b.Totals(b.Context(), k)
	b.must(err)
	b.same("left out", len(t.LeftOut), 0)
	b.same("history", len(b.trace(acme, b.person(acme, "ana")).Calls), 1)
	b.kind(b.DeleteIntegration(b.Context(), k), consent.NotFound)

	// Whoever was working with it meanwhile brings nothing back.
	b.must(b.AdvanceReprojection(b.Context(), r, []store.Due{{SubjectKey: store.SubjectKey{Organization: acme, Person: b.person(acme, "ana")}}}))
	b.same("due without it", b.accept(acme, event("e2", at(-8), no("p")))[0].Due, false)
	_, err = b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)

	// Nor does one of the same id know anything.
	b.integrate(acme, "i")
	b.accept(acme, event("e3", at(-7), yes("p")))
	d := b.delivery(k, "ana")
	b.same("known, calls, version", []any{d.Known, d.Calls, d.Version}, []any{consent.Known{}, int64(0), int64(1)})
}

func deleteOne(b *bench) {
	k, sibling, other := b.integrate(acme, "i"), b.integrate(acme, "ii"), b.integrate(globex, "iii")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.accept(globex, event("e1", at(-9), yes("p")))
	b.remove(k)
	for _, k := range []store.IntegrationKey{sibling, other} {
		b.same(k.ID, b.delivery(k, "ana").State, store.Pending)
	}
	found, err := b.DeliveriesOf(b.Context(), acme, b.person(acme, "ana"))
	b.must(err)
	b.same("deliveries of ana", len(found), 1)
}

// What is left is found by itself, whoever was to remove it, and one sweep
// takes all of it.
func sweepMany(b *bench) {
	k, sibling, second := b.integrate(acme, "i"), b.integrate(acme, "ii"), b.integrate(globex, "iii")
	const people = 2600
	for from := 0; from < people; from += 256 {
		var batch []*consent.Message
		for n := from; n < min(from+256, people); n++ {
			batch = append(batch, as(event(fmt.Sprint("e", n), at(-9), no("p")), fmt.Sprint("u", n), ""))
		}
		b.accept(acme, batch...)
	}
	b.accept(globex, event("e1", at(-9), no("p")))
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.DeleteIntegration(b.Context(), second))
	b.must(b.Sweep(b.Context()))
	b.same("due", []int{len(b.next(k, store.LiveWithdrawal, 2*people)), len(b.next(second, store.LiveWithdrawal, 2))}, []int{0, 0})
	b.same("due for one that is there", len(b.next(sibling, store.LiveWithdrawal, 2*people)), people)
}

func sweepAll(b *bench) {
	k, sibling := b.integrate(acme, "i"), b.integrate(acme, "ii")
	l := b.lease("node")
	loads := make(map[store.IntegrationKey]*store.Load)
	for _, of := range []store.IntegrationKey{k, sibling} {
		loads[of] = b.joined(of, l, map[string]string{"ana": "p"})
		b.hear(of, rumour("1", "7", false))
		b.accept(acme, as(event("of bob "+of.ID, at(-9), yes("p")), "bob", ""))
		bob := b.delivery(of, "bob")
		f := answered(bob, b.begin(l, bob), b.now())
		f.LeftOut = []consent.LeftOut{{Name: "age", Reason: "no", Attribute: true}}
		b.must(b.Finish(b.Context(), l, f))
	}
	left := func(k store.IntegrationKey) []int {
		newest, err := b.Loads(b.Context(), k, 9)
		b.must(err)
		counts, err := b.Counts(b.Context(), k)
		b.must(err)
		totals, err := b.Totals(b.Context(), k)
		b.must(err)
		deliveries := 0
		for _, person := range []string{"ana", "bob"} {
			if _, err := b.Delivery(b.Context(), b.deliveryKey(k, person)); err == nil {
				deliveries++
			}
		}
		return []int{deliveries, len(newest), len(b.rows(loads[k], store.RowOpen)), len(b.pendingNews(k)), len(totals.LeftOut), min(1, len(counts))}
	}
	b.same("before", left(k), []int{2, 1, 1, 1, 1, 1})
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.Sweep(b.Context()))
	b.same("of the one that is gone", left(k), []int{0, 0, 0, 0, 0, 0})
	b.same("of the other", left(sibling), []int{2, 1, 1, 1, 1, 1})
}

func restored(b *bench) {
	b.must(b.SetFeature(b.Context(), acme, true))
	k, other := b.integrate(acme, "i"), b.integrate(globex, "j")
	before, err := b.Integration(b.Context(), k)
	b.must(err)
	b.clock.pass(time.Hour)
	paused, err := b.MarkRestored(b.Context())
	b.must(err)
	b.same("paused", paused, 2)
	for _, k := range []store.IntegrationKey{k, other} {
		i, err := b.Integration(b.Context(), k)
		b.must(err)
		b.same(k.ID, []any{i.Status, i.StatusReason != "", i.Snapshot.RestoredAt, i.Snapshot.HoldsGrants()}, []any{store.Paused, true, b.now(), true})
	}
	before.Revision++
	b.kind(b.UpdateIntegration(b.Context(), before), consent.Conflict) // it is a change
	at, err := b.RestoredAt(b.Context(), acme)
	b.must(err)
	b.same("the organization", at, b.now())
	b.must(b.SetFeature(b.Context(), acme, false))
	b.must(b.SetFeature(b.Context(), "later", true))
	for organization, want := range map[string]consent.Time{acme: b.now(), "later": 0, "none": 0} {
		at, err := b.RestoredAt(b.Context(), organization)
		b.must(err)
		b.same(organization, at, want)
	}

	i, err := b.Integration(b.Context(), k)
	b.must(err)
	i.Snapshot.GrantsApproved = true
	i.Revision++
	b.must(b.UpdateIntegration(b.Context(), i))
	b.clock.pass(time.Hour)
	_, err = b.MarkRestored(b.Context())
	b.must(err)
	i, err = b.Integration(b.Context(), k)
	b.must(err)
	b.same("a yes is for one restore", []any{i.Snapshot.RestoredAt, i.Snapshot.HoldsGrants()}, []any{b.now(), true})
}

func loadsRestored(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	done, running := b.joined(k, l, map[string]string{"ana": "p"}), b.joined(k, l, map[string]string{"bob": "-p"})
	done.State, running.State, running.Execution = store.LoadDone, store.LoadRunning, "77"
	b.must(b.SaveLoad(b.Context(), l, done))
	b.must(b.SaveLoad(b.Context(), l, running))
	_, err := b.MarkRestored(b.Context())
	b.must(err)
	open, err := b.OpenLoads(b.Context(), k)
	b.must(err)
	if len(open) != 1 || open[0].LoadID != running.LoadID || open[0].State != store.LoadBuilding {
		b.Errorf("open are %+v", open)
	}
}

func integrationSeen(b *bench) {
	k := b.integrate(acme, "i")
	before, err := b.Integration(b.Context(), k)
	b.must(err)
	b.same("never", before.Seen, consent.Seen{})
	seen := consent.Seen{LookedAt: at(3), Subscriptions: []string{"News", "Größe"}, Attributes: []consent.Attribute{{Name: "age", Kind: consent.Integer, Unique: true}}}
	b.must(b.SetSeen(b.Context(), k, seen))
	after, err := b.Integration(b.Context(), k)
	b.must(err)
	b.same("seen", after.Seen, seen)
	after.Seen = consent.Seen{}
	b.same("all else", after, before)
	b.same("no re-projection", b.running(), []store.Reprojection(nil))
	after.Revision++
	b.must(b.UpdateIntegration(b.Context(), after))
	after, err = b.Integration(b.Context(), k)
	b.must(err)
	b.same("a change keeps it", after.Seen, seen)
	b.must(b.SetSeen(b.Context(), store.IntegrationKey{Organization: acme, ID: "nobody"}, seen)) // it was deleted meanwhile
}

package storetest

import (
	"encoding/json"
	"reflect"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var compared = group{
	"a page has each person's delivery and Didomi users": comparedWhole,
	"it is what Person and Delivery give":                comparedAgrees,
	"an integration nobody knows has no deliveries":      comparedUnknown,
}

// page lists the keys of identified people.
func (b *bench) page(organization string, after []byte, limit int) []store.PersonKey {
	b.Helper()
	page, err := b.ComparePage(b.Context(), store.IntegrationKey{Organization: organization}, store.Keys{After: after}, limit)
	b.must(err)
	var keys []store.PersonKey
	for _, c := range page {
		keys = append(keys, c.Key)
	}
	return keys
}

// compare gives one person of a page that holds everybody.
func (b *bench) compare(k store.IntegrationKey, id string) *store.Compared {
	b.Helper()
	page, err := b.ComparePage(b.Context(), k, store.Keys{}, 100)
	b.must(err)
	for _, c := range page {
		if c.Person.OrganizationUserID == id {
			b.must(c.Err)
			return c
		}
	}
	b.Fatalf("%s is not in the page", id)
	return nil
}

func comparedWhole(b *bench) {
	k := b.integrate(acme, "i")
	other := b.integrate(acme, "j")
	b.accept(acme, as(event("e1", at(-9), yes("p")), "ana", "d1"), as(event("e2", at(-8), no("q")), "", "d1"), as(event("e3", at(-8), no("q")), "", "d2"))
	ana := b.compare(k, "ana")
	b.same("due", []any{ana.State, ana.Closing(), len(ana.Known.Subscriptions)}, []any{store.Pending, true, 0})
	page, err := b.ComparePage(b.Context(), k, store.Keys{}, 100)
	b.must(err)
	b.same("everybody once", len(page), 1)
	b.same("what a linked Didomi user says", len(ana.Person.View().Choices), 2)

	b.clock.pass(time.Minute)
	b.bring(k, store.Synced, func(f *store.Finish) {
		f.Known = consent.Known{}.Confirm(consent.Difference{Subscriptions: map[string]bool{"News": true}}, b.now())
		f.Readback, f.ReadbackAt = 1, at(30)
	})
	ana = b.compare(k, "ana")
	b.same("synced", []any{ana.State, ana.Closing(), ana.Readback, ana.HoldGrants, ana.Known.Subscriptions["News"].Value, ana.UpdatedAt},
		[]any{store.Synced, false, true, false, true, b.now()})
	b.same("of another integration", b.compare(other, "ana").State, store.Pending)

	b.accept(acme, as(event("e4", at(-1), yes("p")), "bob", ""))
	b.same("who was never linked", len(b.compare(k, "bob").Person.Linked), 0)
	r, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.same("no re-projection", r.State, store.ReprojectionState(""))
}

func comparedAgrees(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, as(event("e1", at(-9), yes("p")), "ana", "d1"), as(event("e2", at(-8), no("q")), "", "d1"), as(event("e3", at(-7), no("p")), "bob", "d1"),
		as(event("e5", at(-7), no("p")), "cid", ""))
	// Of these the Didomi users say one thing each, beside having been seen.
	b.accept(acme, as(event("e6", at(-9), yes("p")), "dee", "d2"), as(event("e7", at(-9), yes("p")), "eve", "d3"), as(event("e8", at(-9), yes("p")), "fay", "d4"),
		change(as(event("e9", at(-8)), "", "d2"), func(m *consent.Message) {
			m.Selections = []consent.Selection{{Purpose: "p", Preference: "f", Values: []string{}}}
		}),
		change(as(event("e10", at(-8)), "", "d3"), func(m *consent.Message) {
			m.Metadata = map[string]json.RawMessage{"k": json.RawMessage(`"x"`)}
		}))
	for _, id := range []string{"ana", "bob", "cid", "dee", "eve", "fay"} {
		p, err := b.Person(b.Context(), acme, b.person(acme, id))
		b.must(err)
		d, err := b.Delivery(b.Context(), b.deliveryKey(k, id))
		b.must(err)
		c := b.compare(k, id)
		b.same(id, c.Person.View().Choices, p.View().Choices)
		b.same(id+", whole", reflect.DeepEqual(c.Person.View(), p.View()), true)
		b.same(id+", links", c.Person.DidomiUsers, p.DidomiUsers)
		b.same(id+", delivery", []any{c.State, c.Known, c.HoldGrants, c.UpdatedAt}, []any{d.State, d.Known, d.HoldGrants, d.UpdatedAt})
	}
}

func comparedUnknown(b *bench) {
	b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	c := b.compare(store.IntegrationKey{Organization: acme, ID: "nobody"}, "ana")
	b.same("standing", c.Standing, store.Standing{})
	b.same("choices", len(c.Person.View().Choices), 1)
}

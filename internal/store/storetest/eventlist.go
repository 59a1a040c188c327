package storetest

import (
	"fmt"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var eventLists = group{
	"the newest first, in pages":             eventPages,
	"by type, outcome and person":            eventFilters,
	"one event, and whose it is":             oneEvent,
	"a read that is asked for comes at once": readAsked,
}

func eventPages(b *bench) {
	for i := range 5 {
		b.accept(acme, event(fmt.Sprintf("e%d", i), at(-i), yes("p")))
	}
	b.accept(globex, event("other", at(-1), yes("p")))
	var ids []string
	for next := (store.ID{}); ; {
		page, after, err := b.Events(b.Context(), acme, store.EventFilter{}, next, 2)
		b.must(err)
		for _, e := range page {
			ids = append(ids, e.EntityID)
		}
		if next = after; next == (store.ID{}) {
			break
		}
	}
	b.same("events", ids, []string{"e4", "e3", "e2", "e1", "e0"})
}

func eventFilters(b *bench) {
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.accept(acme, event("e2", at(-10), yes("p"))) // superseded
	b.accept(acme, as(event("e3", at(-8), yes("p")), "bob", ""))
	b.accept(acme, deletion("e3"))
	for _, x := range []struct {
		filter store.EventFilter
		want   []string
	}{
		{store.EventFilter{}, []string{"e3", "e3", "e2", "e1"}},
		{store.EventFilter{Type: consent.EventDeleted}, []string{"e3"}},
		{store.EventFilter{Outcome: consent.Superseded}, []string{"e2"}},
		{store.EventFilter{Person: b.person(acme, "ana")}, []string{"e2", "e1"}},
		{store.EventFilter{Person: b.person(acme, "ana"), Outcome: consent.Applied}, []string{"e1"}},
		{store.EventFilter{Person: b.person(acme, "nobody")}, nil},
		{store.EventFilter{Person: b.person(globex, "ana")}, nil},
	} {
		page, _, err := b.Events(b.Context(), acme, x.filter, store.ID{}, 10)
		b.must(err)
		var ids []string
		for _, e := range page {
			ids = append(ids, e.EntityID)
		}
		b.same(fmt.Sprintf("events of %+v", x.filter), ids, x.want)
	}
}

func oneEvent(b *bench) {
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.accept(acme, as(event("e2", at(-9), yes("p")), "", "d1"))
	page, _, err := b.Events(b.Context(), acme, store.EventFilter{}, store.ID{}, 10)
	b.must(err)
	e, err := b.Event(b.Context(), acme, page[1].ID)
	b.must(err)
	b.same("event", *e, page[1])
	b.same("header", []any{e.Organization, e.Type, e.EntityID, e.Person, e.Regulation, e.ConsentAt, e.ArrivedAt, e.Outcome},
		[]any{acme, consent.EventCreated, "e1", b.person(acme, "ana"), "gdpr", at(-9), noon, consent.Applied})
	_, err = b.Event(b.Context(), globex, e.ID)
	b.kind(err, consent.NotFound)

	keys := []store.PersonKey{page[0].Person, page[1].Person, b.person(acme, "nobody"), page[1].Person}
	who, err := b.SubjectsOf(b.Context(), acme, keys)
	b.must(err)
	b.same("who", who, map[store.PersonKey]consent.Subject{page[0].Person: {DidomiUserID: "d1"}, page[1].Person: {OrganizationUserID: "ana"}})
	who, err = b.SubjectsOf(b.Context(), globex, keys)
	b.must(err)
	b.same("elsewhere", len(who), 0)
}

func readAsked(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.bring(k, store.Synced, func(*store.Finish) {})
	b.same("before", b.readbacks(k), 0)
	b.must(b.AskRead(b.Context(), b.deliveryKey(k, "ana"), changeOf(acme, "i", "read")))
	b.same("asked", b.readbacks(k), 1)
	b.same("recorded", len(b.recorded(acme, "i")), 1)
	b.kind(b.AskRead(b.Context(), b.deliveryKey(k, "nobody"), changeOf(acme, "i", "read")), consent.NotFound)
	b.same("recorded once", len(b.recorded(acme, "i")), 1)
}

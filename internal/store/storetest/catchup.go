package storetest

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var catchUps = group{
	"it is kept as it was":                   catchUpKept,
	"whoever is behind changes nothing":      catchUpBehind,
	"everybody of an organization alone":     recompares,
	"R5 a fetched record undoes no refusal":  fetchedSnapshot,
	"R23 live and file of one person in one": mixedOrigins,
}

func catchUpKept(b *bench) {
	none, err := b.CatchUp(b.Context(), acme)
	b.must(err)
	b.same("none", none, store.CatchUp{Organization: acme})
	c := store.CatchUp{
		Organization: acme, Done: true, AliveAt: at(1), MissedAt: at(2), Away: true, Running: true, GoneAt: at(12), Reason: store.CatchUpAway, Since: at(3), Counted: true,
		Regulation: "gdpr", Cursor: "c\x00\"", StartedAt: at(4), EndedAt: at(5), Users: 6, Changed: 7, Events: 8, Unreadable: 9, Failures: 10, LastError: "why", NextAt: at(11),
	}
	b.must(b.SaveCatchUp(b.Context(), &c, store.Change{Organization: acme, ID: store.NewID(), At: noon, By: "me", Action: "catch_up.asked"}))
	got, err := b.CatchUp(b.Context(), acme)
	b.must(err)
	b.same("kept", got, c)
	b.same("version", got.Version, int64(1))
	changes, err := b.Changes(b.Context(), acme, "", store.ID{}, 10)
	b.must(err)
	b.same("recorded", len(changes), 1)
	other, err := b.CatchUp(b.Context(), globex)
	b.must(err)
	b.same("of another", other, store.CatchUp{Organization: globex})
}

func catchUpBehind(b *bench) {
	first, second := store.CatchUp{Organization: acme, Users: 1}, store.CatchUp{Organization: acme, Users: 2}
	b.must(b.SaveCatchUp(b.Context(), &first))
	b.kind(b.SaveCatchUp(b.Context(), &second), consent.Conflict)
	stale := first
	first.Users = 3
	b.must(b.SaveCatchUp(b.Context(), &first))
	b.kind(b.SaveCatchUp(b.Context(), &stale), consent.Conflict)
	got, err := b.CatchUp(b.Context(), acme)
	b.must(err)
	b.same("kept", []int64{got.Users, got.Version}, []int64{3, 2})
}

func recompares(b *bench) {
	k := b.integrate(acme, "i")
	b.integrate(globex, "g")
	b.must(b.Recompare(b.Context(), acme))
	b.same("running", len(b.running()), 1)
	b.same("of", b.running()[0].IntegrationKey, k)
}

func fetchedSnapshot(b *bench) {
	b.accept(acme, event("e1", at(-9), no("p")))
	for source, id := range map[store.Source]string{store.Fetched: "u1", store.Imported: "u2"} {
		in := inbound(acme, typed(event(id, at(-9), yes("p"), yes("q")), consent.UserCreated, at(-1)))
		in.Source = source
		_, err := b.Accept(b.Context(), []store.Inbound{in})
		b.must(err)
	}
	b.same("ana", b.says(acme, "ana"), []string{"-p", "q"})
}

func mixedOrigins(b *bench) {
	k := b.integrate(acme, "i")
	live, file := inbound(acme, event("e1", at(-9), yes("p"))), imported(event("e2", at(-8), no("q")))
	_, err := b.Accept(b.Context(), []store.Inbound{live, file})
	b.must(err)
	d := b.delivery(k, "ana")
	b.same("ana", []any{d.Class, d.HoldGrants}, []any{store.BackfilledRefusal, false})
}

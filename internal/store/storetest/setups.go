package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var setups = group{
	"a set-up is kept until it is dropped":                               setupKept,
	"a set-up expires":                                                   setupExpires,
	"set-ups of another organization are not seen":                       setupsApart,
	"whoever deletes an integration forgets what was typed to change it": setupOfDeleted,
}

func (b *bench) setup(organization, id, integration string) store.Setup {
	b.Helper()
	s := store.Setup{
		Organization: organization, ID: id, Integration: integration, Title: "title of " + id, By: "ada@example.com", Sealed: []byte("sealed " + id),
		UpdatedAt: b.now(), ExpiresAt: b.now().Add(time.Hour),
	}
	b.must(b.KeepSetup(b.Context(), &s))
	return s
}

func (b *bench) sameSetups(organization string, want ...store.Setup) {
	b.Helper()
	got, err := b.Setups(b.Context(), organization)
	b.must(err)
	for i := range got {
		b.same("told of what is sealed", len(got[i].Sealed), 0)
		got[i].Sealed = []byte("sealed " + got[i].ID)
	}
	b.same("set-ups", got, want)
}

func setupKept(b *bench) {
	first, second := b.setup(acme, "1", ""), b.setup(acme, "2", "i")
	b.sameSetups(acme, first, second)
	b.clock.pass(time.Minute)
	first.Title, first.By, first.Sealed, first.UpdatedAt, first.ExpiresAt = "another", "bob@example.com", []byte{0, 1, 255}, b.now(), b.now().Add(time.Hour)
	b.must(b.KeepSetup(b.Context(), &first))
	got, err := b.Setup(b.Context(), acme, "1")
	b.must(err)
	b.same("kept", *got, first)
	b.must(b.DropSetup(b.Context(), acme, "1"))
	b.must(b.DropSetup(b.Context(), acme, "1"))
	b.sameSetups(acme, second)
	_, err = b.Setup(b.Context(), acme, "1")
	b.kind(err, consent.NotFound)
}

func setupExpires(b *bench) {
	old := b.setup(acme, "1", "")
	b.clock.set(old.ExpiresAt)
	b.sameSetups(acme)
	_, err := b.Setup(b.Context(), acme, "1")
	b.kind(err, consent.NotFound)
	b.sameSetups(acme)
	next := b.setup(acme, "2", "") // which sweeps
	b.clock.set(old.ExpiresAt - 1)
	b.sameSetups(acme, next)
}

func setupsApart(b *bench) {
	b.setup(acme, "1", "")
	b.sameSetups(globex)
	_, err := b.Setup(b.Context(), globex, "1")
	b.kind(err, consent.NotFound)
	b.must(b.DropSetup(b.Context(), globex, "1"))
	_, err = b.Setup(b.Context(), acme, "1")
	b.must(err)
}

func setupOfDeleted(b *bench) {
	k := b.integrate(acme, "i")
	b.setup(acme, "1", "i")
	fresh := b.setup(acme, "2", "")
	elsewhere := b.setup(globex, "3", "i")
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.Sweep(b.Context()))
	b.sameSetups(acme, fresh)
	b.sameSetups(globex, elsewhere)
}

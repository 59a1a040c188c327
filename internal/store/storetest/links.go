package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var links = group{
	"R7 anonymous first, then identified":         anonymousFirst,
	"R7 identified first, then anonymous":         identifiedFirst,
	"R7 both in one batch, in both orders":        linkInBatch,
	"R7 a link moves to the first identification": movedLink,
	"R7 one seen under several people":            sharedUser,
	"R7 what is linked makes its person due":      linkMakesDue,
	"R7 a new link without anything to follow":    emptyLink,
	"people come in pages, Didomi users do not":   peoplePages,
	"a person with all linked states":             personWithLinks,
}

func anonymous(id string, created consent.Time, said ...consent.Said) *consent.Message {
	return as(event(id, created, said...), "", "d1")
}

func identified(id string, created consent.Time, said ...consent.Said) *consent.Message {
	return as(event(id, created, said...), "ana", "d1")
}

func anonymousFirst(b *bench) {
	r := b.accept(acme, anonymous("e1", at(-9), no("p"), yes("q"), yes("r")))[0]
	b.same("outcome", r.Outcome, consent.Unlinked)
	b.same("nobody yet", b.says(acme, "ana"), []string{})
	b.accept(acme, event("e2", at(-20), no("r")))
	b.accept(acme, identified("e3", at(-8), yes("s")))
	b.same("a grant follows only where nobody refuses", b.says(acme, "ana"), []string{"-p", "q", "-r", "s"})
}

func identifiedFirst(b *bench) {
	b.accept(acme, identified("e1", at(-8), yes("s")))
	b.same("outcome", b.acme(anonymous("e2", at(-9), no("p"), yes("q"))), []consent.Outcome{applied})
	b.accept(acme, anonymous("e3", at(-5), no("q")))
	b.same("choices", b.says(acme, "ana"), []string{"-p", "-q", "s"})
}

func linkInBatch(b *bench) {
	b.accept(acme, anonymous("e1", at(-9), no("p")), identified("e2", at(-8), yes("q")))
	b.same("anonymous first", b.says(acme, "ana"), []string{"-p", "q"})
	b.accept(acme, as(event("e3", at(-8), yes("q")), "bob", "d2"), as(event("e4", at(-9), no("p")), "", "d2"))
	b.same("identified first", b.says(acme, "bob"), []string{"-p", "q"})
}

func movedLink(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, anonymous("e1", at(-9), no("p")), identified("e2", at(-8), yes("q")))
	ana := b.delivery(k, "ana")
	// An earlier identification comes late.
	b.accept(acme, as(event("e3", at(-20), yes("r")), "bob", "d1"))
	b.same("who lost it", b.says(acme, "ana"), []string{"q"})
	b.same("who got it", b.says(acme, "bob"), []string{"-p", "r"})
	b.same("who lost it is due", b.delivery(k, "ana").Version, ana.Version+1)
	b.same("who got it is due at once", b.delivery(k, "bob").Class, store.LiveWithdrawal)
	// A later one changes nothing, nor does the old one again.
	b.accept(acme, identified("e4", at(-1), yes("q")), identified("e5", at(-19), yes("q")))
	b.accept(acme, anonymous("e6", at(-2), no("s")))
	b.same("choices", b.says(acme, "ana"), []string{"q"})
	b.same("later events follow the link", b.says(acme, "bob"), []string{"-p", "r", "-s"})
	// The person's own first sighting moves back.
	b.accept(acme, identified("e7", at(-30), yes("q")))
	b.same("back again", b.says(acme, "ana"), []string{"-p", "q", "-s"})
	b.same("and gone", b.says(acme, "bob"), []string{"r"})
}

func sharedUser(b *bench) {
	b.accept(acme, as(event("e1", at(-8), yes("q")), "ana", "d1"), as(event("e2", at(-8), yes("q")), "bob", "d1"),
		as(event("e3", at(-9), no("p")), "", "d1"))
	b.same("of equal times the smaller event id", [][]string{b.says(acme, "ana"), b.says(acme, "bob")}, [][]string{{"-p", "q"}, {"q"}})
}

func linkMakesDue(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, identified("link", at(-8), yes("q")))
	before := b.delivery(k, "ana")
	b.same("class", before.Class, store.Ordinary)
	b.clock.pass(time.Minute)
	r := b.accept(acme, anonymous("e1", at(-7), no("p")))[0]
	d := b.delivery(k, "ana")
	b.same("receipt", []any{r.Outcome, r.Due}, []any{applied, true})
	b.same("delivery", []any{d.Version, d.Class, d.ConsentAt, d.DueAt}, []any{before.Version + 1, store.LiveWithdrawal, at(-7), at(1)})
	_, err := b.Delivery(b.Context(), store.DeliveryKey{Organization: acme, Integration: k.ID, Target: store.TargetActito, Person: b.user(acme, "d1")})
	b.kind(err, consent.NotFound)
}

func emptyLink(b *bench) {
	k := b.integrate(acme, "i")
	if b.accept(acme, identified("e", at(-8)))[0].Due {
		b.Error("a link alone makes something due")
	}
	_, err := b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)
	b.accept(acme, anonymous("e1", at(-9), no("p")))
	b.same("but it is a link", b.says(acme, "ana"), []string{"-p"})
}

func peoplePages(b *bench) {
	var want []store.PersonKey
	for i := range 25 {
		id := string(rune('a' + i))
		b.accept(acme, as(event("e"+id, at(-9), yes("p")), id, "d"+id), as(event("f"+id, at(-9), yes("p")), "", "x"+id))
		want = append(want, b.person(acme, id))
	}
	b.accept(globex, event("e", at(-9), yes("p")))
	var got []store.PersonKey
	for after := []byte(nil); ; {
		page := b.page(acme, after, 10)
		if len(page) > 10 {
			b.Fatalf("a page of %d", len(page))
		}
		if len(page) == 0 {
			break
		}
		got = append(got, page...)
		after = page[len(page)-1][:]
	}
	b.same("in the order of their keys", got, sortedKeys(want))
	b.same("an empty cursor is the start", b.page(acme, []byte{}, 10), sortedKeys(want)[:10])
}

func personWithLinks(b *bench) {
	b.accept(acme, identified("e1", at(-8), yes("q")), as(event("e2", at(-7), yes("q")), "ana", "d2"), as(event("e3", at(-99), no("q")), "bob", "d3"),
		as(event("e4", at(-7), yes("q")), "ana", "d3"))
	p, err := b.Person(b.Context(), acme, b.person(acme, "ana"))
	b.must(err)
	b.same("subject", []any{p.Organization, p.Key, p.Subject.Subject}, []any{acme, b.person(acme, "ana"), consent.Subject{OrganizationUserID: "ana"}})
	b.same("linked", len(p.Linked), 2)
	b.same("seen", p.DidomiUsers, consent.Links{
		"d1": {OrganizationUserID: "ana", At: at(-8), EventID: "e1"},
		"d2": {OrganizationUserID: "ana", At: at(-7), EventID: "e2"},
		"d3": {OrganizationUserID: "ana", At: at(-7), EventID: "e4"},
	})
	user, err := b.Person(b.Context(), acme, b.user(acme, "d1"))
	b.must(err)
	b.same("a Didomi user", []any{user.Subject.Subject, user.State.LinkedTo()}, []any{consent.Subject{DidomiUserID: "d1"}, "ana"})
}

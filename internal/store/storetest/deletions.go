package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var deletions = group{
	"R6 after the event":                                  deletedAfter,
	"R6 before the event":                                 deletedBefore,
	"R6 a deletion that came first is in the trace":       deletedBeforeInTrace,
	"R6 in one batch, in both orders":                     deletedInBatch,
	"R6 an event known only as a cause":                   deletedCause,
	"R6 an event that several name as their cause":        deletedCauseOfSeveral,
	"R6 an event of a Didomi user, before and after":      deletedOfUser,
	"R6 of two deletions the earlier counts":              deletedTwice,
	"R6 any other deletion changes nothing":               deletedOther,
	"R6 a Didomi user that is gone keeps its withdrawals": userDeleted,
}

// verdict gives what the view of a person says of the purpose p.
func (b *bench) verdict(person string) consent.Verdict {
	b.Helper()
	for _, h := range b.view(acme, person).Choices {
		if h.Choice == purpose("p") {
			return h.Verdict
		}
	}
	return consent.Verdict{}
}

// ended is the verdict on a grant by e that was deleted at noon.
var ended = consent.Verdict{At: noon, EventID: "e", Reason: consent.ByDeletion}

func deletedAfter(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e", at(-9), yes("p")))
	r := b.accept(acme, deletion("e"))[0]
	b.same("verdict", b.verdict("ana"), ended)
	b.same("receipt", []any{r.Outcome, r.Due}, []any{applied, true})
	b.same("class", b.delivery(k, "ana").Class, store.LiveWithdrawal)
}

func deletedBefore(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, deletion("e"))
	b.clock.pass(time.Hour)
	b.accept(acme, event("e", at(-9), yes("p")))
	b.same("verdict", b.verdict("ana"), ended)
	b.same("class", b.delivery(k, "ana").Class, store.LiveWithdrawal)
	b.accept(acme, as(event("e", at(-8), yes("p")), "bob", ""))
	b.same("for whoever it is about", b.verdict("bob"), ended)
}

func deletedBeforeInTrace(b *bench) {
	b.accept(acme, deletion("e"), deletion("other"))
	b.accept(acme, change(deletion("e"), func(m *consent.Message) { m.CreatedAt = 1 })) // once more, in other words
	b.accept(acme, event("e", at(-9), yes("p")))
	b.accept(acme, as(event("e", at(-8), yes("p")), "bob", "")) // the first keeps it
	count := func(person string) map[consent.MessageType]int {
		n := map[consent.MessageType]int{}
		for _, e := range b.trace(acme, b.person(acme, person)).Events {
			n[e.Type]++
		}
		return n
	}
	b.same("events of ana", count("ana"), map[consent.MessageType]int{consent.EventCreated: 1, consent.EventDeleted: 2})
	b.same("events of bob", count("bob"), map[consent.MessageType]int{consent.EventCreated: 1})
}

func deletedInBatch(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e", at(-9), yes("p")), deletion("e"))
	b.accept(acme, deletion("f"), as(event("f", at(-9), yes("p")), "bob", ""))
	b.same("event first", b.verdict("ana"), ended)
	b.same("deletion first", b.verdict("bob"), consent.Verdict{At: noon, EventID: "f", Reason: consent.ByDeletion})
	for _, person := range []string{"ana", "bob"} {
		b.same("class", b.delivery(k, person).Class, store.LiveWithdrawal)
	}
}

// record is a user.updated of the person ana that names the event e as its source.
func record(said consent.Said) *consent.Message {
	m := typed(event("user", 0, said), consent.UserUpdated, at(-8))
	m.Cause = event("e", at(-9), said)
	return m
}

func deletedCause(b *bench) {
	b.accept(acme, record(yes("p")))
	b.same("granted by the cause", b.verdict("ana"), consent.Verdict{Enabled: true, At: at(-9), EventID: "e", Reason: consent.ByEvent})
	b.accept(acme, deletion("e"))
	b.same("deleted after", b.verdict("ana"), ended)

	b.accept(acme, deletion("f"))
	m := as(record(yes("p")), "bob", "")
	m.Cause = as(event("f", at(-9), yes("p")), "bob", "")
	b.accept(acme, m)
	b.same("deleted before", b.verdict("bob"), consent.Verdict{At: noon, EventID: "f", Reason: consent.ByDeletion})
}

func deletedCauseOfSeveral(b *bench) {
	anonymous := as(record(yes("p")), "", "d1")
	anonymous.Cause = as(anonymous.Cause, "", "d1")
	bob := as(record(yes("p")), "bob", "")
	bob.Cause = as(bob.Cause, "bob", "")
	b.accept(acme, anonymous, record(yes("p")))
	b.accept(acme, bob)
	b.accept(acme, deletion("e"))
	b.accept(acme, as(event("link", at(-1), yes("q")), "cem", "d1"))
	for _, person := range []string{"ana", "bob", "cem"} {
		b.same("verdict on "+person, b.verdict(person), ended)
	}
}

func deletedOfUser(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, as(event("link", at(-99), yes("q")), "ana", "d1"))
	b.accept(acme, as(event("e", at(-9), yes("p")), "", "d1"))
	b.same("granted", b.verdict("ana").Enabled, true)
	version := b.delivery(k, "ana").Version
	b.accept(acme, deletion("e"))
	b.same("verdict", b.verdict("ana"), ended)
	b.same("made due", b.delivery(k, "ana").Version, version+1)

	b.accept(acme, deletion("f"))
	b.accept(acme, as(event("f", at(-9), yes("p")), "", "d2"), as(event("g", at(-8), yes("q")), "bob", "d2"))
	b.same("deleted before", b.verdict("bob"), consent.Verdict{At: noon, EventID: "f", Reason: consent.ByDeletion})
}

func deletedTwice(b *bench) {
	b.clock.set(at(10))
	b.accept(acme, event("e", at(-9), yes("p")), deletion("e"))
	later := b.verdict("ana")
	b.clock.set(noon) // of a clock that was set back, or of another node's
	twice := change(deletion("e"), func(m *consent.Message) { m.CreatedAt = 1 })
	b.accept(acme, twice)
	b.same("first and second", []consent.Time{later.At, b.verdict("ana").At}, []consent.Time{at(10), noon})
	b.clock.set(at(20))
	b.accept(acme, change(twice, func(m *consent.Message) { m.CreatedAt = 2 }))
	b.accept(acme, as(event("e", at(-9), yes("p")), "bob", ""))
	b.same("a later one", []consent.Time{b.verdict("ana").At, b.verdict("bob").At}, []consent.Time{noon, noon})
}

func deletedOther(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")), event("e2", at(-8), yes("p")), event("e3", at(-10), no("p")))
	before := b.verdict("ana")
	d := b.delivery(k, "ana")
	b.clock.pass(time.Minute)
	b.accept(acme, deletion("e1"), deletion("e3"), deletion("never"))
	b.same("verdict", b.verdict("ana"), before)
	if got := b.delivery(k, "ana"); got.Class != d.Class {
		b.Errorf("a deletion without effect made a withdrawal due: %+v", got)
	}
}

func userDeleted(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, as(event("link", at(-99), yes("own")), "ana", "d1"), as(event("e1", at(-9), yes("p"), no("q")), "", "d1"))
	b.same("choices", b.says(acme, "ana"), []string{"own", "p", "-q"})
	version := b.delivery(k, "ana").Version
	gone := &consent.Message{Type: consent.UserDeleted, EntityID: "d1", DidomiUserID: "d1"}
	r := b.accept(acme, gone)[0]
	b.same("its grant follows no longer", b.says(acme, "ana"), []string{"own", "-q"})
	b.same("receipt and version", []any{r.Outcome, r.Due, b.delivery(k, "ana").Version}, []any{applied, true, version + 1})

	b.accept(acme, change(gone, func(m *consent.Message) { m.DidomiUserID = "d2" }))
	b.accept(acme, as(event("e2", at(-9), yes("p"), no("q")), "bob", ""), as(event("e3", at(-8), yes("r"), no("s")), "", "d2"))
	b.accept(acme, as(event("link2", at(-7), yes("own")), "bob", "d2"))
	b.same("before all else was heard of it", b.says(acme, "bob"), []string{"own", "p", "-q", "-s"})
}

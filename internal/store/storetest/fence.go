package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var fence = group{
	"R15 no call begins without the lease":           beginWithoutLease,
	"R15 a result under an older epoch is refused":   finishFenced,
	"R16 a refused result leaves a read-back":        refusedLeavesReadback,
	"R15 a refused result while the next call runs":  finishFencedInFlight,
	"R15 what needed no call is fenced too":          settleFenced,
	"R15 what was read is fenced too":                readFenced,
	"R15 a result within the same epoch is accepted": lateButHeld,
}

// lost has ana in flight under node a's lease, which then goes to node b.
func (b *bench) lost() (k store.IntegrationKey, d *store.Delivery, mine, theirs store.Lease, call store.Call) {
	b.Helper()
	k = b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, mine = b.delivery(k, "ana"), b.lease("a")
	call = b.begin(mine, d)
	b.clock.pass(store.LeaseLife)
	theirs = b.lease("b")
	return k, d, mine, theirs, call
}

func beginWithoutLease(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("a")
	other := l
	other.Owner = "b"
	older := l
	older.Epoch--
	elsewhere := l
	elsewhere.Licence = "another"
	try := func(what string, l store.Lease) {
		b.Helper()
		ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(true)})
		b.must(err)
		b.same(what, []any{ok, b.delivery(k, "ana").State}, []any{false, store.Pending})
	}
	try("another's", other)
	try("an older epoch", older)
	try("another licence", elsewhere)
	b.clock.pass(store.LeaseLife)
	try("expired", l)
	b.must(b.Release(b.Context(), "a"))
	try("released", l)
	b.begin(b.lease("b"), d)
}

func finishFenced(b *bench) {
	k, d, mine, _, call := b.lost()
	is := b.delivery(k, "ana")
	b.same("recovered", []any{is.State, is.Class, is.Readback, is.Version, is.DueAt}, []any{store.Pending, store.LiveWithdrawal, 2, d.Version + 1, b.now()})
	b.same("what the call carried stays unknown", is.Known, doubt(true))

	f := answered(d, call, b.now())
	f.LeftOut = []consent.LeftOut{{Name: "age", Reason: "no", Attribute: true}}
	b.kind(b.Finish(b.Context(), mine, f), consent.Conflict)
	after := b.delivery(k, "ana")
	b.same("refused", []any{after.State, after.Readback, after.Version, after.Known, after.Calls, after.LeftOut},
		[]any{store.Pending, 2, is.Version + 1, doubt(true), int64(0), []consent.LeftOut(nil)})
	t, err := b.Totals(b.Context(), k)
	b.must(err)
	b.same("left out", len(t.LeftOut), 0)
	b.same("the call is traced all the same", b.trace(acme, d.Person).Calls[0].Outcome, "ok")
}

func refusedLeavesReadback(b *bench) {
	k, d, mine, theirs, call := b.lost()
	is := b.delivery(k, "ana")
	f := answered(is, b.begin(theirs, is), b.now())
	b.must(b.Finish(b.Context(), theirs, f))
	b.same("delivered by the new owner", b.delivery(k, "ana").State, store.Synced)

	b.kind(b.Finish(b.Context(), mine, answered(d, call, b.now())), consent.Conflict)
	after := b.delivery(k, "ana")
	b.same("due again, to be read twice", []any{after.State, after.Readback, after.Known}, []any{store.Pending, 2, f.Known})
	// Nothing differs, so there is no write after which it would be read.
	b.must(b.Settle(b.Context(), theirs, []store.Settled{{DeliveryKey: after.DeliveryKey, Version: after.Version}}))
	b.same("read back without a write", b.readbacks(k), 1)
}

func finishFencedInFlight(b *bench) {
	k, d, mine, theirs, call := b.lost()
	is := b.delivery(k, "ana")
	second := b.begin(theirs, is)
	b.kind(b.Finish(b.Context(), mine, answered(d, call, b.now())), consent.Conflict)
	during := b.delivery(k, "ana")
	b.same("still under way", []any{during.State, during.Epoch, during.Known}, []any{store.InFlight, theirs.Epoch, doubt(true)})
	b.must(b.Finish(b.Context(), theirs, answered(is, second, b.now())))
	b.same("due again", b.delivery(k, "ana").State, store.Pending)
}

func settleFenced(b *bench) {
	k, _, mine, theirs, _ := b.lost()
	is := b.delivery(k, "ana")
	settled := []store.Settled{{DeliveryKey: is.DeliveryKey, Version: is.Version, LeftOut: []consent.LeftOut{{Name: "age", Reason: "no", Attribute: true}}}}
	b.kind(b.Settle(b.Context(), mine, settled), consent.Conflict)
	after := b.delivery(k, "ana")
	b.same("refused", after, is)
	b.must(b.Settle(b.Context(), theirs, settled))
	b.same("under the lease", b.delivery(k, "ana").State, store.Synced)
}

func readFenced(b *bench) {
	k, _, mine, theirs, _ := b.lost()
	is := b.delivery(k, "ana")
	b.must(b.Finish(b.Context(), theirs, answered(is, b.begin(theirs, is), b.now())))
	is = b.delivery(k, "ana")
	b.kind(b.RecordRead(b.Context(), mine, store.Finish{DeliveryKey: is.DeliveryKey, Known: known(false)}, true), consent.Conflict)
	b.same("refused", b.delivery(k, "ana"), is)
}

func lateButHeld(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	d, l := b.delivery(k, "ana"), b.lease("a")
	call := b.begin(l, d)
	for range 10 {
		b.clock.pass(store.LeaseLife - time.Second)
		l = b.lease("a")
	}
	b.must(b.Finish(b.Context(), l, answered(d, call, b.now())))
	b.same("state", b.delivery(k, "ana").State, store.Synced)
}

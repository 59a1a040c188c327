package storetest

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var reads = group{
	"R16 the delayed read comes when its time has come":    nextReadback,
	"R16 the earliest first, and not more than asked":      readbackOrder,
	"R16 a read that shows a difference makes due":         readDiffers,
	"R16 a read that shows none is all":                    readAgrees,
	"R16 a read does not disturb a call":                   readDuringCall,
	"R16 newer consent puts the read off":                  readAfterNewer,
	"R21 a withdrawal that comes during a read goes first": withdrawnDuringRead,
}

// readbacks counts the profiles whose delayed read is due.
func (b *bench) readbacks(k store.IntegrationKey) int {
	b.Helper()
	found, err := b.NextReadback(b.Context(), k, store.TargetActito, 100)
	b.must(err)
	return len(found)
}

// awaiting has ana synced, with a read to follow at at(1).
func (b *bench) awaiting() store.IntegrationKey {
	b.Helper()
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.bring(k, store.Synced, func(f *store.Finish) { f.Readback, f.ReadbackAt = 1, at(1) })
	return k
}

func nextReadback(b *bench) {
	k := b.awaiting()
	b.clock.set(at(1) - 1)
	b.same("too early", b.readbacks(k), 0)
	b.clock.set(at(1))
	b.same("in time", b.readbacks(k), 1)
	b.same("of another integration", b.readbacks(b.integrate(acme, "j")), 0)
	found, err := b.NextReadback(b.Context(), k, "didomi", 10)
	b.must(err)
	b.same("of another target", len(found), 0)
}

func readbackOrder(b *bench) {
	k := b.integrate(acme, "i")
	for n, person := range []string{"b", "c", "a"} {
		b.accept(acme, as(event(person, at(-9), yes("p")), person, ""))
		d, l := b.delivery(k, person), b.lease("node")
		f := answered(d, b.begin(l, d), noon)
		f.Readback, f.ReadbackAt = 1, at(3-n)
		b.must(b.Finish(b.Context(), l, f))
	}
	b.clock.set(at(9))
	found, err := b.NextReadback(b.Context(), k, store.TargetActito, 2)
	b.must(err)
	var order []store.PersonKey
	for _, d := range found {
		order = append(order, d.Person)
	}
	b.same("order", order, []store.PersonKey{b.person(acme, "a"), b.person(acme, "c")})
}

func readDiffers(b *bench) {
	k := b.awaiting()
	b.clock.set(at(1))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Class: store.LiveWithdrawal, Known: known(false), Readback: 1, ReadbackAt: at(9)}, true))
	is := b.delivery(k, "ana")
	b.same("due", []any{is.State, is.Class, is.DueAt, is.Version, is.Known, is.Readback, is.ReadbackAt},
		[]any{store.Pending, store.LiveWithdrawal, at(1), d.Version + 1, known(false), 1, at(9)})
	b.same("next", len(b.next(k, store.LiveWithdrawal, 10)), 1)
	b.clock.set(at(9))
	b.same("not read while it is due", b.readbacks(k), 0)
}

func readAgrees(b *bench) {
	k := b.awaiting()
	b.clock.set(at(1))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Class: store.LiveWithdrawal, Known: known(true)}, false))
	is := b.delivery(k, "ana")
	b.same("synced", []any{is.State, is.Class, is.DueAt, is.Version, is.Readback, is.ReadbackAt},
		[]any{store.Synced, d.Class, d.DueAt, d.Version, 0, consent.Time(0)})
	b.same("no more", b.readbacks(k), 0)
}

func readDuringCall(b *bench) {
	k := b.awaiting()
	b.clock.set(at(1))
	b.accept(acme, event("e2", at(-8), no("p")))
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.begin(l, d)
	b.same("not while under way", b.readbacks(k), 0)
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Known: known(false)}, true))
	is := b.delivery(k, "ana")
	b.same("in flight", []any{is.State, is.Known, is.Version}, []any{store.InFlight, doubt(true), d.Version})
}

func withdrawnDuringRead(b *bench) {
	k := b.awaiting()
	b.clock.set(at(1))
	b.accept(acme, event("e2", at(1), no("p")))
	withdrawn := b.delivery(k, "ana")
	b.clock.set(at(2))
	b.must(b.RecordRead(b.Context(), b.lease("node"), store.Finish{DeliveryKey: withdrawn.DeliveryKey, Class: store.Ordinary, Known: known(false)}, true))
	is := b.delivery(k, "ana")
	b.same("due", []any{is.State, is.Class, is.DueAt, is.Known}, []any{store.Pending, store.LiveWithdrawal, at(1), known(false)})
}

func readAfterNewer(b *bench) {
	k := b.awaiting()
	b.accept(acme, event("e2", at(-8), no("p")))
	b.clock.set(at(1))
	b.same("while it is due", b.readbacks(k), 0)
	d, l := b.delivery(k, "ana"), b.lease("node")
	b.same("to be read still", []any{d.Readback, d.ReadbackAt}, []any{1, at(1)})
	b.must(b.Settle(b.Context(), l, []store.Settled{{DeliveryKey: d.DeliveryKey, Version: d.Version}}))
	b.same("afterwards", b.readbacks(k), 1)
}

package storetest

import (
	"fmt"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var queues = group{
	"how much is due, and since when":         queueLength,
	"what is due, page by page":               duePages,
	"events that share a call are counted":    countsOfCalls,
	"what the holder of a licence says of it": reportedPlan,
}

func queueLength(b *bench) {
	k := b.integrate(acme, "i")
	for i := range 3 {
		b.accept(acme, as(event(fmt.Sprint(i), at(-9+i), no("p")), fmt.Sprint("person", i), ""))
		b.clock.pass(time.Minute)
	}
	q, err := b.Queue(b.Context(), k, store.TargetActito, store.LiveWithdrawal)
	b.must(err)
	b.same("withdrawals", q, store.Queue{Due: 3, Head: noon})
	q, err = b.Queue(b.Context(), k, store.TargetActito, store.Ordinary)
	b.must(err)
	b.same("the rest", q, store.Queue{})
}

func duePages(b *bench) {
	k := b.integrate(acme, "i")
	for i := range 5 {
		b.accept(acme, as(event(fmt.Sprint(i), at(-9+i/2), yes("p")), fmt.Sprint("person", i), "")) // two at the same time
	}
	var cursor store.DueCursor
	seen := map[store.PersonKey]bool{}
	var times []consent.Time
	for range 3 {
		page, err := b.DuePage(b.Context(), k, store.TargetActito, store.Ordinary, cursor, 2)
		b.must(err)
		for _, d := range page {
			seen[d.Person] = true
			times = append(times, d.ConsentAt)
			cursor = store.After(d)
		}
	}
	b.same("all of them once", []any{len(seen), len(times)}, []any{5, 5})
	b.same("the oldest consent first", times, []consent.Time{at(-9), at(-9), at(-8), at(-8), at(-7)})
	page, err := b.DuePage(b.Context(), k, store.TargetActito, store.Ordinary, cursor, 2)
	b.must(err)
	b.same("after the last", len(page), 0)
}

func countsOfCalls(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.accept(acme, event("e1", at(-9), yes("p")), event("e2", at(-8), no("p")), event("e3", at(-7), yes("p")))
	d := b.delivery(k, "ana")
	b.must(b.Finish(b.Context(), l, answered(d, b.begin(l, d), b.now())))
	b.accept(acme, event("e4", at(-6), yes("p")), event("e5", at(-5), yes("p")))
	d = b.delivery(k, "ana")
	settled := []store.Settled{{DeliveryKey: d.DeliveryKey, Version: d.Version}}
	b.must(b.Settle(b.Context(), l, settled))
	b.must(b.Settle(b.Context(), l, settled)) // of one that is settled nothing is counted
	counts, err := b.Counts(b.Context(), k)
	b.must(err)
	b.same("counts", counts, map[string]int64{store.CountEvents: 5, store.CountCalls: 1, store.CountCoalesced: 3, store.CountUnchanged: 1})
}

func reportedPlan(b *bench) {
	b.integrate(acme, "i")
	got, err := b.Plan(b.Context(), licence)
	b.must(err)
	b.same("before anybody held it", got, []byte(nil))
	b.must(b.ReportPlan(b.Context(), b.lease("node"), []byte(`{"a":1}`)))
	got, err = b.Plan(b.Context(), licence)
	b.must(err)
	b.same("the plan", string(got), `{"a":1}`)
	got, err = b.Plan(b.Context(), "another")
	b.must(err)
	b.same("another's", got, []byte(nil))
}

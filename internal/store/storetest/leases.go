package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var leases = group{
	"R15 a lease is taken, renewed and not stolen":      leaseLife,
	"R15 an expired one is taken under a new epoch":     leaseExpires,
	"R15 one that its owner let expire is taken anew":   leaseReturns,
	"R15 a released one is taken at once":               leaseReleased,
	"R15 a block survives a change of owner":            leaseBlocked,
	"R15 one lease for all integrations of a licence":   leaseShared,
	"R16 what was in flight is due again and read back": inFlightRecovered,
	"R15 of many nodes one gets the lease":              leaseContended,
	"there is no lease without an integration":          leaseNeedsIntegration,
	"R15 licences are spread over the nodes":            leasesSpread,
	"R15 one lease is given back":                       leaseYielded,
	"R15 whoever died or left counts no longer":         leasesOfTheDead,
	"who holds which licence, since when":               leaseHoldings,
	"there is a vacancy until somebody takes it":        leaseVacant,
}

func (b *bench) acquire(node string) []store.Lease {
	b.Helper()
	held, err := b.Acquire(b.Context(), node)
	b.must(err)
	return held
}

func leaseLife(b *bench) {
	b.integrate(acme, "i")
	first := b.lease("a")
	b.same("taken", first, store.Lease{Licence: licence, Owner: "a", Epoch: 1, ExpiresAt: noon.Add(store.LeaseLife), HeldSince: noon, Taken: true})
	for i := range 5 {
		b.clock.pass(store.LeaseLife - 1)
		b.same("not stolen", b.acquire("b"), []store.Lease(nil))
		l := b.lease("a")
		b.same(fmt.Sprint("renewal ", i), []any{l.Epoch, l.Taken, l.ExpiresAt, l.HeldSince}, []any{first.Epoch, false, b.now().Add(store.LeaseLife), noon})
	}
}

func leaseExpires(b *bench) {
	b.integrate(acme, "i")
	first := b.lease("a")
	b.clock.pass(3 * time.Second)
	b.lease("a")
	renewed := b.now()
	b.clock.pass(store.LeaseLife)
	l := b.lease("b")
	b.same("taken", l, store.Lease{Licence: licence, Owner: "b", Epoch: first.Epoch + 1, ExpiresAt: b.now().Add(store.LeaseLife), IdleSince: renewed, HeldSince: b.now(), Taken: true})
	b.same("the old owner", b.acquire("a"), []store.Lease(nil))
}

func leaseReturns(b *bench) {
	b.integrate(acme, "i")
	first := b.lease("a")
	b.clock.pass(store.LeaseLife)
	l := b.lease("a")
	b.same("anew", []any{l.Epoch, l.Taken}, []any{first.Epoch + 1, true})
}

func leaseReleased(b *bench) {
	b.integrate(acme, "i")
	first := b.lease("a")
	b.must(b.Release(b.Context(), "b")) // holds nothing
	b.same("kept", b.lease("a").Epoch, first.Epoch)
	b.clock.pass(2 * time.Second)
	b.must(b.Release(b.Context(), "a"))
	b.clock.pass(time.Second)
	l := b.lease("b")
	b.same("taken", []any{l.Owner, l.Epoch, l.Taken, l.IdleSince}, []any{"b", first.Epoch + 1, true, b.now().Add(-time.Second)})
	b.must(b.Release(b.Context(), "a")) // too late
	b.same("kept", b.acquire("a"), []store.Lease(nil))
}

func leaseBlocked(b *bench) {
	b.integrate(acme, "i")
	l := b.lease("a")
	b.must(b.Block(b.Context(), l, at(5)))
	b.must(b.Block(b.Context(), l, at(3))) // no shorter
	b.same("renewed", b.lease("a").BlockedUntil, at(5))
	b.must(b.Release(b.Context(), "a"))
	b.same("released", b.lease("b").BlockedUntil, at(5))
	b.clock.pass(store.LeaseLife)
	b.same("expired", b.lease("c").BlockedUntil, at(5))
}

func leaseShared(b *bench) {
	b.integrate(acme, "i")
	b.integrate(globex, "j")
	other := b.integration(globex, "k")
	other.Licence = "another"
	b.must(b.CreateIntegration(b.Context(), other))
	var licences []string
	for _, l := range b.acquire("a") {
		licences = append(licences, l.Licence)
	}
	slices.Sort(licences)
	b.same("licences", licences, []string{"another", licence})
	found, err := b.IntegrationsOfLicence(b.Context(), licence)
	b.must(err)
	var ids []string
	for _, i := range found {
		ids = append(ids, i.Organization+" "+i.ID)
	}
	b.same("integrations", ids, []string{"acme i", "globex j"})
}

func inFlightRecovered(b *bench) {
	k := b.integrate(acme, "i")
	elsewhere := b.integration(acme, "j")
	elsewhere.Licence = "another"
	b.must(b.CreateIntegration(b.Context(), elsewhere))
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("e2", at(-9), yes("p")), "bob", ""))
	held := b.acquire("a")
	mine := held[slices.IndexFunc(held, func(l store.Lease) bool { return l.Licence == licence })]
	d := b.delivery(k, "ana")
	b.begin(mine, d)
	other := held[slices.IndexFunc(held, func(l store.Lease) bool { return l.Licence == "another" })]
	far := b.delivery(store.IntegrationKey{Organization: acme, ID: "j"}, "ana")
	b.begin(other, far)

	b.clock.pass(time.Second)
	b.acquire("a")
	b.same("not by a renewal", b.delivery(k, "ana").State, store.InFlight)
	b.must(b.DeleteIntegration(b.Context(), store.IntegrationKey{Organization: acme, ID: "j"}))
	b.clock.pass(store.LeaseLife)
	b.lease("b")
	is := b.delivery(k, "ana")
	b.same("ana", []any{is.State, is.Class, is.Version, is.DueAt, is.Readback, is.Known},
		[]any{store.Pending, store.LiveWithdrawal, d.Version + 1, b.now(), 2, doubt(true)})
	b.same("bob", b.delivery(k, "bob").Readback, 0)
	b.same("due", b.next(k, store.LiveWithdrawal, 10), []consent.Time{at(-9)})
}

func leaseContended(b *bench) {
	b.integrate(acme, "i")
	for round := range 3 {
		var mu sync.Mutex
		var owners []string
		var wait sync.WaitGroup
		for n := range 16 {
			wait.Go(func() {
				node := fmt.Sprintf("node %d of round %d", n, round)
				held, err := b.Acquire(b.Context(), node)
				if err != nil {
					b.Error(err)
				}
				if len(held) > 0 {
					mu.Lock()
					defer mu.Unlock()
					owners = append(owners, node)
				}
			})
		}
		wait.Wait()
		b.same("owners", len(owners), 1)
		b.clock.pass(store.LeaseLife)
	}
}

func leaseNeedsIntegration(b *bench) {
	b.same("none", b.acquire("a"), []store.Lease(nil))
	k := b.integrate(acme, "i")
	b.lease("a")
	b.must(b.DeleteIntegration(b.Context(), k))
	b.same("none left", b.acquire("a"), []store.Lease(nil))
}

// licences creates integrations that spend the budgets of n licences.
func (b *bench) licences(n int) {
	b.Helper()
	for i := range n {
		in := b.integration(acme, fmt.Sprint("i", i))
		in.Licence = fmt.Sprint("licence ", i)
		b.must(b.CreateIntegration(b.Context(), in))
	}
}

// holds lists what a node holds now, excess marked by a minus.
func (b *bench) holds(node string) []string {
	b.Helper()
	var all []string
	for _, l := range b.acquire(node) {
		name := l.Licence
		if l.Excess {
			name = "-" + name
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func leasesSpread(b *bench) {
	b.licences(5)
	b.same("one node holds all", len(b.holds("a")), 5)
	b.same("the second finds none", b.holds("b"), []string(nil))
	b.same("the first is asked for its excess", b.holds("a"), []string{"-licence 3", "-licence 4", "licence 0", "licence 1", "licence 2"})
	for _, l := range b.acquire("a") {
		if l.Excess {
			b.must(b.Yield(b.Context(), l))
		}
	}
	b.same("the first takes no more than its share", b.holds("a"), []string{"licence 0", "licence 1", "licence 2"})
	b.same("the second takes its share", b.holds("b"), []string{"licence 3", "licence 4"})
	b.same("the third finds none", b.holds("c"), []string(nil))
	b.same("but is given one", b.holds("a"), []string{"-licence 2", "licence 0", "licence 1"})
	b.same("by the first alone", b.holds("b"), []string{"licence 3", "licence 4"})
}

func leaseYielded(b *bench) {
	b.integrate(acme, "i")
	l := b.lease("a")
	b.must(b.Yield(b.Context(), l))
	b.clock.pass(time.Second)
	taken := b.lease("b")
	b.same("taken at once", []any{taken.Epoch, taken.Taken, taken.IdleSince}, []any{l.Epoch + 1, true, noon})
	b.must(b.Yield(b.Context(), l)) // too late
	b.same("kept", b.lease("b").Epoch, taken.Epoch)
}

func leasesOfTheDead(b *bench) {
	b.licences(4)
	b.acquire("a")
	b.acquire("b")
	for _, l := range b.acquire("a") {
		if l.Excess {
			b.must(b.Yield(b.Context(), l))
		}
	}
	b.same("half of them", len(b.holds("b")), 2)
	b.must(b.Release(b.Context(), "a"))
	b.same("all, when the other has left", len(b.holds("b")), 4)
	b.acquire("a")
	b.clock.pass(store.LeaseLife)
	b.same("all, when the other is dead", len(b.holds("c")), 4)
}

func leaseVacant(b *bench) {
	vacant := func(what string, want bool) {
		b.Helper()
		is, err := b.Vacant(b.Context())
		b.must(err)
		b.same(what, is, want)
	}
	vacant("without an integration", false)
	k := b.integrate(acme, "i")
	vacant("before it is taken", true)
	b.lease("a")
	vacant("while it is held", false)
	b.clock.pass(store.LeaseLife)
	vacant("when it has expired", true)
	b.lease("b")
	b.must(b.Release(b.Context(), "b"))
	vacant("when it was given back", true)
	b.must(b.DeleteIntegration(b.Context(), k))
	vacant("when the integration is gone", false)
}

func leaseHoldings(b *bench) {
	list := func(after string, limit int) []store.Holding {
		b.Helper()
		found, err := b.Holdings(b.Context(), after, limit)
		b.must(err)
		return found
	}
	b.same("without an integration", list("", 10), []store.Holding(nil))
	b.integrate(acme, "i")
	b.integrate(globex, "j")
	other := b.integration(acme, "k")
	other.Licence = "another"
	b.must(b.CreateIntegration(b.Context(), other))
	nobody := []store.Holding{{Licence: "another", Integrations: 1}, {Licence: licence, Integrations: 2}}
	b.same("before anybody does", list("", 10), nobody)
	b.acquire("a")
	b.clock.pass(2 * time.Second)
	b.acquire("a")
	until := b.now().Add(store.LeaseLife)
	b.same("since the first time, not the last", list("", 10), []store.Holding{
		{Licence: "another", Node: "a", Since: noon, ExpiresAt: until, Integrations: 1},
		{Licence: licence, Node: "a", Since: noon, ExpiresAt: until, Integrations: 2},
	})
	b.same("a page", list("", 1), list("", 10)[:1])
	b.same("the page after it", list("another", 1), list("", 10)[1:])
	b.clock.pass(store.LeaseLife)
	b.same("who let it expire holds nothing", list("", 10), nobody)
	b.acquire("b")
	b.same("since it was taken anew", list("another", 10)[0].Since, b.now())
	b.must(b.Release(b.Context(), "b"))
	b.same("when it was given back", list("", 10), nobody)
	b.must(b.DeleteIntegration(b.Context(), store.IntegrationKey{Organization: acme, ID: "k"}))
	b.same("that nobody uses any more", list("", 10), nobody[1:])
}

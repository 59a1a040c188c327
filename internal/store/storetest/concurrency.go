package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var concurrency = group{
	"many accept for the same people":       manyAccept,
	"accepting and delivering side by side": acceptAndDeliver,
	"the same message of many counts once":  sameMessageOfMany,
	"R11 only one is alone":                 oneAlone,
}

// Whoever is alone uses the engine as ever, and more wait for it than an engine
// may have connections.
func oneAlone(b *bench) {
	var inside atomic.Int32
	var wait sync.WaitGroup
	for n := range crowd {
		i := b.integration(acme, fmt.Sprint("i", n))
		wait.Go(func() {
			err := b.Alone(b.Context(), func(ctx context.Context) error {
				if inside.Add(1) > 1 {
					b.Error("somebody else is there")
				}
				defer inside.Add(-1)
				return b.CreateIntegration(ctx, i)
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
	wait.Wait()
	all, err := b.AllIntegrations(b.Context(), store.IntegrationKey{}, 2*crowd)
	b.must(err)
	b.same("integrations", len(all), crowd)
	b.kind(b.Alone(b.Context(), func(context.Context) error { return consent.Errorf(consent.Conflict, "test", "no") }), consent.Conflict)
}

// crowd is how many goroutines a test of concurrency runs.
const crowd = 32

func manyAccept(b *bench) {
	k := b.integrate(acme, "i")
	const rounds, size, people = 6, 5, 10
	want := newReference()
	var all [crowd][rounds][]*consent.Message
	total := 0
	for g := range crowd {
		for r := range rounds {
			for n := range size {
				id := fmt.Sprintf("e%d.%d.%d", g, r, n)
				total++
				said := yes(fmt.Sprint("p", n))
				said.Enabled = (g+r+n)%2 == 0
				m := as(event(id, at(-((g*7+r*13+n*29)%97)), said), fmt.Sprint("person ", (g+r+n)%people), fmt.Sprint("d", (g+n)%people))
				if n == size-1 {
					m.OrganizationUserID = ""
				}
				all[g][r] = append(all[g][r], m)
				want.accept(m, noon)
			}
		}
	}
	var wait sync.WaitGroup
	for g := range crowd {
		wait.Go(func() {
			for _, messages := range all[g] {
				batch := make([]store.Inbound, len(messages))
				for i, m := range messages {
					batch[i] = inbound(acme, m)
				}
				if _, err := b.Accept(b.Context(), batch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	events := 0
	for n := range people {
		person, user := fmt.Sprint("person ", n), fmt.Sprint("d", n)
		if diff := cmp.Diff(want.view(person).Choices, b.view(acme, person).Choices); diff != "" {
			b.Errorf("%s is another than the domain alone says (-domain +engine):\n%s", person, diff)
		}
		events += len(b.trace(acme, b.person(acme, person), b.user(acme, user)).Events)
		b.same("due", b.delivery(k, person).State, store.Pending)
	}
	b.same("events", events, total)
}

func acceptAndDeliver(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	var accepting, delivering sync.WaitGroup
	done := make(chan struct{})
	for g := range 4 {
		accepting.Go(func() {
			for n := range 15 {
				said := yes("p")
				said.Enabled = n%2 == 0
				m := as(event(fmt.Sprintf("e%d.%d", g, n), at(n-100), said), fmt.Sprint("person ", g), "")
				if _, err := b.Accept(b.Context(), []store.Inbound{inbound(acme, m)}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range 2 {
		delivering.Go(func() {
			for {
				more, err := b.deliverOnce(k, l)
				if err != nil {
					b.Error(err)
					return
				}
				if more {
					continue
				}
				select {
				case <-done:
					if more, err = b.deliverOnce(k, l); !more || err != nil {
						return
					}
				default:
				}
			}
		})
	}
	accepting.Wait()
	close(done)
	delivering.Wait()
	for g := range 4 {
		person := fmt.Sprint("person ", g)
		d := b.delivery(k, person)
		b.same("the end of "+person, []any{d.State, d.Known}, []any{store.Synced, known(true)})
		b.same("calls", int(d.Calls), len(b.trace(acme, d.Person).Calls))
	}
}

// deliverOnce makes a call for the first that is due in any class and tells
// whether there was one. What is sent is what the person's view says then.
func (b *bench) deliverOnce(k store.IntegrationKey, l store.Lease) (more bool, err error) {
	for class := range store.Class(3) {
		found, err := b.NextDue(b.Context(), k, store.TargetActito, class, 1)
		if err != nil || len(found) == 0 {
			if err != nil {
				return false, err
			}
			continue
		}
		d := found[0]
		p, err := b.Person(b.Context(), acme, d.Person)
		if err != nil {
			return false, err
		}
		on := p.View().Choices[0].Enabled
		call := store.Call{Organization: acme, Person: d.Person, ID: store.NewID(), Integration: k.ID, Operation: "update"}
		ok, err := b.Begin(b.Context(), l, store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Doubt: doubt(on), Call: call})
		if err != nil || !ok {
			return true, err
		}
		f := answered(d, call, noon)
		f.Known = known(on)
		return true, b.Finish(b.Context(), l, f)
	}
	return false, nil
}

func sameMessageOfMany(b *bench) {
	m := event("e1", at(-9), no("p"))
	var mu sync.Mutex
	got := map[consent.Outcome]int{}
	var wait sync.WaitGroup
	for range crowd {
		wait.Go(func() {
			receipts, err := b.Accept(b.Context(), []store.Inbound{inbound(acme, m)})
			if err != nil {
				b.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[receipts[0].Outcome]++
		})
	}
	wait.Wait()
	b.same("outcomes", got, map[consent.Outcome]int{applied: 1, duplicate: crowd - 1})
	b.same("events", len(b.trace(acme, b.person(acme, "ana")).Events), 1)
}

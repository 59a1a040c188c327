package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// deadlocks counts those that the server had to resolve.
func deadlocks(t *testing.T, e *Engine) int64 {
	t.Helper()
	return number(t, e, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
}

// R9: whatever the batches hold, and in whatever order, nobody waits in a ring.
// Two nodes, 64 clients, ten people and their Didomi users, deletions, events
// without an id, delivery at the same time.
func TestR9NoDeadlock(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address)}
	k := integrate(t, nodes[0], "i")
	before := deadlocks(t, nodes[0])
	const clients, people = 64, 10
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	held, err := nodes[0].Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var delivering, accepting sync.WaitGroup
	delivering.Go(func() { deliver(t, nodes[1], k, held[0], done) })
	for c := range clients {
		accepting.Go(func() {
			e := nodes[c%len(nodes)]
			for r := range rounds {
				var batch []store.Inbound
				for n := range 12 {
					in := says(name("e", c, ".", r, ".", n), name("person ", (c*7+r*3+n*5)%people), (c+r+n)%2 == 0, consent.Time(1+c+n))
					in.Message.DidomiUserID = name("user ", (c*5+r+n*3)%people)
					switch n {
					case 7:
						in.Message.OrganizationUserID = "" // of a Didomi user
					case 8, 9:
						in.Message.EntityID = "" // seen before, by others
						in.Canonical = []byte(name("nameless ", n, r))
					case 10:
						in = deletes(name("e", (c+1)%clients, ".", r, ".", 3))
					}
					batch = append(batch, in)
				}
				if c%2 == 0 {
					slices.Reverse(batch)
				}
				_, err := e.Accept(t.Context(), batch)
				for tries := 1; consent.KindOf(err) == consent.Transient && tries < 5; tries++ { // a slow machine, for which a lock takes too long
					_, err = e.Accept(t.Context(), batch)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	accepting.Wait()
	close(done)
	delivering.Wait()
	if n := deadlocks(t, nodes[0]) - before; n > 0 {
		t.Errorf("the server had to resolve %d deadlocks", n)
	}
	if n := number(t, nodes[0], `SELECT count(*) FROM people WHERE length(state) = 0`); n > 0 {
		t.Errorf("%d rows of people were left that say nothing", n)
	}
}

// deliver settles what is due until done.
func deliver(t *testing.T, e *Engine, k store.IntegrationKey, l store.Lease, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		for class := range store.Class(3) {
			due, err := e.NextDue(t.Context(), k, store.TargetActito, class, 20)
			if err != nil {
				t.Error(err)
				return
			}
			var settled []store.Settled
			for _, d := range slices.Backward(due) {
				settled = append(settled, store.Settled{DeliveryKey: d.DeliveryKey, Version: d.Version, LeftOut: []consent.LeftOut{{Name: "a", Reason: "r", Attribute: true}}})
			}
			if err := e.Settle(t.Context(), l, settled); err != nil && consent.KindOf(err) != consent.Conflict {
				t.Error(err)
			}
		}
	}
}

// R6: an event and its deletion that are accepted at the same moment, on two
// nodes, do not overlook each other.
func TestR6EventAndDeletionAtOnce(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address)}
	for n := range 60 {
		id, who := name("e", n), name("person ", n)
		var both sync.WaitGroup
		for i, in := range []store.Inbound{says(id, who, true, 1), deletes(id)} {
			both.Go(func() {
				if _, err := nodes[i].Accept(t.Context(), []store.Inbound{in}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if on(t, nodes[0], who) {
			t.Fatalf("the grant of %s is in force, though its event was deleted", who)
		}
	}
}

// R12: whoever is accepted while an integration is made is either seen by its
// re-projection or made due for it.
func TestR12IntegrationMadeWhileAccepting(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address)}
	const clients = 8
	var accepted [clients]int
	stop := make(chan struct{})
	var accepting sync.WaitGroup
	for c := range clients {
		accepting.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					accepted[c] = n
					return
				default:
				}
				if _, err := nodes[0].Accept(t.Context(), []store.Inbound{says(name(c, ".", n), name("person ", c, ".", n), true, 1)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const left = `SELECT count(*) FROM people p WHERE NOT EXISTS (
		SELECT 1 FROM deliveries d WHERE d.organization = p.organization AND d.integration = $1 AND d.target = 'actito' AND d.person = p.person)`
	var seen [10]int64
	for n := range seen {
		// What a re-projection that is as fast as can be would see.
		seen[n] = number(t, nodes[1], left, integrate(t, nodes[1], name("i", n)).ID)
	}
	close(stop)
	accepting.Wait()
	for n := range seen {
		if all := number(t, nodes[1], left, name("i", n)); all != seen[n] {
			t.Errorf("%d people are not due, a re-projection would have seen %d of them", all, seen[n])
		}
	}
	var total int
	for _, n := range accepted {
		total += n
	}
	if total == 0 {
		t.Error("nobody was accepted")
	}
}

// Whoever makes an integration may have to wait for a lease to be renewed.
// Accepting for the organization goes on meanwhile.
func TestAcceptingDoesNotWaitForALease(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	integrate(t, e, "i")
	made := make(chan error, 1)
	if err := e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `UPDATE licences SET idle_since = 1`); err != nil {
			return err
		}
		go func() {
			made <- e.CreateIntegration(t.Context(), &store.Integration{Organization: "acme", ID: "second", Status: store.Active, Revision: 1, Licence: "licence"})
		}()
		for waiting := int64(0); waiting == 0; {
			waiting = number(t, e, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := e.Accept(ctx, []store.Inbound{says("e", "ana", true, 1)})
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// Several nodes put webhooks into the inbox and merge it at the same time:
// each is merged once, whatever the order in which the transactions commit.
func TestManyMergeOneInbox(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address), ready(t, address)}
	const writers, rounds, size = 9, 10, 7
	k := store.InboxKey{Organization: "acme", Lane: store.OrdinaryLane}
	var writing, merging sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for r := range rounds {
				var batch []store.Inbound
				for n := range size {
					id := name(w, ".", r, ".", n)
					in := says(id, "person "+id, true, 1)
					in.Payload = []byte(id)
					batch = append(batch, in)
				}
				if err := nodes[w%len(nodes)].Enqueue(t.Context(), batch); err != nil {
					t.Error(err)
				}
			}
		})
	}
	decode := func(q store.Queued) (store.Inbound, error) {
		if strings.HasSuffix(string(q.Payload), ".0.0") {
			return store.Inbound{}, errors.New("it cannot be read")
		}
		return says(string(q.Payload), "person "+string(q.Payload), true, 1), nil
	}
	stop := make(chan struct{})
	var merged, aside [6]int
	for g := range merged {
		merging.Go(func() {
			for ended := false; ; {
				m, err := nodes[g%len(nodes)].Merge(t.Context(), k, 5, decode)
				if err != nil {
					t.Error(err)
					return
				}
				merged[g] += m.Webhooks
				aside[g] += m.Aside
				if m.Webhooks > 0 {
					continue
				}
				if ended {
					return
				}
				select {
				case <-stop:
					ended = true
				default:
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	merging.Wait()
	var all, apart int
	for g := range merged {
		all, apart = all+merged[g], apart+aside[g]
	}
	const total = writers * rounds * size
	if events := number(t, nodes[0], `SELECT count(*) FROM events`); all != total || apart != writers || events != total-writers {
		t.Errorf("%d of %d were merged, %d of %d of them set aside; there are %d events", all, total, apart, writers, events)
	}
	if n := number(t, nodes[0], `SELECT count(*) FROM inbox WHERE lane < 2`); n > 0 {
		t.Errorf("%d are still in the inbox", n)
	}
	ok, err := store.CaughtUp(t.Context(), nodes[0], "acme", store.Patience)
	if err != nil || !ok {
		t.Errorf("the inbox has not been caught up with: %v", err)
	}
}

// R15: a call that begins while the lease changes hands is either refused or
// found by the new owner.
func TestR15BeginWhileTheLeaseChangesHands(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address)}
	k := integrate(t, nodes[0], "i")
	for n := range 30 {
		who := name("person ", n)
		if _, err := nodes[0].Accept(t.Context(), []store.Inbound{says(name("e", n), who, true, 1)}); err != nil {
			t.Fatal(err)
		}
		held, err := nodes[0].Acquire(t.Context(), "a")
		if err != nil || len(held) != 1 {
			t.Fatalf("%v %v", held, err)
		}
		d, err := nodes[0].Delivery(t.Context(), store.DeliveryKey{Organization: "acme", Integration: k.ID, Target: store.TargetActito, Person: person(who)})
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		var ok bool
		both.Go(func() {
			var err error
			if ok, err = nodes[0].Begin(t.Context(), held[0], store.Start{DeliveryKey: d.DeliveryKey, Version: d.Version, Call: store.Call{Organization: "acme", Person: d.Person, ID: store.NewID()}}); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := nodes[1].Release(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			if taken, err := nodes[1].Acquire(t.Context(), "b"); err != nil || len(taken) != 1 {
				t.Errorf("%v %v", taken, err)
			}
		})
		both.Wait()
		is, err := nodes[0].Delivery(t.Context(), d.DeliveryKey)
		if err != nil {
			t.Fatal(err)
		}
		if is.State != store.Pending || ok && is.Readback != 2 {
			t.Fatalf("begun: %v; it is %+v", ok, is)
		}
		if err := nodes[1].Release(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
}

// R11: of two nodes one is alone, and what it wrote is there for the next.
func TestR11OneNodeIsAlone(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	nodes := []*Engine{ready(t, address), ready(t, address)}
	var all sync.WaitGroup
	var made atomic.Int32
	for n := range 2 * mostConnections {
		all.Go(func() {
			e := nodes[n%len(nodes)]
			err := e.Alone(t.Context(), func(ctx context.Context) error {
				there, err := e.Integrations(ctx, "acme", "", 1)
				if err != nil || len(there) > 0 {
					return err
				}
				made.Add(1)
				return e.CreateIntegration(ctx, &store.Integration{Organization: "acme", ID: name("i", n), Status: store.Active, Revision: 1, Licence: "licence"})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("%d found nothing and made one", made.Load())
	}
}

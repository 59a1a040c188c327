package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var reprojections = group{
	"R12 a new integration starts one":                   reprojectionStarts,
	"it goes on where it was":                            reprojectionAdvances,
	"the cursor leads through all people":                reprojectionCursor,
	"R12 a change restarts it, whoever is working on it": reprojectionRestarts,
	"whoever has fallen behind changes nothing":          reprojectionBehind,
	"R23 one that asks is not worked on":                 reprojectionAsks,
	"one that is done is removed":                        reprojectionDone,
	"it makes due for its own integration alone":         reprojectionDue,
	"the oldest comes first":                             reprojectionOrder,
}

func (b *bench) running() []store.Reprojection {
	b.Helper()
	found, err := b.Reprojections(b.Context())
	b.must(err)
	return found
}

// started creates an integration and gives its re-projection.
func (b *bench) started(id string) store.Reprojection {
	b.Helper()
	b.must(b.CreateIntegration(b.Context(), b.integration(acme, id)))
	r, ok, err := b.Reprojection(b.Context(), store.IntegrationKey{Organization: acme, ID: id})
	if err != nil || !ok {
		b.Fatalf("no re-projection: %v", err)
	}
	return r
}

func reprojectionStarts(b *bench) {
	b.same("none", b.running(), []store.Reprojection(nil))
	_, ok, err := b.Reprojection(b.Context(), store.IntegrationKey{Organization: acme, ID: "i"})
	b.must(err)
	b.same("none of it", ok, false)
	r := b.started("i")
	want := store.Reprojection{IntegrationKey: store.IntegrationKey{Organization: acme, ID: "i"}, State: store.ReprojectionCounting, StartedAt: noon}
	b.same("started", r, want)
	b.same("running", b.running(), []store.Reprojection{want})
}

func reprojectionAdvances(b *bench) {
	r := b.started("i")
	r.Cursor, r.People, r.Grants, r.Withdrawals = []byte{1, 0, 0xff}, 7, 5, 3
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.same("counting", b.running(), []store.Reprojection{r})
	r.State, r.Cursor = store.ReprojectionGranting, []byte{}
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.same("granting", b.running(), []store.Reprojection{r})
	r.Cursor = nil
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.same("without a cursor", b.running(), []store.Reprojection{r})
}

func reprojectionCursor(b *bench) {
	for _, person := range []string{"a", "b", "c"} {
		b.accept(acme, as(event(person, at(-9), yes("p")), person, ""))
	}
	b.started("i")
	seen := 0
	for range 4 {
		r := b.running()[0]
		page := b.page(r.Organization, r.Cursor, 1)
		seen += len(page)
		if len(page) > 0 {
			r.Cursor = page[0][:]
		}
		b.must(b.AdvanceReprojection(b.Context(), r, nil))
	}
	b.same("people", seen, 3)
}

func reprojectionRestarts(b *bench) {
	old := b.started("i")
	old.Cursor, old.People, old.Grants, old.Withdrawals = []byte{9}, 7, 5, 3
	b.must(b.AdvanceReprojection(b.Context(), old, nil))
	b.accept(acme, event("e1", at(-9), yes("p")))
	b.clock.pass(time.Second)
	i, err := b.Integration(b.Context(), old.IntegrationKey)
	b.must(err)
	i.Revision++
	i.UpdatedAt = b.now()
	b.must(b.UpdateIntegration(b.Context(), i))
	fresh := store.Reprojection{IntegrationKey: old.IntegrationKey, State: store.ReprojectionCounting, StartedAt: b.now()}
	b.same("from the start", b.running(), []store.Reprojection{fresh})

	version := b.delivery(old.IntegrationKey, "ana").Version
	due := []store.Due{{SubjectKey: store.SubjectKey{Organization: acme, Person: b.person(acme, "ana")}, Class: store.Ordinary}}
	b.must(b.AdvanceReprojection(b.Context(), old, due))
	old.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), old, due))
	b.same("what came too late is ignored", b.running(), []store.Reprojection{fresh})
	b.same("all of it", b.delivery(old.IntegrationKey, "ana").Version, version)
	fresh.People = 1
	b.must(b.AdvanceReprojection(b.Context(), fresh, due))
	b.same("the new one goes on", b.running(), []store.Reprojection{fresh})
	b.same("and makes due", b.delivery(old.IntegrationKey, "ana").Version, version+1)
}

func reprojectionAsks(b *bench) {
	r := b.started("i")
	r.State, r.People, r.Grants = store.ReprojectionAsking, 500, 400
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.same("running", b.running(), []store.Reprojection(nil))
	got, ok, err := b.Reprojection(b.Context(), r.IntegrationKey)
	b.must(err)
	b.same("asking", []any{got, ok}, []any{r, true})
	got.State, got.Cursor = store.ReprojectionGranting, []byte{}
	b.must(b.AdvanceReprojection(b.Context(), got, nil))
	b.same("somebody said yes", len(b.running()), 1)
}

func reprojectionDone(b *bench) {
	r := b.started("i")
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, nil, changeOf(acme, "i", "approved")))
	b.same("running", b.running(), []store.Reprojection(nil))
	b.same("recorded", len(b.recorded(acme, "i")), 1)
	_, ok, err := b.Reprojection(b.Context(), r.IntegrationKey)
	b.must(err)
	b.same("there", ok, false)
	r.State = store.ReprojectionCounting
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.same("it does not come back", b.running(), []store.Reprojection(nil))
}

func reprojectionDue(b *bench) {
	b.accept(acme, event("e1", at(-9), yes("p")))
	r := b.started("i")
	b.started("j")
	b.must(b.AdvanceReprojection(b.Context(), r, []store.Due{{
		SubjectKey: store.SubjectKey{Organization: acme, Person: b.person(acme, "ana")},
		Class:      store.BackfilledRefusal, ConsentAt: at(-2), At: at(-1), HoldGrants: true,
	}}))
	d := b.delivery(r.IntegrationKey, "ana")
	b.same("due", []any{d.State, d.Class, d.ConsentAt, d.DueAt, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, at(-2), at(-1), true})
	_, err := b.Delivery(b.Context(), b.deliveryKey(store.IntegrationKey{Organization: acme, ID: "j"}, "ana"))
	b.kind(err, consent.NotFound)
}

func reprojectionOrder(b *bench) {
	for n, id := range []string{"z", "y", "x"} {
		b.clock.set(at(n))
		b.started(id)
	}
	var ids []string
	for _, r := range b.running() {
		ids = append(ids, r.ID)
	}
	b.same("order", ids, []string{"z", "y", "x"})
}

func reprojectionBehind(b *bench) {
	b.accept(acme, event("e1", at(-9), yes("p")))
	r := b.started("i")
	k := r.IntegrationKey
	slow, slower := r, r
	slower.Cursor, slower.People = []byte{1}, 1
	slow.Cursor, slow.People = []byte{9}, 9
	b.must(b.AdvanceReprojection(b.Context(), slow, nil))
	due := []store.Due{{SubjectKey: store.SubjectKey{Organization: acme, Person: b.person(acme, "ana")}, Class: store.Ordinary, ConsentAt: noon, At: noon}}
	b.must(b.AdvanceReprojection(b.Context(), slower, due))
	b.same("another is further", b.running(), []store.Reprojection{slow})
	b.same("due", b.next(k, store.Ordinary, 1), []consent.Time(nil))
	granting := r
	granting.State = store.ReprojectionGranting
	b.must(b.AdvanceReprojection(b.Context(), granting, nil))
	b.must(b.AdvanceReprojection(b.Context(), slow, due))
	asking := r
	asking.State, asking.Cursor = store.ReprojectionAsking, []byte{9}
	b.must(b.AdvanceReprojection(b.Context(), asking, due))
	b.same("somebody has said yes", b.running(), []store.Reprojection{granting})
	b.same("due", b.next(k, store.Ordinary, 1), []consent.Time(nil))
}

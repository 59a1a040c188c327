package storetest

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var inbox = group{
	"what is merged later has the same effect":                    mergedLater,
	"R2 what is merged later is dated by its arrival":             mergedByArrival,
	"what may turn something off has a lane of its own":           lanes,
	"what was merged is gone, the rest stays in order":            mergedInParts,
	"R1 what was merged at once is a duplicate when merged again": duplicateFromInbox,
	"what cannot be read is set aside, the rest is merged":        unreadable,
	"what cannot be merged changes nothing and can be set aside":  unmergeable,
	"a fault of ours is an error like another":                    faultWhileMerging,
	"what was set aside comes back":                               asideComesBack,
	"organizations have inboxes of their own":                     inboxesApart,
	"what has no valid id is refused":                             refusedByInbox,
	"an empty inbox":                                              emptyInbox,
	"catching up waits for what was there":                        catchingUp,
}

// enqueue puts messages of an organization into its inbox in one batch.
func (b *bench) enqueue(organization string, messages ...*consent.Message) {
	b.Helper()
	batch := make([]store.Inbound, len(messages))
	for i, m := range messages {
		batch[i] = inbound(organization, m)
	}
	b.must(b.Enqueue(b.Context(), batch))
}

// decode reads what inbound wrote.
func decode(q store.Queued) (store.Inbound, error) {
	var m consent.Message
	text, ok := strings.CutPrefix(string(q.Payload), "payload ")
	if !ok {
		return store.Inbound{}, errors.New("no payload of these tests")
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return store.Inbound{}, err
	}
	return inbound(q.Organization, &m), nil
}

// merge merges a part of a lane.
func (b *bench) merge(organization string, lane store.Lane, limit int) store.Merged {
	b.Helper()
	m, err := b.Merge(b.Context(), store.InboxKey{Organization: organization, Lane: lane}, limit, decode)
	b.must(err)
	if (m.First > 0) != (m.Webhooks > 0) {
		b.Errorf("%d webhooks were merged, the first of them is %d", m.Webhooks, m.First)
	}
	m.First = 0
	return m
}

// setAside sets aside the first of a lane.
func (b *bench) setAside(k store.InboxKey) {
	b.Helper()
	backlogs, err := b.Backlogs(b.Context(), k.Organization)
	b.must(err)
	for _, x := range backlogs {
		if x.InboxKey == k {
			b.must(b.SetAside(b.Context(), k, x.First, "it is broken"))
		}
	}
}

// waiting counts by lane what the backlogs of an organization span.
func (b *bench) waiting(organization string) map[store.Lane]int64 {
	b.Helper()
	backlogs, err := b.Backlogs(b.Context(), organization)
	b.must(err)
	spans := make(map[store.Lane]int64)
	for _, x := range backlogs {
		spans[x.Lane] = x.Last - x.First + 1
	}
	return spans
}

func mergedLater(b *bench) {
	b.integrate(acme, "i")
	b.enqueue(acme, event("e1", at(-9), yes("p")), event("e2", at(-8), yes("q")))
	b.same("before the merge", b.says(acme, "ana"), []string(nil))
	m := b.merge(acme, store.OrdinaryLane, 10)
	b.same("the merge", m, store.Merged{Webhooks: 2, Due: true})
	b.same("after it", b.says(acme, "ana"), []string{"p", "q"})
	events := b.trace(acme, b.person(acme, "ana")).Events
	if len(events) != 2 || events[0].Outcome != applied || events[0].EntityID != "e1" {
		b.Errorf("the trace holds %+v", events)
	}
	_, body, err := b.Payload(b.Context(), acme, events[0].ID)
	b.must(err)
	if !strings.HasPrefix(string(body), "payload {") {
		b.Errorf("the payload is %q", body)
	}
}

func mergedByArrival(b *bench) {
	b.enqueue(acme, event("", 0, no("p"))) // a withdrawal without a time
	b.clock.pass(time.Minute)
	b.acme(event("e", at(1), yes("p"))) // a grant that arrived after it
	b.clock.pass(time.Minute)
	b.merge(acme, store.UrgentLane, 10)
	b.same("the newer grant stays", b.says(acme, "ana"), []string{"p"})
	for _, e := range b.trace(acme, b.person(acme, "ana")).Events {
		if e.EntityID == "" && e.ArrivedAt != noon {
			b.Errorf("it arrived at %v, want %v", e.ArrivedAt, noon)
		}
	}
}

func lanes(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")), event("e2", at(-8), no("q")), deletion("e9"),
		typed(event("u", at(-7)), consent.UserDeleted, 0))
	b.clock.pass(time.Minute)
	b.enqueue(acme, event("e3", at(-7), yes("r")))
	backlogs, err := b.Backlogs(b.Context(), acme)
	b.must(err)
	if len(backlogs) != 2 || backlogs[0].Lane != store.UrgentLane || backlogs[1].Lane != store.OrdinaryLane || backlogs[1].Oldest != noon {
		b.Fatalf("the backlogs are %+v", backlogs)
	}
	b.same("merged", b.merge(acme, store.UrgentLane, 10).Webhooks, 3)
	b.same("choices", b.says(acme, "ana"), []string{"-q"})
	b.same("merged", b.merge(acme, store.OrdinaryLane, 10).Webhooks, 2)
	b.same("choices", b.says(acme, "ana"), []string{"p", "-q", "r"})
}

func mergedInParts(b *bench) {
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		b.enqueue(acme, event(id, at(-9), yes(id)))
	}
	b.same("the first part", b.merge(acme, store.OrdinaryLane, 2).Webhooks, 2)
	b.same("choices", b.says(acme, "ana"), []string{"a", "b"})
	b.enqueue(acme, event("f", at(-9), yes("f")))
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.OrdinaryLane: 4})
	b.same("the rest", b.merge(acme, store.OrdinaryLane, 10).Webhooks, 4)
	b.same("choices", b.says(acme, "ana"), []string{"a", "b", "c", "d", "e", "f"})
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{})
}

func duplicateFromInbox(b *bench) {
	m := event("e1", at(-9), yes("p"))
	b.enqueue(acme, m, m)
	b.acme(m)
	b.same("merged", b.merge(acme, store.OrdinaryLane, 10), store.Merged{Webhooks: 2})
	b.same("events", len(b.trace(acme, b.person(acme, "ana")).Events), 1)
}

func unreadable(b *bench) {
	in := inbound(acme, event("e2", at(-9), yes("q")))
	in.Payload = []byte("what only another version can read")
	b.must(b.Enqueue(b.Context(), []store.Inbound{
		inbound(acme, event("e1", at(-9), yes("p"))), in, inbound(acme, event("e3", at(-9), yes("r"))),
	}))
	b.same("the merge", b.merge(acme, store.OrdinaryLane, 10), store.Merged{Webhooks: 3, Aside: 1})
	b.same("choices", b.says(acme, "ana"), []string{"p", "r"})
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.AsideLane: 1})
}

func unmergeable(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")), event("e2", at(-9), yes("q")))
	broken := func(q store.Queued) (store.Inbound, error) {
		in, err := decode(q)
		if in.Message.EntityID == "e1" {
			in.Message.EntityID = "\xff"
		}
		return in, err
	}
	k := store.InboxKey{Organization: acme, Lane: store.OrdinaryLane}
	m, err := b.Merge(b.Context(), k, 10, broken)
	b.kind(err, consent.Invalid)
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.OrdinaryLane: 2})
	b.same("choices", b.says(acme, "ana"), []string(nil))
	b.must(b.SetAside(b.Context(), store.InboxKey{Organization: globex, Lane: k.Lane}, m.First, "of another organization"))
	b.must(b.SetAside(b.Context(), store.InboxKey{Organization: acme, Lane: store.UrgentLane}, m.First, "of another lane"))
	b.must(b.SetAside(b.Context(), k, m.First, "it is broken"))
	b.must(b.SetAside(b.Context(), k, m.First, "it is gone already"))
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.OrdinaryLane: 1, store.AsideLane: 1})
	_, err = b.Merge(b.Context(), k, 10, broken)
	b.must(err)
	b.same("choices", b.says(acme, "ana"), []string{"q"})
}

func faultWhileMerging(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")))
	k := store.InboxKey{Organization: acme, Lane: store.OrdinaryLane}
	m, err := b.Merge(b.Context(), k, 10, func(store.Queued) (store.Inbound, error) { panic("a fault of ours") })
	b.kind(err, consent.Internal)
	b.must(b.SetAside(b.Context(), k, m.First, "it is broken"))
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.AsideLane: 1})
}

func asideComesBack(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")))
	b.enqueue(globex, event("e1", at(-9), yes("p")))
	b.setAside(store.InboxKey{Organization: acme, Lane: store.OrdinaryLane})
	b.must(b.RetryAside(b.Context()))
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{store.UrgentLane: 1})
	b.same("of the other", b.waiting(globex), map[store.Lane]int64{store.OrdinaryLane: 1})
	b.merge(acme, store.UrgentLane, 1)
	b.same("choices", b.says(acme, "ana"), []string{"p"})
}

func inboxesApart(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")))
	b.enqueue(globex, event("e1", at(-9), no("p")))
	all, err := b.Backlogs(b.Context(), "")
	b.must(err)
	if len(all) != 2 || all[0].InboxKey != (store.InboxKey{Organization: acme, Lane: store.OrdinaryLane}) ||
		all[1].InboxKey != (store.InboxKey{Organization: globex, Lane: store.UrgentLane}) {
		b.Fatalf("all backlogs are %+v", all)
	}
	b.same("of the wrong lane", b.merge(acme, store.UrgentLane, 10), store.Merged{})
	b.merge(acme, store.OrdinaryLane, 10)
	b.same("choices", b.says(acme, "ana"), []string{"p"})
	b.same("of the other", b.says(globex, "ana"), []string(nil))
	b.same("what waits", b.waiting(globex), map[store.Lane]int64{store.UrgentLane: 1})
}

func refusedByInbox(b *bench) {
	err := b.Enqueue(b.Context(), []store.Inbound{inbound(acme, event("e1", at(-9), yes("p"))), inbound(acme, event("\xff", at(-9), yes("p")))})
	b.kind(err, consent.Invalid)
	b.same("what waits", b.waiting(acme), map[store.Lane]int64{})
}

func emptyInbox(b *bench) {
	b.same("backlogs", b.waiting(""), map[store.Lane]int64{})
	b.same("merged", b.merge(acme, store.UrgentLane, 10), store.Merged{})
	b.must(b.SetAside(b.Context(), store.InboxKey{Organization: acme}, 1, "nothing"))
	b.must(b.RetryAside(b.Context()))
	b.must(b.Enqueue(b.Context(), nil))
}

func catchingUp(b *bench) {
	b.enqueue(acme, event("e1", at(-9), yes("p")))
	ok, err := store.CaughtUp(b.Context(), b, acme, time.Millisecond)
	b.must(err)
	b.same("while something waits", ok, false)
	ok, err = store.CaughtUp(b.Context(), b, globex, time.Millisecond)
	b.must(err)
	b.same("of another organization", ok, true)
	b.setAside(store.InboxKey{Organization: acme, Lane: store.OrdinaryLane})
	ok, err = store.CaughtUp(b.Context(), b, acme, time.Millisecond)
	b.must(err)
	b.same("when it was set aside", ok, true)

	b.enqueue(acme, event("e2", at(-9), yes("q")))
	done := make(chan bool)
	go func() {
		ok, err := store.CaughtUp(b.Context(), b, acme, time.Minute)
		done <- ok && err == nil
	}()
	b.enqueue(acme, event("e3", at(-9), yes("r"))) // perhaps later than the question
	b.merge(acme, store.OrdinaryLane, 1)
	b.merge(acme, store.OrdinaryLane, 1)
	b.same("once it is merged", <-done, true)
}

package storetest

import (
	"fmt"
	"log/slog"
	"time"

	"consentsync/internal/audit"
	"consentsync/internal/consent"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

var erasing = group{
	"nothing personal is left, and the chain verifies":      erased,
	"after an erasure only fresh consent grants":            erasedStays,
	"what is fetched or imported brings nobody back":        erasedRetold,
	"an erasure reaches messages, files and comparisons":    erasedAround,
	"nobody is erased while something is under way":         erasedLater,
	"Didomi's deletions erase where that is wanted":         erasedByDidomi,
	"what is kept long enough goes, and the chain verifies": retained,
	"what files and comparisons say of people goes, too":    retainedFiles,
	"settings of privacy come back":                         privacyKept,
}

// erase erases a person of acme.
func (b *bench) erase(person string, force bool) error {
	_, err := b.auditor().Erase(b.Context(), acme, person, person, force)
	return err
}

// eraseStored is erase past the service, which waits for what is staged.
func (b *bench) eraseStored(person string) {
	b.Helper()
	x := store.Erasure{SubjectKey: store.SubjectKey{Organization: acme, Person: b.person(acme, person)}, Force: true}
	_, err := b.Erase(b.Context(), x, func([]store.PersonKey) store.Change {
		return store.Change{ID: store.NewID(), Organization: acme, At: b.now(), By: "test", Action: store.PersonErased}
	})
	b.must(err)
}

func erased(b *bench) {
	k := b.history()
	b.accept(globex, event("e1", at(-9), yes("p")))
	b.bring(k, store.Synced, func(f *store.Finish) { f.LeftOut = []consent.LeftOut{{Name: "age", Reason: "no"}} })
	b.seal(time.Minute)
	before := b.trace(acme, b.person(acme, "ana"), b.user(acme, "d1"))
	b.must(b.erase("ana", false))

	ana, d1 := b.person(acme, "ana"), b.user(acme, "d1")
	_, err := b.Person(b.Context(), acme, ana)
	b.kind(err, consent.NotFound)
	who, err := b.SubjectsOf(b.Context(), acme, []store.PersonKey{ana, d1})
	b.must(err)
	b.same("ids", who, map[store.PersonKey]consent.Subject{ana: {}, d1: {}})
	after := b.trace(acme, ana, d1)
	b.same("headers and calls stay", []int{len(after.Events), len(after.Calls)}, []int{len(before.Events), len(before.Calls)})
	for _, e := range after.Events {
		_, _, err := b.Payload(b.Context(), acme, e.ID)
		b.kind(err, consent.NotFound)
		b.same("the id of an event", e.EntityID, "")
	}
	for _, c := range after.Calls {
		b.same("what a call said", []any{c.Subscriptions, c.Attributes, c.Detail}, []any{map[string]bool(nil), []string(nil), ""})
	}
	deliveries, err := b.DeliveriesOf(b.Context(), acme, ana)
	b.must(err)
	totals, err := b.Totals(b.Context(), k)
	b.must(err)
	b.same("deliveries, left out", []int{len(deliveries), len(totals.LeftOut)}, []int{0, 0})
	b.same("another organization's", b.says(globex, "ana"), []string{"p"})

	if r := b.verify(); len(r.Problems) == 0 {
		b.Error("an erasure of which no sealed record tells is not found")
	}
	b.seal(time.Minute)
	r := b.whole(6) // another call, and the record of the erasure
	b.same("erased records", r.Erased, int64(len(after.Events)+len(after.Calls)))
	b.kind(b.erase("ana", false), consent.NotFound)
}

func erasedStays(b *bench) {
	k := b.history()
	b.bring(k, store.Synced, nil)
	b.must(b.erase("ana", false))
	erasedAt := b.now()
	b.clock.pass(time.Hour)
	b.same("an old grant, and what has no date", b.acme(
		event("e9", erasedAt, yes("p"), yes("q")),
		typed(event("u", at(-5), yes("p")), consent.UserUpdated, b.now()),
		event("e10", 0, yes("p")),
	), []consent.Outcome{consent.Superseded, consent.Superseded, consent.Superseded})
	b.same("nothing holds", b.says(acme, "ana"), []string(nil))
	deliveries, err := b.DeliveriesOf(b.Context(), acme, b.person(acme, "ana"))
	b.must(err)
	b.same("nothing is due", len(deliveries), 0)

	b.same("an old withdrawal", b.acme(event("e11", at(-20), no("p"))), []consent.Outcome{applied})
	b.same("it holds", b.says(acme, "ana"), []string{"-p"})
	b.same("and is due at once", b.delivery(k, "ana").Class, store.LiveWithdrawal)
	b.same("fresh consent", b.acme(event("e12", b.now(), yes("q"))), []consent.Outcome{applied})
	b.same("both hold", b.says(acme, "ana"), []string{"-p", "q"})
	b.acme(event("e13", at(-1), yes("p")), event("e14", at(-3), yes("r")))
	b.same("an old grant still does not", b.says(acme, "ana"), []string{"-p", "q"})
}

// retold takes messages by a way on which nothing is told at once.
func (b *bench) retold(s store.Source, messages ...*consent.Message) (outcomes []consent.Outcome) {
	b.Helper()
	batch := make([]store.Inbound, len(messages))
	for i, m := range messages {
		batch[i] = inbound(acme, m)
		batch[i].Source = s
	}
	receipts, err := b.Accept(b.Context(), batch)
	b.must(err)
	for _, r := range receipts {
		outcomes = append(outcomes, r.Outcome)
	}
	return outcomes
}

func erasedRetold(b *bench) {
	k := b.history()
	b.bring(k, store.Synced, nil)
	b.must(b.erase("ana", false))
	erasedAt := b.now()
	b.clock.pass(time.Hour)
	ana, d1 := b.person(acme, "ana"), b.user(acme, "d1")
	events := len(b.trace(acme, ana, d1).Events)
	for n, source := range []store.Source{store.Fetched, store.Imported} {
		id := func(name string) string { return fmt.Sprint(name, n) }
		old, fresh := erasedAt.Add(-time.Hour), erasedAt.Add(time.Minute)
		for _, m := range []*consent.Message{
			as(event(id("grant"), old, yes("p")), "ana", "d1"), as(event(id("refusal"), old, no("p")), "ana", "d1"), event(id("of none"), 0, no("p")),
			as(event(id("of the user"), old, yes("p")), "", "d1"), typed(as(event(id("record"), old, yes("p"), no("q")), "ana", "d1"), consent.UserUpdated, old),
			pending(event(id("pending"), old, yes("p"))), as(event(id("fresh"), fresh, yes("p")), "ana", "d1"),
			typed(as(event(id("fresh record"), old, yes("p")), "ana", "d1"), consent.UserUpdated, fresh),
			{Type: consent.UserDeleted, EntityID: "d1", DidomiUserID: "d1", OrganizationUserID: "ana", CreatedAt: erasedAt.Add(time.Duration(n) * time.Second)},
		} {
			b.same(m.EntityID, b.retold(source, m), []consent.Outcome{consent.Superseded})
		}
		who, err := b.SubjectsOf(b.Context(), acme, []store.PersonKey{ana, d1})
		b.must(err)
		b.same("nobody is known again", who, map[store.PersonKey]consent.Subject{ana: {}, d1: {}})
		b.same("nothing is kept of it", len(b.trace(acme, ana, d1).Events), events)
		deliveries, err := b.DeliveriesOf(b.Context(), acme, ana)
		b.must(err)
		b.same("nothing is due", len(deliveries), 0)
	}
	b.same("a later withdrawal", b.retold(store.Fetched, event("e20", erasedAt.Add(time.Minute), no("p"), yes("q"))), []consent.Outcome{applied})
	b.same("it holds, and no more", b.says(acme, "ana"), []string{"-p"})
	b.same("it is due", b.delivery(k, "ana").Class, store.BackfilledRefusal)
	b.same("old again", b.retold(store.Imported, as(event("e21", at(-9), no("q"), yes("r")), "ana", "d1")), []consent.Outcome{consent.Superseded})
	again := erasedAt.Add(consent.MaxAhead + time.Minute)
	b.same("a consent of after it", b.retold(store.Fetched, event("e23", again, yes("s"))), []consent.Outcome{applied})
	b.same("it holds", b.says(acme, "ana"), []string{"-p", "s"})
	b.same("changed after it", b.retold(store.Imported, typed(event("e24", at(-9), yes("t")), consent.EventUpdated, again)), []consent.Outcome{consent.Superseded})
	b.same("told at once", b.acme(event("e22", b.now(), yes("q"))), []consent.Outcome{applied})
	b.same("all", b.says(acme, "ana"), []string{"-p", "q", "s"})
}

func erasedAround(b *bench) {
	k := b.integrate(acme, "i")
	b.must(b.SetFeature(b.Context(), acme, true))
	b.email(k, mail.ConfirmConsentChanged, nil)
	b.live(acme, event("e1", at(-1), yes("p")), as(event("e2", at(-1), yes("p")), "bob", ""))
	i := b.opened(acme, "export")
	s := b.step(i, 0)
	s.Rows, s.Refused = 2, []store.ImportRefusal{{File: "a", Row: 1, Reason: "user.ana is no user"}, {File: "a", Row: 2, Reason: "user.bob is no user"}}
	b.takeRows(s)
	r := b.reconcile(k)
	bob := store.HeldRow{Person: b.person(acme, "bob"), Cells: "0"}
	b.must(b.StageHeld(b.Context(), r, []store.HeldRow{{Person: b.person(acme, "ana"), Cells: "1"}, bob}))
	of := []store.DriftExample{{Kind: "turned_on", OrganizationUserID: "ana"}, {Kind: "turned_on", OrganizationUserID: "bob"}}
	r.State, r.Report.Examples = store.ReconciliationComparing, of
	b.must(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{}))

	all, err := b.auditor().Personal(b.Context(), acme, "ana")
	b.must(err)
	b.same("her messages in the export", []any{len(all.Messages), all.Messages[0].State}, []any{1, store.MessagePending})
	b.must(b.erase("ana", true))
	for _, m := range b.mailed(acme) {
		if m.Person == b.person(acme, "ana") {
			b.same("her message", []any{m.State, m.Reason, len(m.Body), m.Repeatable()}, []any{store.MessageDropped, store.ErasedMessage, 0, false})
		} else {
			b.same("another's", []any{m.State, len(m.Body) > 0}, []any{store.MessagePending, true})
		}
	}
	refused, err := b.ImportRefusals(b.Context(), i.ImportKey, store.RefusalCursor{}, 10)
	b.must(err)
	b.same("refusals", []string{refused[0].Reason, refused[1].Reason}, []string{store.ErasedRefusal, "user.bob is no user"})
	b.same("rows", b.staged(r), []store.HeldRow{bob})
	got, err := b.Reconciliation(b.Context(), k, r.RunID)
	b.must(err)
	b.same("examples", got.Report.Examples, of[1:])
	b.kind(b.SaveReconciliation(b.Context(), r, store.ReconciliationStep{}), consent.Conflict)

	for _, m := range b.mailed(acme) {
		if m.State == store.MessagePending {
			ok, err := b.BeginMessage(b.Context(), b.lease("node"), m, store.Call{})
			b.must(err)
			b.same("it is being sent", ok, true)
		}
	}
	b.kind(b.erase("bob", true), consent.Conflict)
}

func erasedLater(b *bench) {
	k := b.history()
	b.accept(acme, event("e5", at(-5), no("p")))
	b.kind(b.erase("ana", false), consent.Conflict)
	l, d := b.lease("node"), b.delivery(k, "ana")
	call := b.begin(l, d)
	b.kind(b.erase("ana", true), consent.Conflict)
	b.must(b.Finish(b.Context(), l, answered(d, call, b.now())))
	_, err := b.auditor().Erase(b.Context(), acme, "ana", "anna", false)
	b.kind(err, consent.Invalid)
	b.same("nothing was erased", len(b.says(acme, "ana")) > 0, true)
	b.must(b.erase("ana", false))
}

func (b *bench) keeper(after time.Duration) *audit.Keeper {
	return &audit.Keeper{Store: b.Engine, Now: in(after), Log: slog.New(slog.DiscardHandler)}
}

func erasedByDidomi(b *bench) {
	k := b.history()
	b.accept(acme, as(event("e6", at(-6), yes("s")), "ana", "d2"))
	b.bring(k, store.Synced, nil)
	gone := func(user string) {
		b.Helper()
		b.accept(acme, &consent.Message{Type: consent.UserDeleted, EntityID: user, DidomiUserID: user})
		if d := b.delivery(k, "ana"); d.State == store.Pending {
			b.bring(k, store.Synced, nil)
		}
		b.seal(time.Minute)
		b.must(b.keeper(time.Minute).Pass(b.Context()))
	}
	known := func() bool {
		b.Helper()
		_, err := b.Person(b.Context(), acme, b.person(acme, "ana"))
		return err == nil
	}
	gone("d1")
	b.same("not wanted", known(), true)
	yes := true
	_, err := b.auditor().ChangePrivacy(b.Context(), acme, audit.PrivacyChange{EraseDeletedUsers: &yes})
	b.must(err)
	b.accept(acme, as(event("e7", at(-6), consent.Said{Choice: purpose("s"), Enabled: true}), "ana", "d3"))
	b.bring(k, store.Synced, nil)
	gone("d2")
	b.same("there is another user", known(), true)
	gone("d3")
	b.same("the last is gone", known(), false)
	b.seal(time.Minute)
	b.same("problems", b.verify().Problems, []audit.Problem{})
}

func retained(b *bench) {
	b.history()
	b.seal(time.Minute)
	b.accept(acme, event("e3", at(-7), no("p")))
	b.seal(time.Minute)
	days := func(d map[store.Kept]int) {
		b.Helper()
		_, err := b.auditor().ChangePrivacy(b.Context(), acme, audit.PrivacyChange{RetentionDays: d})
		b.must(err)
		b.seal(time.Minute)
	}
	later := b.keeper(10 * 24 * time.Hour)
	payloads := func() (n int) {
		b.Helper()
		for _, e := range b.trace(acme, b.person(acme, "ana"), b.user(acme, "d1")).Events {
			if _, _, err := b.Payload(b.Context(), acme, e.ID); err == nil {
				n++
			}
		}
		return n
	}
	b.must(later.Pass(b.Context()))
	b.same("kept for ever, as nothing is set", payloads(), 3)
	days(map[store.Kept]int{store.KeptPayloads: 5})
	b.must(b.keeper(4 * 24 * time.Hour).Pass(b.Context()))
	b.must(later.Pass(b.Context())) // says what is to go
	b.must(later.Pass(b.Context()))
	b.same("nothing goes before that is sealed", payloads(), 3)
	b.seal(time.Minute)
	b.must(later.Pass(b.Context()))
	b.same("what is too old is gone", payloads(), 0)
	b.same("problems", b.verify().Problems, []audit.Problem{})

	days(map[store.Kept]int{store.KeptEvents: 5, store.KeptCalls: 5, store.KeptChanges: 5, store.KeptChain: 5})
	for range 3 { // of the chain, what is to go is known when all else is sealed
		b.must(later.Pass(b.Context()))
		b.seal(10 * 24 * time.Hour)
	}
	t := b.trace(acme, b.person(acme, "ana"), b.user(acme, "d1"))
	b.same("events, calls", []int{len(t.Events), len(t.Calls)}, []int{0, 0})
	r := b.verify()
	b.same("problems", r.Problems, []audit.Problem{})
	b.same("the chain begins later", r.Oldest > 1, true)
	b.same("who chose that is known by the choice of retention alone", len(b.recorded(acme, "")) > 0, true)
	b.same("state is kept", len(b.says(acme, "ana")), 2)
}

func retainedFiles(b *bench) {
	k := b.integrate(acme, "i")
	b.must(b.SetFeature(b.Context(), acme, true))
	i := b.opened(acme, "export")
	s := b.step(i, 0)
	s.Rows, s.Refused = 1, []store.ImportRefusal{{File: "a", Row: 1, Reason: "user.ana is no user"}}
	b.takeRows(s)
	rows := []store.HeldRow{{Person: b.person(acme, "ana"), Cells: "1"}}
	abandoned := b.reconcile(k)
	b.must(b.StageHeld(b.Context(), abandoned, rows))
	comparing := b.reconcile(k)
	b.must(b.StageHeld(b.Context(), comparing, rows))
	comparing.State = store.ReconciliationComparing
	b.must(b.SaveReconciliation(b.Context(), comparing, store.ReconciliationStep{}))

	pass := func() {
		b.Helper()
		b.must(b.keeper(10 * 24 * time.Hour).Pass(b.Context()))
		b.seal(10 * 24 * time.Hour)
		b.must(b.keeper(10 * 24 * time.Hour).Pass(b.Context()))
	}
	left := func() []int {
		b.Helper()
		refused, err := b.ImportRefusals(b.Context(), i.ImportKey, store.RefusalCursor{}, 10)
		b.must(err)
		runs, err := b.Reconciliations(b.Context(), k, 10)
		b.must(err)
		return []int{len(refused), len(runs), len(b.staged(abandoned)), len(b.staged(comparing))}
	}
	pass()
	b.same("kept for ever, as nothing is set", left(), []int{1, 2, 1, 1})
	b.must(b.SetPrivacy(b.Context(), acme, store.Privacy{RetentionDays: map[store.Kept]int{store.KeptRefusals: 2000, store.KeptReconciliations: 20}}))
	pass()
	b.same("not old enough", left(), []int{1, 2, 1, 1})
	b.must(b.SetPrivacy(b.Context(), acme, store.Privacy{RetentionDays: map[store.Kept]int{store.KeptRefusals: 5, store.KeptReconciliations: 5}}))
	pass()
	b.same("what is old, and not under way, is gone", left(), []int{0, 1, 0, 1})
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("that it was refused is known", got.Refused, int64(1))
}

func privacyKept(b *bench) {
	b.must(b.SetFeature(b.Context(), acme, true))
	want := store.Privacy{RetentionDays: map[store.Kept]int{store.KeptCalls: 7}, EraseDeletedUsers: true}
	b.must(b.SetPrivacy(b.Context(), acme, want, changeOf(acme, "", "privacy.changed")))
	got, err := b.Privacy(b.Context(), acme)
	b.must(err)
	other, err := b.Privacy(b.Context(), globex)
	b.must(err)
	b.same("stored, of another, recorded", []any{got, other, len(b.recorded(acme, ""))}, []any{want, store.Privacy{}, 1})
}

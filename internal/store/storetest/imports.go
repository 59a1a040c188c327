package storetest

import (
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var imports = group{
	"rows and their place are one":                              importPlaces,
	"a file begins anew from its first row":                     importAnew,
	"what is refused is kept with its place":                    importRefusals,
	"R23 grants of a file wait for the end, refusals do not":    importDue,
	"R23 a file never holds what live consent has made due":     importBesideLive,
	"R21 what was fetched is no live withdrawal":                caughtUpDue,
	"the end has everybody compared, once":                      importEnds,
	"organizations have imports of their own, found by name":    importsApart,
	"R9 a part that cannot be merged changes nothing, no place": importFails,
}

// imported is the row of a file that says m.
func imported(m *consent.Message) store.Inbound {
	in := inbound(acme, m)
	in.Source = store.Imported
	return in
}

func (b *bench) opened(organization, name string) *store.Import {
	b.Helper()
	i, err := b.OpenImport(b.Context(), organization, name)
	b.must(err)
	return i
}

// step is a part of a file of so many rows as it holds messages.
func step(i *store.Import, from int64, messages ...*consent.Message) *store.ImportStep {
	s := &store.ImportStep{ImportKey: i.ImportKey, File: "users/a", Fingerprint: "1", From: from, Rows: int64(len(messages))}
	for _, m := range messages {
		s.Batch = append(s.Batch, imported(m))
	}
	return s
}

func (b *bench) takeRows(s *store.ImportStep) {
	b.Helper()
	_, err := b.TakeRows(b.Context(), s)
	b.must(err)
}

func importPlaces(b *bench) {
	i := b.opened(acme, "export")
	b.same("opened", i, &store.Import{ImportKey: i.ImportKey, Name: "export", StartedAt: noon, UpdatedAt: noon})
	b.clock.set(at(1))
	s := step(i, 0, event("e1", at(-9), yes("p")), as(event("e2", at(-9), no("q")), "bob", ""))
	receipts, err := b.TakeRows(b.Context(), s)
	b.must(err)
	b.same("outcomes", []consent.Outcome{receipts[0].Outcome, receipts[1].Outcome}, []consent.Outcome{consent.Applied, consent.Applied})
	_, err = b.TakeRows(b.Context(), step(i, 1, event("e3", at(-9), yes("p"))))
	b.kind(err, consent.Conflict)
	_, err = b.TakeRows(b.Context(), step(i, 3, event("e3", at(-9), yes("p"))))
	b.kind(err, consent.Conflict)
	b.takeRows(step(i, 2, event("e1", at(-9), yes("p"))))
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("place", got, &store.Import{
		ImportKey: i.ImportKey, Name: "export", StartedAt: noon, UpdatedAt: at(1),
		Outcomes: map[consent.Outcome]int64{consent.Applied: 2, consent.Duplicate: 1},
		Files:    []store.ImportFile{{Name: "users/a", Fingerprint: "1", Rows: 3}},
	})
	b.same("ana", b.says(acme, "ana"), []string{"p"})
	b.same("bob", b.says(acme, "bob"), []string{"-q"})
	b.same("events of ana", len(b.trace(acme, b.person(acme, "ana")).Events), 1)
}

func importAnew(b *bench) {
	i := b.opened(acme, "export")
	b.takeRows(step(i, 0, event("e1", at(-9), yes("p"))))
	other := step(i, 0, event("e1", at(-9), yes("p")), event("e2", at(-8), no("p")))
	other.Fingerprint = "2"
	b.takeRows(other)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("files", got.Files, []store.ImportFile{{Name: "users/a", Fingerprint: "2", Rows: 2}})
	b.same("ana", b.says(acme, "ana"), []string{"-p"})
}

func importRefusals(b *bench) {
	i := b.opened(acme, "export")
	s := step(i, 0, event("e1", at(-9), yes("p")))
	s.Rows = 3
	s.Refused = []store.ImportRefusal{{File: s.File, Row: 3, Reason: "is no \xff JSON\x00"}, {File: s.File, Row: 2, Reason: "is no JSON"}}
	b.takeRows(s)
	next := &store.ImportStep{ImportKey: i.ImportKey, File: "b", Rows: 1, Refused: []store.ImportRefusal{{File: "b", Row: 1, Reason: "why"}}}
	b.takeRows(next)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("counted", []any{got.Refused, got.Outcomes[consent.Applied]}, []any{int64(3), int64(1)})
	first, err := b.ImportRefusals(b.Context(), i.ImportKey, store.RefusalCursor{}, 2)
	b.must(err)
	b.same("first page", first[:1], []store.ImportRefusal{{File: "b", Row: 1, Reason: "why"}})
	rest, err := b.ImportRefusals(b.Context(), i.ImportKey, store.RefusalCursor{File: first[1].File, Row: first[1].Row}, 2)
	b.must(err)
	b.same("the rest", []any{first[1].Row, len(rest), rest[0].Row}, []any{int64(2), 1, int64(3)})
}

func importDue(b *bench) {
	k := b.integrate(acme, "i")
	i := b.opened(acme, "export")
	b.takeRows(step(i, 0, event("e1", at(-9), yes("p")), as(event("e2", at(-9), no("p")), "bob", "")))
	_, err := b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)
	d := b.delivery(k, "bob")
	b.same("bob", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, true})
	// The same person, in one part: the grant waits, the refusal does not.
	b.takeRows(step(i, 2, event("e3", at(-8), yes("p")), event("e4", at(-8), no("q"))))
	d = b.delivery(k, "ana")
	b.same("ana", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, true})
	b.accept(acme, event("e5", at(-7), yes("p")))
	b.same("live consent frees it", b.delivery(k, "ana").HoldGrants, false)
}

func importBesideLive(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	i := b.opened(acme, "export")
	b.takeRows(step(i, 0, event("e2", at(-8), no("q"))))
	d := b.delivery(k, "ana")
	b.same("due by live consent", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, false})
	b.bring(k, store.Synced, nil)
	b.takeRows(step(i, 1, event("e3", at(-7), no("q"))))
	b.same("in effect before", b.delivery(k, "ana").HoldGrants, true)
}

func caughtUpDue(b *bench) {
	k := b.integrate(acme, "i")
	batch := []store.Inbound{inbound(acme, event("e1", at(-9), no("p"))), inbound(acme, as(event("e2", at(-9), yes("p")), "bob", ""))}
	for n := range batch {
		batch[n].Source = store.Fetched
	}
	_, err := b.Accept(b.Context(), batch)
	b.must(err)
	d := b.delivery(k, "ana")
	b.same("ana", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, false})
	d = b.delivery(k, "bob")
	b.same("bob", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.Ordinary, false})
}

func importEnds(b *bench) {
	k := b.integrate(acme, "i")
	b.integrate(globex, "g")
	i := b.opened(acme, "export")
	b.takeRows(step(i, 0, event("e1", at(-9), yes("p"))))
	b.same("running", b.running(), []store.Reprojection(nil))
	end := func(ended bool, running int) {
		b.Helper()
		b.clock.set(b.now().Add(1000))
		b.must(b.EndImport(b.Context(), i.ImportKey))
		got, err := b.Import(b.Context(), i.ImportKey)
		b.must(err)
		b.same("ended", got.Ended, ended)
		b.same("running", len(b.running()), running)
	}
	end(true, 1)
	r := b.running()[0]
	b.same("of the organization", r, store.Reprojection{IntegrationKey: k, State: store.ReprojectionCounting, StartedAt: r.StartedAt})
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	end(true, 0) // nothing came since
	b.takeRows(step(i, 1, event("e2", at(-8), yes("q"))))
	end(true, 1)
	// A retry that runs becomes a comparison of everybody.
	r = b.running()[0]
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.must(b.StartRetry(b.Context(), k, store.Only{State: store.Failed}))
	b.takeRows(step(i, 2, event("e3", at(-7), yes("q"))))
	end(true, 1)
	b.same("of everybody", b.running()[0].Only, store.Only{})
}

func importsApart(b *bench) {
	i, j := b.opened(acme, "export"), b.opened(globex, "export")
	again := b.opened(acme, "export")
	b.same("the same", again.ID, i.ID)
	b.same("another", i.ID == j.ID, false)
	other := b.opened(acme, "export 2")
	list, err := b.Imports(b.Context(), acme, "", 10)
	b.must(err)
	b.same("list", []string{list[0].ID, list[1].ID}, []string{other.ID, i.ID})
	list, err = b.Imports(b.Context(), acme, other.ID, 10)
	b.must(err)
	b.same("the next page", []any{len(list), list[0].ID}, []any{1, i.ID})
	_, err = b.Import(b.Context(), store.ImportKey{Organization: globex, ID: i.ID})
	b.kind(err, consent.NotFound)
	foreign := step(i, 0, event("e1", at(-9), yes("p")))
	foreign.Organization = globex
	_, err = b.TakeRows(b.Context(), foreign)
	b.kind(err, consent.NotFound)
}

func importFails(b *bench) {
	i := b.opened(acme, "export")
	_, err := b.TakeRows(b.Context(), step(i, 0, event("e1", at(-9), yes("p")), event("e\x00", at(-9), no("p"))))
	b.kind(err, consent.Invalid)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("place", []any{len(got.Files), len(got.Outcomes)}, []any{0, 0})
	b.same("ana", b.says(acme, "ana"), []string(nil))
}

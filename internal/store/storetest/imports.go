package storetest

import (
	"fmt"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var imports = group{
	"rows and their place are one":                             importPlaces,
	"staged rows are merged once, however often they are read": importOnce,
	"staged rows are read in the order of people":              importOrder,
	"a row of a block may be merged before the others":         importRest,
	"a file begins anew from its first row":                    importAnew,
	"what is refused is kept with its place":                   importRefusals,
	"R23 grants of a file wait for the end, refusals do not":   importDue,
	"R23 a file never holds what live consent has made due":    importBesideLive,
	"R21 what was fetched is no live withdrawal":               caughtUpDue,
	"the end has everybody compared, once":                     importEnds,
	"organizations have imports of their own, found by name":   importsApart,
	"the end waits for what is staged":                         importEndsLater,
	"R9 rows that cannot be merged stay staged":                importFails,
	"whoever is erased is erased of what is staged":            importErased,
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
func (b *bench) step(i *store.Import, from int64, messages ...*consent.Message) *store.ImportStep {
	s := &store.ImportStep{ImportKey: i.ImportKey, File: "users/a", Fingerprint: "1", From: from, Rows: int64(len(messages))}
	for n, m := range messages {
		in := imported(m)
		s.Staged = append(s.Staged, store.StagedRow{Person: in.Whom(b.hasher), Row: from + int64(n) + 1, Payload: in.Payload})
	}
	return s
}

func (b *bench) takeRows(s *store.ImportStep) {
	b.Helper()
	_, err := b.TakeRows(b.Context(), s)
	b.must(err)
}

// staged gives all blocks of an import.
func (b *bench) stagedOf(i *store.Import) (all []store.StagedBlock) {
	b.Helper()
	for after := (store.StagedPlace{}); ; after = all[len(all)-1].StagedPlace {
		some, err := b.NextStaged(b.Context(), i.ImportKey, after)
		b.must(err)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}

// merging is the step that merges all that is staged, which says the messages.
func (b *bench) merging(i *store.Import, messages ...*consent.Message) *store.MergeStep {
	b.Helper()
	s := &store.MergeStep{ImportKey: i.ImportKey, Blocks: b.stagedOf(i)}
	for _, m := range messages {
		s.Batch = append(s.Batch, imported(m))
	}
	return s
}

// importRows takes and merges a part of a file.
func (b *bench) importRows(i *store.Import, from int64, messages ...*consent.Message) []consent.Outcome {
	b.Helper()
	b.takeRows(b.step(i, from, messages...))
	_, receipts, err := b.MergeRows(b.Context(), b.merging(i, messages...))
	b.must(err)
	var outcomes []consent.Outcome
	for _, r := range receipts {
		outcomes = append(outcomes, r.Outcome)
	}
	return outcomes
}

func importPlaces(b *bench) {
	i := b.opened(acme, "export")
	b.same("opened", i, &store.Import{ImportKey: i.ImportKey, Name: "export", StartedAt: noon, UpdatedAt: noon})
	b.clock.set(at(1))
	e1, e2 := event("e1", at(-9), yes("p")), as(event("e2", at(-9), no("q")), "bob", "")
	b.takeRows(b.step(i, 0, e1, e2))
	staged, err := b.StagedImports(b.Context())
	b.must(err)
	b.same("staged", []any{len(staged), staged[0].ImportKey, staged[0].Staged.Rows, b.anyStaged(acme), b.anyStaged(globex)}, []any{1, i.ImportKey, int64(2), true, false})
	b.same("nothing is merged", b.says(acme, "ana"), []string(nil))
	_, receipts, err := b.MergeRows(b.Context(), b.merging(i, e1, e2))
	b.must(err)
	b.same("outcomes", []consent.Outcome{receipts[0].Outcome, receipts[1].Outcome}, []consent.Outcome{consent.Applied, consent.Applied})
	_, err = b.TakeRows(b.Context(), b.step(i, 1, event("e3", at(-9), yes("p"))))
	b.kind(err, consent.Conflict)
	_, err = b.TakeRows(b.Context(), b.step(i, 3, event("e3", at(-9), yes("p"))))
	b.kind(err, consent.Conflict)
	b.importRows(i, 2, e1)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("place", got, &store.Import{
		ImportKey: i.ImportKey, Name: "export", StartedAt: noon, UpdatedAt: at(1), Staged: store.Staged{Blocks: 3},
		Outcomes: map[consent.Outcome]int64{consent.Applied: 2, consent.Duplicate: 1},
		Files:    []store.ImportFile{{Name: "users/a", Fingerprint: "1", Rows: 3}},
	})
	b.same("ana", b.says(acme, "ana"), []string{"p"})
	b.same("bob", b.says(acme, "bob"), []string{"-q"})
	b.same("events of ana", len(b.trace(acme, b.person(acme, "ana")).Events), 1)
	b.same("nothing is left", []any{len(b.stagedOf(i)), b.anyStaged(acme)}, []any{0, false})
}

func (b *bench) anyStaged(organization string) bool {
	b.Helper()
	any, err := b.AnyStaged(b.Context(), organization)
	b.must(err)
	return any
}

// What two have read is merged by one, and counted once; what was staged meanwhile
// stays.
func importOnce(b *bench) {
	i := b.opened(acme, "export")
	e1, e2 := event("e1", at(-9), yes("p")), event("e2", at(-8), no("q"))
	b.takeRows(b.step(i, 0, e1))
	s := b.merging(i, e1)
	b.clock.set(at(1))
	b.takeRows(b.step(i, 1, e2))
	_, _, err := b.MergeRows(b.Context(), s)
	b.must(err)
	_, _, err = b.MergeRows(b.Context(), s)
	b.kind(err, consent.Conflict)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("counted", []any{got.Outcomes, got.Staged.Rows}, []any{map[consent.Outcome]int64{consent.Applied: 1}, int64(1)})
	left := b.stagedOf(i)
	rows, err := left[0].Unpack()
	b.must(err)
	b.same("left", []any{len(left), left[0].Count, rows[0].ArrivedAt, rows[0].File, rows[0].Row}, []any{1, int64(1), at(1), "users/a", int64(2)})
	b.same("ana", b.says(acme, "ana"), []string{"p"})
}

// However many parts brought them, the rows of all people of a slice come together,
// in the order in which they were brought.
func importOrder(b *bench) {
	i := b.opened(acme, "export")
	const parts, rows = 3, 400
	want := map[store.PersonKey][]int64{}
	for part := range parts {
		var messages []*consent.Message
		for n := range rows {
			messages = append(messages, as(event(fmt.Sprintf("e%d-%d", part, n), at(-9), yes("p")), fmt.Sprint(n), ""))
		}
		s := b.step(i, int64(part*rows), messages...)
		for _, r := range s.Staged {
			want[r.Person] = append(want[r.Person], r.Row)
		}
		b.takeRows(s)
	}
	got, slice := map[store.PersonKey][]int64{}, int64(0)
	for _, block := range b.stagedOf(i) {
		if block.Slice < slice {
			b.Fatalf("slice %d comes after slice %d", block.Slice, slice)
		}
		slice = block.Slice
		found, err := block.Unpack()
		b.must(err)
		for _, r := range found {
			b.same("slice", store.StagedSliceOf(r.Person), slice)
			got[r.Person] = append(got[r.Person], r.Row)
		}
	}
	b.same("rows", got, want)
}

// A row of a block is merged by itself, and the rest stays.
func importRest(b *bench) {
	i := b.opened(acme, "export")
	e1, e2 := event("e1", at(-9), yes("p")), event("e2", at(-8), no("q"))
	b.takeRows(b.step(i, 0, e1, e2))
	s := b.merging(i, e1)
	rows, err := s.Blocks[0].Unpack()
	b.must(err)
	s.Rest = store.StagedBlocks(rows[1:])
	s.Rest[0].Number = s.Blocks[0].Number
	got, _, err := b.MergeRows(b.Context(), s)
	b.must(err)
	b.same("left", []any{got.Staged.Rows, got.Staged.Bytes > 0}, []any{int64(1), true})
	left := b.stagedOf(i)
	b.same("the rest", left, s.Rest)
	s = b.merging(i)
	s.Refused = []store.ImportRefusal{{File: "users/a", Row: 2, Reason: "why"}}
	got, _, err = b.MergeRows(b.Context(), s)
	b.must(err)
	b.same("done", []any{got.Staged, got.Refused, got.Outcomes[consent.Applied]}, []any{store.Staged{Blocks: 1}, int64(1), int64(1)})
	refused, err := b.ImportRefusals(b.Context(), i.ImportKey, store.RefusalCursor{}, 5)
	b.must(err)
	b.same("refused", refused, s.Refused)
}

func importAnew(b *bench) {
	i := b.opened(acme, "export")
	e1, e2 := event("e1", at(-9), yes("p")), event("e2", at(-8), no("p"))
	b.importRows(i, 0, e1)
	other := b.step(i, 0, e1, e2)
	other.Fingerprint = "2"
	b.takeRows(other)
	_, _, err := b.MergeRows(b.Context(), b.merging(i, e1, e2))
	b.must(err)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("files", got.Files, []store.ImportFile{{Name: "users/a", Fingerprint: "2", Rows: 2}})
	b.same("ana", b.says(acme, "ana"), []string{"-p"})
}

func importRefusals(b *bench) {
	i := b.opened(acme, "export")
	e1 := event("e1", at(-9), yes("p"))
	s := b.step(i, 0, e1)
	s.Rows = 3
	s.Refused = []store.ImportRefusal{{File: s.File, Row: 3, Reason: "is no \xff JSON\x00"}, {File: s.File, Row: 2, Reason: "is no JSON"}}
	b.takeRows(s)
	_, _, err := b.MergeRows(b.Context(), b.merging(i, e1))
	b.must(err)
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
	b.importRows(i, 0, event("e1", at(-9), yes("p")), as(event("e2", at(-9), no("p")), "bob", ""))
	_, err := b.Delivery(b.Context(), b.deliveryKey(k, "ana"))
	b.kind(err, consent.NotFound)
	d := b.delivery(k, "bob")
	b.same("bob", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, true})
	// The same person, in one part: the grant waits, the refusal does not.
	b.importRows(i, 2, event("e3", at(-8), yes("p")), event("e4", at(-8), no("q")))
	d = b.delivery(k, "ana")
	b.same("ana", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, true})
	b.accept(acme, event("e5", at(-7), yes("p")))
	b.same("live consent frees it", b.delivery(k, "ana").HoldGrants, false)
}

func importBesideLive(b *bench) {
	k := b.integrate(acme, "i")
	b.accept(acme, event("e1", at(-9), yes("p")))
	i := b.opened(acme, "export")
	b.importRows(i, 0, event("e2", at(-8), no("q")))
	d := b.delivery(k, "ana")
	b.same("due by live consent", []any{d.State, d.Class, d.HoldGrants}, []any{store.Pending, store.BackfilledRefusal, false})
	b.bring(k, store.Synced, nil)
	b.importRows(i, 1, event("e3", at(-7), no("q")))
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
	b.importRows(i, 0, event("e1", at(-9), yes("p")))
	b.same("running", b.running(), []store.Reprojection(nil))
	end := func(ended bool, running int) {
		b.Helper()
		b.clock.set(b.now().Add(1000))
		got, err := b.EndImport(b.Context(), i.ImportKey)
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
	b.importRows(i, 1, event("e2", at(-8), yes("q")))
	end(true, 1)
	// A retry that runs becomes a comparison of everybody.
	r = b.running()[0]
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.must(b.StartRetry(b.Context(), k, store.Only{State: store.Failed}))
	b.importRows(i, 2, event("e3", at(-7), yes("q")))
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
	foreign := b.step(i, 0, event("e1", at(-9), yes("p")))
	foreign.Organization = globex
	_, err = b.TakeRows(b.Context(), foreign)
	b.kind(err, consent.NotFound)
}

// What is staged when the end comes is merged first, and its last merge has everybody
// compared; a part that comes in between puts it off.
func importEndsLater(b *bench) {
	b.integrate(acme, "i")
	i := b.opened(acme, "export")
	e1, e2 := event("e1", at(-9), yes("p")), event("e2", at(-8), yes("q"))
	end := func() *store.Import {
		b.Helper()
		got, err := b.EndImport(b.Context(), i.ImportKey)
		b.must(err)
		return got
	}
	b.takeRows(b.step(i, 0, e1))
	got := end()
	b.same("ending", []any{got.Ended, got.Ending, len(b.running())}, []any{false, true, 0})
	b.takeRows(b.step(i, 1, e2))
	got, _, err := b.MergeRows(b.Context(), b.merging(i, e1, e2))
	b.must(err)
	b.same("put off", []any{got.Ended, got.Ending, len(b.running())}, []any{false, false, 0})

	b.takeRows(b.step(i, 2, e1))
	b.takeRows(b.step(i, 3, e2))
	end()
	s := b.merging(i, e1)
	s.Blocks = s.Blocks[:1]
	got, _, err = b.MergeRows(b.Context(), s)
	b.must(err)
	b.same("one is left", []any{got.Ended, got.Ending, len(b.running())}, []any{false, true, 0})
	got, _, err = b.MergeRows(b.Context(), b.merging(i, e2))
	b.must(err)
	b.same("ended", []any{got.Ended, got.Ending, len(b.running())}, []any{true, false, 1})
	again, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("is stored", []any{again.Ended, again.Ending}, []any{true, false})
}

func importFails(b *bench) {
	i := b.opened(acme, "export")
	e1 := event("e1", at(-9), yes("p"))
	b.takeRows(b.step(i, 0, e1, e1))
	before := b.stagedOf(i)
	_, _, err := b.MergeRows(b.Context(), b.merging(i, e1, event("e\x00", at(-9), no("p"))))
	b.kind(err, consent.Invalid)
	got, err := b.Import(b.Context(), i.ImportKey)
	b.must(err)
	b.same("counted", []any{got.Staged.Rows, len(got.Outcomes)}, []any{int64(2), 0})
	b.same("staged", b.stagedOf(i), before)
	b.same("ana", b.says(acme, "ana"), []string(nil))
}

// Whoever merges what was read before the erasure sees that it is not the same.
func importErased(b *bench) {
	i := b.opened(acme, "export")
	b.accept(acme, event("e0", at(-9), yes("p")))
	e1, e2 := event("e1", at(-9), yes("q")), as(event("e2", at(-9), yes("q")), "bob", "")
	b.takeRows(b.step(i, 0, e1, e2))
	before := b.merging(i, e1, e2)
	b.kind(b.erase("ana", true), consent.Conflict)
	b.eraseStored("ana")
	_, _, err := b.MergeRows(b.Context(), before)
	b.kind(err, consent.Conflict)
	got, _, err := b.MergeRows(b.Context(), b.merging(i, e2))
	b.must(err)
	b.same("nothing is left", []any{got.Staged.Rows, got.Staged.Bytes}, []any{int64(0), int64(0)})
	b.same("bob", b.says(acme, "bob"), []string{"q"})
}

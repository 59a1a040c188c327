package storetest

import (
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var loads = group{
	"a load from its beginning to its end":                  loadLife,
	"only what is due in the version that was read goes":    joinsOnlyDue,
	"R22 what its file carries is unknown":                  loadDoubts,
	"R22 consent that comes meanwhile":                      consentDuringLoad,
	"R22 a withdrawal sent meanwhile is sent again":         withdrawalDuringLoad,
	"R22 a withdrawal leaves a load that takes too long":    withdrawalLeavesLoad,
	"R14 what is in flight when it ends is looked at later": inFlightAtEnd,
	"R15 nothing of a load happens without the lease":       loadFenced,
	"a file holds only who still waits for it":              fileOfLoad,
	"no load is stored for an integration that is gone":     loadOfNobody,
	"rows are forgotten, the load stays":                    forgottenRows,
	"loads that were handed over are counted":               startedLoads,
}

// joined is a load of acme's integration with people in it, who chose as
// given: "p" grants, "-p" refuses.
func (b *bench) joined(k store.IntegrationKey, l store.Lease, choices map[string]string) *store.Load {
	b.Helper()
	load := &store.Load{
		IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Epoch: l.Epoch, Columns: []string{"News"}, CreatedAt: b.now(),
	}
	b.must(b.SaveLoad(b.Context(), l, load))
	var people []store.Joining
	for _, person := range []string{"ana", "bob", "cem"} {
		choice, chose := choices[person]
		if !chose {
			continue
		}
		said := yes("p")
		if choice == "-p" {
			said = no("p")
		}
		b.accept(acme, as(event("first of "+person, at(-9), said), person, ""))
		people = append(people, b.joining(k, person, choice == "p"))
	}
	taken, err := b.JoinLoad(b.Context(), l, load, people)
	b.must(err)
	for i, ok := range taken {
		if !ok {
			b.Fatalf("%+v was not taken", people[i])
		}
	}
	return load
}

func (b *bench) joining(k store.IntegrationKey, person string, on bool) store.Joining {
	b.Helper()
	d := b.delivery(k, person)
	return store.Joining{LoadRow: store.LoadRow{Person: d.Person, Version: d.Version, Class: d.Class, DueAt: d.DueAt, On: []bool{on}}, Doubt: doubt(on)}
}

// ended brings a load to its end and records it person by person.
func (b *bench) ended(l store.Lease, load *store.Load, outcome store.LoadOutcome) {
	b.Helper()
	load.State, load.Outcome, load.StartedAt = store.LoadEnding, outcome, b.now()
	b.must(b.SaveLoad(b.Context(), l, load))
	b.endRows(l, load, store.RowOpen)
}

// endRows ends the rows in a state, and tells how many moved.
func (b *bench) endRows(l store.Lease, load *store.Load, state store.RowState) int {
	b.Helper()
	moved, err := b.EndRows(b.Context(), l, load, b.rows(load, state))
	b.must(err)
	return moved
}

func (b *bench) rows(load *store.Load, state store.RowState) []store.LoadRow {
	b.Helper()
	rows, err := b.LoadRows(b.Context(), load, state, 0, 100)
	b.must(err)
	return rows
}

func (b *bench) states(k store.IntegrationKey, people ...string) []store.DeliveryState {
	b.Helper()
	var all []store.DeliveryState
	for _, person := range people {
		all = append(all, b.delivery(k, person).State)
	}
	return all
}

func loadLife(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "-p"})
	b.same("counted", []int64{load.People, load.Withdrawals}, []int64{2, 1})
	b.same("in the load", b.states(k, "ana", "bob"), []store.DeliveryState{store.Sent, store.Sent})
	rows := b.rows(load, store.RowOpen)
	b.same("rows", []any{len(rows), rows[0].Row, rows[0].UserID, rows[0].On, rows[1].Row, rows[1].UserID, rows[1].On},
		[]any{2, 1, "ana", []bool{true}, 2, "bob", []bool{false}})
	after, err := b.LoadRows(b.Context(), load, store.RowOpen, 1, 100)
	b.must(err)
	b.same("from after the first", len(after), 1)

	load.State, load.StartedAt = store.LoadStarted, at(1)
	b.must(b.SaveLoad(b.Context(), l, load))
	load.State, load.Execution = store.LoadRunning, "4711"
	b.must(b.SaveLoad(b.Context(), l, load))
	open, err := b.OpenLoads(b.Context(), k)
	b.must(err)
	b.same("open", open, []*store.Load{load})

	b.clock.pass(time.Minute)
	l = b.lease("node")
	b.ended(l, load, store.LoadConfirmed)
	b.same("confirmed", b.states(k, "ana", "bob"), []store.DeliveryState{store.Synced, store.Synced})
	b.same("known", b.delivery(k, "bob").Known, consent.Known{Subscriptions: map[string]consent.Fact{"News": {Value: false, ConfirmedAt: at(1)}}})
	calls := b.trace(acme, b.person(acme, "bob")).Calls
	b.same("trace", []any{len(calls), calls[0].Operation, calls[0].Subscriptions, calls[0].Outcome}, []any{1, "load", map[string]bool{"News": false}, "ok"})

	load.State, load.EndedAt = store.LoadDone, b.now()
	b.must(b.SaveLoad(b.Context(), l, load))
	open, err = b.OpenLoads(b.Context(), k)
	b.must(err)
	b.same("open", len(open), 0)
	newest, err := b.Loads(b.Context(), k, 5)
	b.must(err)
	b.same("all", newest, []*store.Load{load})
	counts, err := b.Counts(b.Context(), k)
	b.must(err)
	b.same("counts", counts, map[string]int64{store.CountEvents: 2, store.CountLoaded: 2})
}

func joinsOnlyDue(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.accept(acme, event("e1", at(-9), yes("p")), as(event("e2", at(-9), yes("p")), "bob", ""), as(event("e3", at(-9), yes("p")), "cem", ""))
	ana, bob, cem := b.joining(k, "ana", true), b.joining(k, "bob", true), b.joining(k, "cem", true)
	b.accept(acme, event("e4", at(-8), no("p")))
	call := b.begin(l, b.delivery(k, "bob"))
	f := answered(b.delivery(k, "bob"), call, b.now())
	f.State, f.Readback = store.Pending, 2
	b.must(b.Finish(b.Context(), l, f))
	bob.Version = b.delivery(k, "bob").Version
	load := &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Columns: []string{"News"}}
	b.must(b.SaveLoad(b.Context(), l, load))
	stranger := cem
	stranger.Person = b.person(acme, "nobody")
	taken, err := b.JoinLoad(b.Context(), l, load, []store.Joining{ana, stranger, bob, cem})
	b.must(err)
	b.same("taken: not who changed, is unknown, or is to be read", taken, []bool{false, false, false, true})
	b.same("states", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Pending, store.Pending, store.Sent})
	b.same("rows", []any{len(b.rows(load, store.RowOpen)), load.People}, []any{1, int64(1)})
	again, err := b.JoinLoad(b.Context(), l, load, []store.Joining{cem})
	b.must(err)
	b.same("a second time", again, []bool{false})
}

func loadDoubts(b *bench) {
	k := b.integrate(acme, "i")
	b.joined(k, b.lease("node"), map[string]string{"ana": "p"})
	b.same("known", b.delivery(k, "ana").Known, doubt(true))
	for _, class := range []store.Class{store.LiveWithdrawal, store.BackfilledRefusal, store.Ordinary} {
		b.same("due", len(b.next(k, class, 10)), 0)
	}
}

func consentDuringLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p", "cem": "-p"})
	b.accept(acme, event("e2", at(-8), yes("p"), yes("q")), as(event("e3", at(-8), no("p")), "bob", ""), as(event("e4", at(-8), yes("p")), "cem", ""))
	b.same("a grant waits, a withdrawal does not", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Sent, store.Pending, store.Sent})
	b.same("class", b.delivery(k, "bob").Class, store.LiveWithdrawal)
	b.ended(l, load, store.LoadConfirmed)
	b.same("all are compared again", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Pending, store.Pending, store.Pending})
	b.same("what the file carried is confirmed", b.delivery(k, "cem").Known.Subscriptions["News"], consent.Fact{Value: false, ConfirmedAt: noon})
	b.same("and unknown where something was to be sent meanwhile", b.delivery(k, "bob").Known.Subscriptions["News"].Unknown, true)
}

func withdrawalDuringLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p"})
	b.accept(acme, event("e2", at(-8), no("p")))
	d := b.delivery(k, "ana")
	f := answered(d, b.begin(l, d), b.now())
	f.Known = known(false)
	b.must(b.Finish(b.Context(), l, f))
	b.same("sent at once", b.delivery(k, "ana").State, store.Synced)
	version := b.delivery(k, "ana").Version
	b.ended(l, load, store.LoadConfirmed)
	after := b.delivery(k, "ana")
	b.same("due again when the load ends", []any{after.State, after.Class, after.Known.Subscriptions["News"].Unknown, after.Version},
		[]any{store.Pending, store.LiveWithdrawal, true, version + 1})
}

func withdrawalLeavesLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "-p", "bob": "-p"})
	load.State, load.StartedAt = store.LoadRunning, b.now()
	b.must(b.SaveLoad(b.Context(), l, load))
	rows := b.rows(load, store.RowOpen)
	moved, err := b.EndRows(b.Context(), l, load, rows[:1])
	b.must(err)
	b.same("left", []any{moved, len(b.rows(load, store.RowOpen)), len(b.rows(load, store.RowSingle))}, []any{1, 1, 1})
	ana := b.delivery(k, "ana")
	b.same("as it joined", []any{ana.State, ana.Class, ana.DueAt, ana.Version, ana.Known.Subscriptions["News"].Unknown},
		[]any{store.Pending, rows[0].Class, rows[0].DueAt, rows[0].Version, true})
	b.same("others stay, and nobody was loaded", []any{b.delivery(k, "bob").State, len(b.trace(acme, b.person(acme, "ana")).Calls)}, []any{store.Sent, 0})

	f := answered(ana, b.begin(l, ana), b.now())
	f.Known = known(false)
	b.must(b.Finish(b.Context(), l, f))
	b.same("sent alone", b.delivery(k, "ana").State, store.Synced)
	b.ended(l, load, store.LoadConfirmed)
	b.endRows(l, load, store.RowSingle)
	again := b.delivery(k, "ana")
	b.same("due again when the load ends", []any{again.State, again.Class, again.Known.Subscriptions["News"].Unknown, again.Version},
		[]any{store.Pending, store.LiveWithdrawal, true, ana.Version + 1})
	b.same("who stayed is synced by it", b.delivery(k, "bob").State, store.Synced)
}

func inFlightAtEnd(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p"})
	b.accept(acme, event("e2", at(-8), no("p")))
	d := b.delivery(k, "ana")
	call := b.begin(l, d)
	b.ended(l, load, store.LoadConfirmed)
	b.same("the call goes on", []any{b.delivery(k, "ana").State, len(b.rows(load, store.RowOpen))}, []any{store.InFlight, 1})
	f := answered(d, call, b.now())
	f.Known = known(false)
	b.must(b.Finish(b.Context(), l, f))
	b.same("moved", b.endRows(l, load, store.RowOpen), 1)
	b.same("due again", b.delivery(k, "ana").State, store.Pending)
}

func loadFenced(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p"})
	b.accept(acme, as(event("e2", at(-9), yes("p")), "bob", ""))
	bob := b.joining(k, "bob", true)
	b.clock.pass(store.LeaseLife)
	b.lease("other")
	load.State, load.Outcome = store.LoadEnding, store.LoadConfirmed
	_, joined := b.JoinLoad(b.Context(), l, load, []store.Joining{bob})
	_, refused := b.RefuseRows(b.Context(), l, load, []store.RowRefusal{{Row: 1}})
	_, ended := b.EndRows(b.Context(), l, load, b.rows(load, store.RowOpen))
	for what, err := range map[string]error{
		"SaveLoad": b.SaveLoad(b.Context(), l, load), "JoinLoad": joined, "RefuseRows": refused, "EndRows": ended,
		"SampleRows": b.SampleRows(b.Context(), l, load, []int{1}), "ReportPlan": b.ReportPlan(b.Context(), l, []byte("{}")),
	} {
		if consent.KindOf(err) != consent.Conflict {
			b.Errorf("%s: got %v", what, err)
		}
	}
	b.same("nothing changed", b.states(k, "ana", "bob"), []store.DeliveryState{store.Sent, store.Pending})
	open, err := b.OpenLoads(b.Context(), k)
	b.must(err)
	b.same("the load goes on where it was", open[0].State, store.LoadBuilding)
}

func fileOfLoad(b *bench) {
	k := b.integrate(acme, "i")
	load := b.joined(k, b.lease("node"), map[string]string{"ana": "p", "bob": "p", "cem": "-p"})
	b.accept(acme, as(event("e2", at(-8), no("p")), "bob", ""), as(event("e3", at(-8), yes("p")), "cem", ""))
	file := func(after int) []store.LoadRow {
		rows, err := b.FileRows(b.Context(), load, after, 10)
		b.must(err)
		return rows
	}
	b.same("rows", file(0), []store.LoadRow{{Row: 1, UserID: "ana", On: []bool{true}}, {Row: 3, UserID: "cem", On: []bool{false}}})
	b.same("from after one", len(file(1)), 1)
}

func loadOfNobody(b *bench) {
	k := b.integrate(acme, "i")
	b.integrate(acme, "other")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p"})
	b.remove(k)
	b.kind(b.SaveLoad(b.Context(), l, load), consent.NotFound)
	newest, err := b.Loads(b.Context(), k, 1)
	b.must(err)
	b.same("loads", len(newest), 0)
}

func forgottenRows(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p"})
	more, err := b.ForgetRows(b.Context(), load)
	b.must(err)
	b.same("rows", []any{more, len(b.rows(load, store.RowOpen))}, []any{false, 0})
	b.remove(k)
	newest, err := b.Loads(b.Context(), k, 1)
	b.must(err)
	b.same("with the integration the loads go", len(newest), 0)
}

func startedLoads(b *bench) {
	k := b.integrate(acme, "i")
	other := b.integrate(acme, "other")
	l := b.lease("node")
	save := func(k store.IntegrationKey, startedAt consent.Time) {
		b.must(b.SaveLoad(b.Context(), l, &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadDone, StartedAt: startedAt}))
	}
	now := consent.TimeOf(time.Now()) // ids are made by the real clock
	hours := func(n int) consent.Time { return now.Add(time.Duration(n) * time.Hour) }
	save(k, hours(-25))
	save(k, hours(-23))
	for range 100 {
		save(k, 0)
	}
	save(k, hours(-1))
	save(other, hours(-2))
	started, err := b.LoadsStarted(b.Context(), k, hours(-24))
	b.must(err)
	b.same("started", started, []consent.Time{hours(-23), hours(-1)})
}

package storetest

import (
	"fmt"
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
	"a refused row fails that person alone":                 refusedRow,
	"a row that is told by its number is in doubt":          numberedRow,
	"R22 success without rows is read back":                 untoldLoad,
	"who may have no profile is read back":                  strangersInLoad,
	"R22 a sample tells about the grants":                   sampledLoad,
	"a sample is of those who wait for the load":            sampleOfNobody,
	"an unclear load lets go, and is watched":               unclearLoad,
	"R22 an unclear load may have overwritten something":    unclearLoadOverwrote,
	"a load that was not applied lets go":                   notAppliedLoad,
	"more than the file can hold is due afterwards":         loadWithRest,
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

func refusedRow(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p", "cem": "-p"})
	found, err := b.RefuseRows(b.Context(), l, load, []store.RowRefusal{{Row: 1, UserID: "bob", Reason: "not a value"}, {UserID: "cem"}, {UserID: "nobody"}, {Row: 9}})
	b.must(err)
	b.same("found", found, 2)
	b.ended(l, load, store.LoadConfirmed)
	b.same("states", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Synced, store.Failed, store.Pending})
	b.same("its reason", b.delivery(k, "bob").LastError, "invalid: not a value")
	b.same("a refused withdrawal keeps its class", b.delivery(k, "cem").Class, store.LiveWithdrawal)
	b.same("nothing refused is known", b.delivery(k, "bob").Known.Subscriptions["News"].Unknown, true)
	newest, err := b.Loads(b.Context(), k, 1)
	b.must(err)
	b.same("counted", newest[0].Refused, int64(2))
}

func numberedRow(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p", "cem": "p"})
	found, err := b.RefuseRows(b.Context(), l, load, []store.RowRefusal{{Row: 1, Reason: "not a value"}})
	b.must(err)
	b.same("found", found, 1)
	b.ended(l, load, store.LoadConfirmed)
	b.same("it and the one beside it are read", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Sent, store.Sent, store.Synced})
	b.same("reads", b.readbacks(k), 2)
	b.same("why", b.delivery(k, "bob").LastError, "not a value")
}

func untoldLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "-p"})
	b.ended(l, load, store.LoadUntold)
	b.same("nobody is synced", b.states(k, "ana", "bob"), []store.DeliveryState{store.Sent, store.Sent})
	b.same("the withdrawal is to be read", b.readbacks(k), 1)
	b.same("the grant is left open", len(b.rows(load, store.RowOpen)), 1)
	d := b.delivery(k, "bob")
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Class: store.Ordinary, Known: known(false)}, false))
	b.same("once read it is compared", []any{b.delivery(k, "bob").State, b.delivery(k, "bob").Known}, []any{store.Pending, known(false)})
}

func strangersInLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.accept(acme, event("e1", at(-9), no("p")), as(event("e2", at(-9), yes("p")), "bob", ""))
	load := &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Columns: []string{"News"}}
	b.must(b.SaveLoad(b.Context(), l, load))
	ana, bob := b.joining(k, "ana", false), b.joining(k, "bob", true)
	ana.Stranger, bob.Stranger = true, true
	_, err := b.JoinLoad(b.Context(), l, load, []store.Joining{ana, bob})
	b.must(err)
	b.ended(l, load, store.LoadConfirmed)
	b.same("a withdrawal is not believed, a grant is", b.states(k, "ana", "bob"), []store.DeliveryState{store.Sent, store.Synced})
	b.same("it is to be read", b.readbacks(k), 1)
}

func sampledLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p"})
	b.ended(l, load, store.LoadUntold)
	b.must(b.SampleRows(b.Context(), l, load, []int{1}))
	b.same("read", b.readbacks(k), 1)
	sampled := b.rows(load, store.RowSampled)
	b.same("sampled", []any{len(sampled), sampled[0].UserID}, []any{1, "ana"})
	d := b.delivery(k, "ana")
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Class: store.Ordinary, Known: known(true)}, false))
	b.same("as it was read", []any{b.delivery(k, "ana").State, b.delivery(k, "ana").Known}, []any{store.Sent, known(true)})
	load.Outcome = store.LoadConfirmed
	b.endRows(l, load, store.RowOpen)
	b.same("the sample agreed", b.states(k, "bob"), []store.DeliveryState{store.Synced})
	b.endRows(l, load, store.RowSampled)
	b.same("the sample is compared by itself", []any{b.states(k, "ana")[0], len(b.rows(load, store.RowSampled))}, []any{store.Pending, 0})
}

func sampleOfNobody(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p"})
	b.accept(acme, event("e2", at(-8), no("p")))
	d := b.delivery(k, "ana")
	call := b.begin(l, d)
	b.ended(l, load, store.LoadUntold)
	b.must(b.SampleRows(b.Context(), l, load, []int{1, 2}))
	sampled := b.rows(load, store.RowSampled)
	b.same("only who waits for the load can tell of it", []any{len(sampled), sampled[0].UserID}, []any{1, "bob"})
	f := answered(d, call, b.now())
	f.Known = known(false)
	b.must(b.Finish(b.Context(), l, f))
	b.endRows(l, load, store.RowOpen)
	b.same("the withdrawal is sent again", b.states(k, "ana"), []store.DeliveryState{store.Pending})
}

func unclearLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "-p", "cem": "p"})
	load.Reason = "no answer"
	b.ended(l, load, store.LoadUnclear)
	b.same("due", b.states(k, "ana", "bob", "cem"), []store.DeliveryState{store.Pending, store.Pending, store.Pending})
	b.same("unknown", b.delivery(k, "ana").Known.Subscriptions["News"].Unknown, true)
	b.same("a withdrawal is read back after its next write", []any{b.delivery(k, "bob").Readback, b.delivery(k, "ana").Readback}, []any{2, 0})
	b.same("watched", len(b.rows(load, store.RowAgain)), 3)

	// Newer consent is sent, and then the file takes effect after all.
	b.accept(acme, event("e2", at(-8), no("p")))
	for _, person := range []string{"ana", "cem"} {
		d := b.delivery(k, person)
		f := answered(d, b.begin(l, d), b.now())
		f.Known = known(person == "cem")
		b.must(b.Finish(b.Context(), l, f))
	}
	b.endRows(l, load, store.RowAgain)
	b.same("who changed is sent again", b.states(k, "ana", "cem"), []store.DeliveryState{store.Pending, store.Synced})
	b.same("nothing is left", len(b.rows(load, store.RowAgain)), 0)
}

func unclearLoadOverwrote(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "p"})
	b.accept(acme, event("e2", at(-8), no("p")))
	sent := func() {
		d := b.delivery(k, "ana")
		f := answered(d, b.begin(l, d), b.now())
		f.Known = known(false)
		b.must(b.Finish(b.Context(), l, f))
	}
	sent()
	load.EndedAt = b.now()
	b.ended(l, load, store.LoadUnclear)
	b.same("sent again at once", []any{b.delivery(k, "ana").State, b.delivery(k, "ana").Class}, []any{store.Pending, store.LiveWithdrawal})
	b.endRows(l, load, store.RowAgain)
	sent()
	b.same("not read yet", b.readbacks(k), 0)
	b.endRows(l, load, store.RowAgain)
	b.same("read while the file may still take effect", []any{b.readbacks(k), len(b.rows(load, store.RowAgain))}, []any{1, 2})
	b.clock.pass(store.LateLoad)
	l = b.lease("node")
	b.endRows(l, load, store.RowAgain)
	b.same("and sent once more", []any{b.delivery(k, "ana").State, len(b.rows(load, store.RowAgain))}, []any{store.Pending, 0})
}

func notAppliedLoad(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	load := b.joined(k, l, map[string]string{"ana": "p", "bob": "-p"})
	load.Reason = "there is no such ETL"
	b.ended(l, load, store.LoadNotApplied)
	b.same("due", b.states(k, "ana", "bob"), []store.DeliveryState{store.Pending, store.Pending})
	b.same("in their classes", []store.Class{b.delivery(k, "ana").Class, b.delivery(k, "bob").Class}, []store.Class{store.Ordinary, store.LiveWithdrawal})
	b.same("since when they were", b.delivery(k, "bob").DueAt, noon)
	b.same("and why", b.delivery(k, "ana").LastError, "there is no such ETL")
	b.same("done", len(b.rows(load, store.RowDone)), 2)
	b.same("no call was made for them", len(b.trace(acme, b.person(acme, "ana")).Calls), 0)
}

func loadWithRest(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	b.accept(acme, event("e1", at(-9), yes("p")))
	load := &store.Load{IntegrationKey: k, LoadID: store.NewID(), State: store.LoadBuilding, Columns: []string{"News"}}
	b.must(b.SaveLoad(b.Context(), l, load))
	j := b.joining(k, "ana", true)
	j.Rest = true
	_, err := b.JoinLoad(b.Context(), l, load, []store.Joining{j})
	b.must(err)
	b.clock.pass(time.Minute)
	b.ended(b.lease("node"), load, store.LoadConfirmed)
	after := b.delivery(k, "ana")
	b.same("due for the rest", []any{after.State, after.Class, after.DueAt, after.Known.Subscriptions["News"].Value}, []any{store.Pending, store.Ordinary, at(1), true})
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

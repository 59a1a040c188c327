package storetest

import (
	"time"

	"consentsync/internal/store"
)

var loadEnds = group{
	"a refused row fails that person alone":              refusedRow,
	"a row that is told by its number is in doubt":       numberedRow,
	"R22 success without rows is read back":              untoldLoad,
	"who may have no profile is read back":               strangersInLoad,
	"R22 a sample tells about the grants":                sampledLoad,
	"a sample is of those who wait for the load":         sampleOfNobody,
	"an unclear load lets go, and is watched":            unclearLoad,
	"R22 an unclear load may have overwritten something": unclearLoadOverwrote,
	"a load that was not applied lets go":                notAppliedLoad,
	"more than the file can hold is due afterwards":      loadWithRest,
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

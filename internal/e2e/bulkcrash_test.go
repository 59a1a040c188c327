package e2e_test

import (
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// bulkCrash is a crash at one step of a load. docs/bulk.md says what follows.
type bulkCrash struct {
	name    string
	state   string           // that is found after the crash
	held    string           // by which change in the database it is held there; empty for the gate
	fault   simulator.Effect // of the call that hands the file over
	arrived bool             // Actito has the file by then
	outcome string           // of the load in the end
	counted int              // loads of the day
}

var bulkCrashes = []bulkCrash{
	{name: "while it is built", state: "building", held: `loads WHEN OLD.state = 'building'`, outcome: "not_applied"},
	{name: "before Actito has the file", state: "started", fault: simulator.EffectWithholdBefore, outcome: "unclear", counted: 1},
	{name: "before Actito has answered", state: "started", fault: simulator.EffectWithholdAfter, arrived: true, outcome: "unclear", counted: 1},
	{name: "while it runs", state: "running", arrived: true, outcome: "confirmed", counted: 1},
	// A page of rows is 200: the first is recorded, the second is not.
	{name: "while its end is recorded", state: "ending", held: `load_rows WHEN OLD.number > 200`, arrived: true, outcome: "confirmed", counted: 1},
}

// A crash at whichever step of a load loses nobody: who is in it ends as they
// chose, and so does who withdraws before the crash or after it, though the load
// may only then overwrite them (R22).
func TestR22ACrashAtEachStepOfALoad(t *testing.T) {
	parallelUnlessShort(t, crashes)
	for _, crash := range bulkCrashes {
		t.Run(crash.name, func(t *testing.T) {
			t.Parallel()
			crash.test(t)
		})
	}
}

func (crash bulkCrash) test(t *testing.T) {
	opts, gate := gated(simulator.ActitoOptions{})
	b, p := setupProcess(t, opts)
	id := b.integrate(bulky(nil))
	if crash.held != "" {
		b.execute(`CREATE TRIGGER held BEFORE UPDATE OF state ON ` + crash.held + ` BEGIN SELECT RAISE(ABORT, 'held by a test'); END`)
	}
	if crash.fault != "" {
		b.actito.Inject(simulator.Fault{Kind: simulator.KindTrigger, Effect: crash.fault, Times: 1})
	}
	if crash.state == "ending" {
		gate.open()
	}
	w, granting, _ := b.mixed(id, 240, 100)
	b.sees(id, "the load is "+crash.state, func(l loadView) bool {
		return l.State == crash.state && l.People > 200 && crash.arrived == (len(b.actito.Loads()) == 1)
	})
	b.hurry()
	// The first of those who grant are among the first rows, the last of them
	// among the last.
	last := len(granting) - 1
	before, after := []string{granting[0], granting[last]}, []string{granting[1], granting[last-1]}
	b.withdraw(before)
	p.kill()
	if crash.held != "" {
		b.execute(`DROP TRIGGER held`)
	}
	b.url = b.spawn().ready()
	b.withdraw(after)
	late := slices.Concat(before, after)
	for _, email := range late {
		delete(w, email) // a load may overwrite them until they are looked at again
	}
	if crash.outcome == "unclear" {
		b.settle("everybody, before the load is in effect,", w)
	}
	gate.open()
	b.actito.SettleLoads()
	b.settle("everybody", w)
	w = wants{}
	w.set(late, map[string]bool{"Newsletter": false, "Promotions": false})
	b.looks("who withdrew is right", func() bool {
		return !slices.ContainsFunc(late, func(email string) bool {
			p, _ := b.profile(email)
			return !w.right(p, email) || !b.synced(email)
		})
	})
	if load := b.load(id); load.Outcome != crash.outcome {
		t.Errorf("the load ended as %+v, want %s", load, crash.outcome)
	}
	if n := b.plan(id).Lanes.Bulk.LoadsToday; n != crash.counted {
		t.Errorf("%d loads of the day are used, want %d", n, crash.counted)
	}
}

// withdraw has people withdraw all, and waits until that is in Actito.
func (b *bundle) withdraw(people []string) {
	b.t.Helper()
	b.sendAll(inOrder(people, time.Now(), simulator.Choices{"newsletter": no(), "promotions": no()}, nil))
	b.looks("the withdrawals are sent", func() bool {
		return !slices.ContainsFunc(people, func(email string) bool {
			return b.on(email, "Newsletter") || b.on(email, "Promotions") || !b.synced(email)
		})
	})
}

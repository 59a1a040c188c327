package e2e_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// A backlog that would take minutes one by one goes by one load: everybody is
// synced with few calls, and it can be seen how.
func TestR22ABacklogGoesByOneLoad(t *testing.T) {
	t.Parallel()
	opts, gate := gated(simulator.ActitoOptions{})
	b := setup(t, opts)
	people := crowd("p", 180)
	putAll(t, b, people, nil)
	id := b.integrate(bulky(nil))
	w := wants{}
	w.set(people, map[string]bool{"Newsletter": true})
	b.pile(id, events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.sees(id, "a load runs", loadView.running)
	load := b.load(id)
	sent := b.sent(people)
	if len(sent) != load.People || load.People < 100 || load.Withdrawals != 0 || !slices.Equal(load.Columns, []string{"Newsletter"}) {
		t.Errorf("%d people are sent, in the load %+v", len(sent), load)
	}
	if known := b.person(sent[0]).Integrations[0].Known.Subscriptions; len(known) != 1 || known["Newsletter"] != nil {
		t.Errorf("while the load runs %v is known of who is in it, want that it is unknown", known)
	}
	b.looks("the plan tells of it", func() bool {
		p := b.plan(id)
		return p.Lanes.Bulk.Open && p.Lanes.Bulk.LoadsToday == 1 && p.Lanes.Bulk.LoadsLeft == 21 && p.Due["grants"].People > 0 &&
			p.Due["grants"].People <= 180-load.People && p.Lanes.Bulk.Reason != ""
	})
	gate.open()
	b.hurry() // those who were left to single calls
	b.settle("everybody", w)
	if n := b.actito.CallCount(simulator.KindUpdate); n != 180-load.People {
		t.Errorf("%d single calls were made for the %d who were not in the load", n, 180-load.People)
	}
	if n := b.actito.CallCount(simulator.KindTrigger); n != 1 {
		t.Errorf("%d loads were started", n)
	}
	b.sees(id, "the load is done", loadView.done)
	if load := b.load(id); load.Outcome != "confirmed" || load.Refused != 0 || load.Execution != b.actito.Loads()[0].ID {
		t.Errorf("the load is %+v", load)
	}
	if n := b.plan(id).Spent.PeopleLoaded; n != load.People {
		t.Errorf("%d people were loaded, want %d", n, load.People)
	}
	if got := b.trace(sent[0]); !slices.Equal(got, []string{"call load", "answer load ok"}) {
		t.Errorf("the trace has %v", got)
	}
}

// trace gives the calls and answers of a person's trace.
func (b *bundle) trace(email string) (lines []string) {
	b.t.Helper()
	var trace struct {
		Data []struct{ Kind, Operation, Outcome string }
	}
	b.must(http.MethodGet, "/v1/users/"+email+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
	for _, e := range trace.Data {
		switch e.Kind {
		case "call":
			lines = append(lines, "call "+e.Operation)
		case "answer":
			lines = append(lines, "answer "+e.Operation+" "+e.Outcome)
		}
	}
	return lines
}

// A withdrawal that arrives while a load runs reaches Actito at once, and again
// when the load has ended, for it may have overwritten it. A grant waits for
// the end. What no file holds follows by single calls (R22).
func TestR22ConsentDuringALoad(t *testing.T) {
	t.Parallel()
	opts, gate := gated(simulator.ActitoOptions{})
	b := setup(t, opts)
	people := crowd("p", 180)
	putAll(t, b, people, nil)
	id := b.integrate(bulky(nil))
	now := time.Now()
	var webhooks []object
	for _, email := range people {
		webhooks = append(webhooks, simulator.EventCreated(organization, simulator.Event{
			ID: "first " + email, OrganizationUserID: email, CreatedAt: now, Purposes: simulator.Choices{"newsletter": yes()},
			Metadata: map[string]any{"shop": "shop of " + email},
		}))
	}
	b.pile(id, webhooks)
	b.begun(id)
	b.sees(id, "a load runs", loadView.running)
	sent := b.sent(people)
	leaves, adds, plain := sent[0], sent[1], sent[2]
	seen := b.watch(leaves, "Newsletter")
	b.send(event("leaves", leaves, now.Add(time.Second), simulator.Choices{"newsletter": no()}))
	b.send(event("adds", adds, now.Add(time.Second), simulator.Choices{"promotions": yes()}))
	b.eventually("the withdrawal was sent at once", func() bool { return slices.Equal(seen.values(), []bool{false}) && b.synced(leaves) })
	b.stays("the grant waits", time.Second, func() bool { return b.person(adds).status() == "sent" })
	gate.open()
	b.eventually("it was sent again after the load", func() bool { return slices.Equal(seen.values(), []bool{false, true, false}) })
	w := wants{}
	w.set(people, map[string]bool{"Newsletter": true, "Promotions": false})
	w.set([]string{leaves}, map[string]bool{"Newsletter": false})
	w.set([]string{adds}, map[string]bool{"Promotions": true})
	b.settle("everybody", w)
	b.eventually("the attributes are there", func() bool {
		return !slices.ContainsFunc(people, func(email string) bool {
			p, _ := b.profile(email)
			return p.Attributes["shop"] != "shop of "+email
		})
	})
	if calls := b.callsFor(plain, simulator.KindUpdate); len(calls) != 1 || len(calls[0].Subscriptions) != 0 || calls[0].Attributes["shop"] == nil {
		t.Errorf("after the load these calls were made: %+v, want one with the attribute alone", calls)
	}
	for _, c := range b.callsFor(adds, simulator.KindUpdate) {
		if c.Started.Before(b.actito.Loads()[0].Finished) {
			t.Errorf("a grant was sent while the load ran: %+v", c)
		}
	}
}

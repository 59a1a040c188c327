package storetest

import (
	"fmt"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

var troubles = group{
	"people are grouped by state and reason":           troubleGroups,
	"a long reason is one with others that begin so":   troubleLong,
	"people come in pages, by reason":                  troublePages,
	"those of whom Didomi refuses to hear stand apart": troubleTowardsDidomi,
	"those in each state are counted":                  stateCounts,
	"a retry is a re-projection of some":               retryStarts,
	"a retry does not put a comparison of all off":     retryYields,
	"a retry forgives what was refused":                retryForgives,
	"effects add up, and the old are forgotten":        effects,
	"effects are told under a lease, of what is there": effectsFenced,
}

// inTrouble brings somebody into a state for a reason.
func (b *bench) inTrouble(k store.IntegrationKey, person string, state store.DeliveryState, reason string) {
	b.Helper()
	b.accept(k.Organization, as(event("e-"+person, at(-9), yes("p")), person, ""))
	d, l := b.delivery(k, person), b.lease("node")
	f := answered(d, b.begin(l, d), noon)
	f.State, f.LastError = state, reason
	b.must(b.Finish(b.Context(), l, f))
}

func (b *bench) someInTrouble() store.IntegrationKey {
	b.Helper()
	k := b.integrate(acme, "i")
	b.inTrouble(k, "a", store.Failed, "invalid: x")
	b.inTrouble(k, "b", store.Failed, "invalid: y")
	b.inTrouble(k, "c", store.Failed, "invalid: x")
	b.inTrouble(k, "d", store.Unmatched, "no profile")
	b.inTrouble(k, "e", store.Synced, "")
	return k
}

func troubleGroups(b *bench) {
	k := b.someInTrouble()
	got, err := b.Troubles(b.Context(), k)
	b.must(err)
	b.same("groups", got, []store.Trouble{
		{Target: store.TargetActito, State: store.Failed, Reason: "invalid: x", People: 2},
		{Target: store.TargetActito, State: store.Failed, Reason: "invalid: y", People: 1},
		{Target: store.TargetActito, State: store.Unmatched, Reason: "no profile", People: 1},
	})
	none, err := b.Troubles(b.Context(), b.integrate(acme, "j"))
	b.must(err)
	b.same("of another", len(none), 0)
}

func troubleLong(b *bench) {
	k := b.integrate(acme, "i")
	begin := strings.Repeat("ü", 200)
	b.inTrouble(k, "a", store.Failed, begin+"1")
	b.inTrouble(k, "b", store.Failed, begin+"2")
	got, err := b.Troubles(b.Context(), k)
	b.must(err)
	b.same("groups", got, []store.Trouble{{Target: store.TargetActito, State: store.Failed, Reason: begin, People: 2}})
	people, err := b.Troubled(b.Context(), k, store.Only{State: store.Failed, Reason: begin}, store.TroubleCursor{}, 10)
	b.must(err)
	b.same("people", len(people), 2)
	b.same("all of the error", store.ReasonOf(people[0].LastError), begin)
}

func troublePages(b *bench) {
	k := b.someInTrouble()
	for _, x := range []struct {
		only store.Only
		want int
	}{
		{store.Only{State: store.Failed}, 3},
		{store.Only{State: store.Failed, Reason: "invalid: x"}, 2},
		{store.Only{State: store.Unmatched}, 1},
		{store.Only{State: store.Unmatched, Reason: "invalid: x"}, 0},
	} {
		var seen []string
		for after := (store.TroubleCursor{}); ; {
			page, err := b.Troubled(b.Context(), k, x.only, after, 1)
			b.must(err)
			if len(page) == 0 {
				break
			}
			after = store.TroubleCursor{Reason: store.ReasonOf(page[0].LastError), Person: page[0].Person}
			b.same("cursor", store.TroubleCursorOf(after.Bytes()), after)
			seen = append(seen, fmt.Sprint(page[0].LastError, page[0].Person))
		}
		b.same(fmt.Sprintf("people of %+v", x.only), len(seen), x.want)
		for i := 1; i < len(seen); i++ {
			if seen[i-1] >= seen[i] {
				b.Errorf("%q comes before %q", seen[i-1], seen[i])
			}
		}
	}
}

func troubleTowardsDidomi(b *bench) {
	k := b.someInTrouble()
	b.hear(k, rumour("1", "7", false))
	l := b.lease("node")
	b.must(b.SettleNews(b.Context(), l, b.refusal(b.pendingNews(k)[0])))
	due, err := b.NextDue(b.Context(), k, store.TargetDidomi, store.LiveWithdrawal, 10)
	b.must(err)
	f := answered(due[0], b.begin(l, due[0]), noon)
	f.State, f.LastError = store.Failed, "invalid: x"
	b.must(b.Finish(b.Context(), l, f))

	groups, err := b.Troubles(b.Context(), k)
	b.must(err)
	b.same("the last group", groups[len(groups)-1], store.Trouble{Target: store.TargetDidomi, State: store.Failed, Reason: "invalid: x", People: 1})
	b.same("groups", len(groups), 4)
	for _, only := range []store.Only{{Target: store.TargetDidomi, State: store.Failed}, {Target: store.TargetDidomi, State: store.Failed, Reason: "invalid: x"}} {
		found, err := b.Troubled(b.Context(), k, only, store.TroubleCursor{}, 10)
		b.must(err)
		b.same("who", len(found), 1)
		b.same("it is", []any{found[0].Person, found[0].Target}, []any{due[0].Person, store.TargetDidomi})
	}
	counts, err := b.States(b.Context(), k)
	b.must(err)
	b.same("counted", counts, store.Standings{Failed: 3, Unmatched: 1, FailedToDidomi: 1})
	found, err := b.Troubled(b.Context(), k, store.Only{State: store.Failed, Reason: "invalid: x"}, store.TroubleCursor{}, 10)
	b.must(err)
	b.same("of Actito", len(found), 2)
	// A retry of theirs makes them due towards Didomi alone.
	only := store.Only{Target: store.TargetDidomi, State: store.Failed, Reason: "invalid: x"}
	b.must(b.StartRetry(b.Context(), k, only))
	r := b.running()[0]
	b.same("the retry", r.Only, only)
	r.State = store.ReprojectionDone
	b.must(b.AdvanceReprojection(b.Context(), r, []store.Due{{
		SubjectKey: store.SubjectKey{Organization: acme, Person: due[0].Person}, Class: store.BackfilledRefusal, ConsentAt: b.now(), At: b.now(),
	}}))
	counts, err = b.States(b.Context(), k)
	b.must(err)
	b.same("counted after it", counts, store.Standings{Failed: 3, Unmatched: 1})
	again, err := b.NextDue(b.Context(), k, store.TargetDidomi, store.BackfilledRefusal, 10)
	b.must(err)
	b.same("due again", len(again), 1)
}

func stateCounts(b *bench) {
	k := b.someInTrouble()
	b.accept(acme, as(event("e9", at(-1), yes("p")), "f", ""))
	b.begin(b.lease("node"), b.delivery(k, "f"))
	got, err := b.States(b.Context(), k)
	b.must(err)
	b.same("states", got, store.Standings{InFlight: 1, Failed: 3, Unmatched: 1})
}

func retryStarts(b *bench) {
	k := b.someInTrouble()
	only := store.Only{State: store.Failed, Reason: "invalid: x", From: at(-5), To: at(-1)}
	b.kind(b.StartRetry(b.Context(), b.started("j").IntegrationKey, only, changeOf(acme, "j", "retried")), consent.Conflict) // everybody is compared
	b.same("not recorded", len(b.recorded(acme, "j")), 0)
	b.must(b.StartRetry(b.Context(), k, only, changeOf(acme, "i", "retried")))
	r, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.same("retry", r, store.Reprojection{IntegrationKey: k, State: store.ReprojectionCounting, StartedAt: noon, Only: only})
	b.same("recorded", len(b.recorded(acme, "i")), 1)
	b.kind(b.StartRetry(b.Context(), k, store.Only{State: store.Unmatched}, changeOf(acme, "i", "retried")), consent.Conflict) // it is not done
	b.same("not recorded either", len(b.recorded(acme, "i")), 1)
	r.State = store.ReprojectionAsking
	b.must(b.AdvanceReprojection(b.Context(), r, nil))
	b.must(b.StartRetry(b.Context(), k, store.Only{State: store.Unmatched})) // instead of one that waits
	again, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.same("another", []any{again.Only.State, again.State}, []any{store.Unmatched, store.ReprojectionCounting})
	b.must(b.AdvanceReprojection(b.Context(), r, nil)) // of the one before: behind
	is, _, err := b.Reprojection(b.Context(), k)
	b.must(err)
	b.same("the other goes on", is, again)
	b.kind(b.StartRetry(b.Context(), store.IntegrationKey{Organization: acme, ID: "nowhere"}, only), consent.Conflict)
}

func retryYields(b *bench) {
	k := b.someInTrouble()
	b.must(b.StartRetry(b.Context(), k, store.Only{State: store.Failed}))
	i, err := b.Integration(b.Context(), k)
	b.must(err)
	i.Revision++
	b.must(b.UpdateIntegration(b.Context(), i))
	b.same("of everybody", b.running()[0].Only, store.Only{})
}

func retryForgives(b *bench) {
	k := b.someInTrouble()
	refused := consent.Known{Attributes: map[string]consent.Fact{"age": {Value: "41", Suspect: true, Refused: new("41"), Why: "no number"}}}
	d, l := b.delivery(k, "a"), b.lease("node")
	b.must(b.RecordRead(b.Context(), l, store.Finish{DeliveryKey: d.DeliveryKey, Known: refused}, false))
	b.must(b.StartRetry(b.Context(), k, store.Only{State: store.Failed}))
	b.must(b.AdvanceReprojection(b.Context(), b.running()[0], []store.Due{{
		SubjectKey: store.SubjectKey{Organization: acme, Person: d.Person}, Class: store.Ordinary, ConsentAt: noon, At: noon,
	}}))
	is := b.delivery(k, "a")
	b.same("due", is.State, store.Pending)
	b.same("forgiven", is.Known, refused.Forgive())
}

func effects(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	one := store.Effect{At: noon, Withdrawal: true, Step: 3, People: 2}
	b.must(b.AddEffects(b.Context(), l, k, []store.Effect{one, {At: noon, Step: 3, People: 5}}))
	b.must(b.AddEffects(b.Context(), l, k, []store.Effect{one}))
	got, err := b.Effects(b.Context(), k, noon)
	b.must(err)
	b.same("effects", got, []store.Effect{{At: noon, Step: 3, People: 5}, {At: noon, Withdrawal: true, Step: 3, People: 4}})
	got, err = b.Effects(b.Context(), k, noon+1)
	b.must(err)
	b.same("later", len(got), 0)
	b.clock.pass(store.EffectsKept + time.Second)
	later := store.Effect{At: store.EffectInterval(b.now()), Step: 1, People: 1}
	b.must(b.AddEffects(b.Context(), b.lease("node"), k, []store.Effect{later}))
	got, err = b.Effects(b.Context(), k, 0)
	b.must(err)
	b.same("kept", got, []store.Effect{later})
}

func effectsFenced(b *bench) {
	k := b.integrate(acme, "i")
	l := b.lease("node")
	gone := l
	gone.Epoch--
	b.kind(b.AddEffects(b.Context(), gone, k, []store.Effect{{At: noon, People: 1}}), consent.Conflict)
	b.must(b.AddEffects(b.Context(), l, store.IntegrationKey{Organization: acme, ID: "nowhere"}, []store.Effect{{At: noon, People: 1}}))
	got, err := b.Effects(b.Context(), store.IntegrationKey{Organization: acme, ID: "nowhere"}, 0)
	b.must(err)
	b.same("of nothing", len(got), 0)
	b.must(b.AddEffects(b.Context(), l, k, []store.Effect{{At: noon, People: 1}}))
	b.must(b.DeleteIntegration(b.Context(), k))
	b.must(b.Sweep(b.Context()))
	got, err = b.Effects(b.Context(), k, 0)
	b.must(err)
	b.same("of what is deleted", len(got), 0)
}

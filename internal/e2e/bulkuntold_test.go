package e2e_test

import (
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// mixed piles up people who grant, and people who refuse something, of whom
// those over sixty go by a load, with all who grant. It gives what
// they chose.
func (b *bundle) mixed(id string, grants, refusals int) (w wants, granting, refusing []string) {
	b.t.Helper()
	granting, refusing = crowd("g", grants), crowd("r", refusals)
	putAll(b.t, b, granting, nil)
	putAll(b.t, b, refusing, map[string]bool{"Promotions": true})
	w = wants{}
	w.set(granting, map[string]bool{"Newsletter": true, "Promotions": true})
	w.set(refusing, map[string]bool{"Newsletter": true, "Promotions": false})
	now := time.Now().Add(-time.Minute)
	b.pile(id, inOrder(granting, now, simulator.Choices{"newsletter": yes(), "promotions": yes()}, nil),
		inOrder(refusing, now, simulator.Choices{"newsletter": yes(), "promotions": no()}, nil))
	return w, granting, refusing
}

// Where Actito tells nothing of single rows, whoever refused something is read
// back before they count as synced, and who granted stays sent until a sample
// of them was read (R22).
func TestR22AnUntoldLoadIsReadBack(t *testing.T) {
	t.Parallel()
	opts, gate := gated(simulator.ActitoOptions{LoadResults: simulator.LoadResultsNone})
	b := setup(t, opts)
	id := b.integrate(bulky(nil))
	w, granting, refusing := b.mixed(id, 115, 85)
	b.begun(id)
	b.sees(id, "the load runs", loadView.running)
	granting, refusing = b.sent(granting), b.sent(refusing)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindRead, Latency: 300 * time.Millisecond})
	gate.open()
	read := func(people []string) (n int) {
		for _, email := range people {
			if calls := b.callsFor(email, simulator.KindRead); len(calls) > 0 && !calls[0].Finished.IsZero() {
				n++
			}
		}
		return n
	}
	if len(granting) < 100 || len(refusing) < 15 {
		t.Fatalf("%d granting and %d refusing people were in the load", len(granting), len(refusing))
	}
	o, told := b.observer(w), 0 // how many had been read when the first of the others was believed
	b.looks("who granted is believed", func() bool {
		all := b.allSynced(granting)
		o.look()
		n := read(granting)
		if told == 0 && slices.ContainsFunc(granting, func(email string) bool { return b.synced(email) && len(b.callsFor(email, simulator.KindRead)) == 0 }) {
			told = n
		}
		for _, email := range refusing {
			if b.synced(email) && read([]string{email}) == 0 {
				t.Fatalf("%s refused something and is synced though nobody looked", email)
			}
		}
		return all
	})
	b.settle("everybody", w)
	if n := read(granting); told != n || n < 15 || n > 20 {
		t.Errorf("the others were believed after %d of %d reads, want all of a sample of about 20", told, n)
	}
	if n := read(refusing); n != len(refusing) {
		t.Errorf("%d of the %d who refused were read", n, len(refusing))
	}
	b.sees(id, "the load is done", loadView.done)
	if load := b.load(id); load.Outcome != "confirmed" {
		t.Errorf("the load is %+v", load)
	}
}

// A load that changed nothing, of which Actito says that it went well: nobody
// counts as synced for it, and everybody is served alone (R22).
func TestR22ALoadThatPretends(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1, LoadResults: simulator.LoadResultsNone})
	id := b.integrate(bulky(nil))
	b.actito.Inject(simulator.Fault{Kind: simulator.KindTrigger, Effect: simulator.EffectLoadPretends})
	w, _, _ := b.mixed(id, 115, 85)
	b.begun(id)
	b.settle("everybody", w)
	if load := b.load(id); load.Outcome != "unclear" || load.Reason == "" {
		t.Errorf("the load is %+v", load)
	}
}

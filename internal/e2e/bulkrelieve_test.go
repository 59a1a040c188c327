package e2e_test

import (
	"net/http"
	"testing"

	"consentsync/internal/simulator"
)

// A withdrawal does not wait for a load that takes too long, whether that runs
// on or cannot be asked after: it goes by a call of its own while the load is
// open, and stands when the load is over, whatever the file wrote meanwhile.
// Grants stay in the load.
func TestR22WithdrawalsLeaveASlowLoad(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]simulator.Fault{
		"that runs on":              nil,
		"that is not told of":       {{Kind: simulator.KindExecution, Effect: simulator.EffectStatus, Status: http.StatusForbidden, Times: 1000}},
		"of which nothing is known": {{Kind: simulator.KindExecution, Effect: simulator.EffectStatus, Status: http.StatusBadGateway, Times: 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, gate := gated(simulator.ActitoOptions{})
			b := setup(t, opts)
			for _, fault := range faults {
				b.actito.Inject(fault)
			}
			id := b.integrate(bulky(nil))
			w, granting, refusing := b.mixed(id, 115, 85)
			b.begun(id)
			b.sees(id, "the load runs", loadView.running)
			granting, refusing = b.sent(granting), b.sent(refusing)
			if len(granting) < 50 || len(refusing) < 10 {
				t.Fatalf("%d granting and %d refusing people were in the load", len(granting), len(refusing))
			}
			// Only now, so that none leaves before it was seen in the load.
			b.change(id, `{"properties":{"bulk_withdrawals_after_seconds":1}}`)
			b.looks("withdrawals in the load are in effect", func() bool {
				for _, email := range refusing {
					if p, _ := b.profile(email); p.Subscriptions["Promotions"] {
						return false
					}
				}
				return true
			})
			if !b.load(id).running() {
				t.Fatalf("the load is %+v", b.load(id))
			}
			if stay := b.sent(granting); len(stay) != len(granting) {
				t.Errorf("%d of %d who granted are still in the load", len(stay), len(granting))
			}
			if faults != nil {
				return // it would stay open for longer than a test
			}
			gate.open()
			b.actito.SettleLoads()
			b.sees(id, "the load has ended", func(load loadView) bool { return load.Outcome == "confirmed" })
			b.settle("everybody", w)
			for _, email := range refusing {
				if n := len(b.callsFor(email, simulator.KindUpdate)); n < 2 {
					t.Errorf("%s was written %d times: the load may have come last", email, n)
				}
			}
		})
	}
}

package e2e_test

import (
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// A mapping that is added while people are in a load reaches them too, and
// their grants, which are live consent, are neither counted nor held (R12, R23).
func TestR12AMappingAddedDuringALoad(t *testing.T) {
	t.Parallel()
	opts, gate := gated(simulator.ActitoOptions{})
	b := setup(t, opts)
	people := crowd("p", 180)
	putAll(t, b, people, nil)
	id := b.integrate(func(in object) {
		bulky(nil)(in)
		in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
	})
	b.pile(id, events(people, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": yes()}))
	b.begun(id)
	b.sees(id, "a load runs", loadView.running)
	b.change(id, mappings("Newsletter", "Promotions"))
	b.looks("the change was compared", func() bool { return b.integration(id).Reprojection == nil })
	gate.open()
	w := wants{}
	w.set(people, map[string]bool{"Newsletter": true, "Promotions": true})
	b.settle("everybody", w)
}

// A mapping that is added while a call is under way reaches that profile too
// (R12).
func TestR12AMappingAddedDuringACall(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	id := b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
	})
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Latency: time.Second, Times: 1})
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": yes()}))
	b.eventually("a call is under way", func() bool { return b.actito.CallCount(simulator.KindUpdate) == 1 })
	b.change(id, mappings("Newsletter", "Promotions"))
	b.eventually("the new mapping is delivered", func() bool { return b.on(anna, "Newsletter") && b.on(anna, "Promotions") && b.synced(anna) })
}

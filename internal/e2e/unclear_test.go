package e2e_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// impatient gives a call 1.5 s, so that a test need not wait for a minute.
func impatient(c *app.Config) { c.CallTimeout = 1500 * time.Millisecond }

const anna = "anna@example.com"

// history records what a subscription of a profile was over time.
type history struct {
	mu   sync.Mutex
	seen []bool
}

func (b *bundle) watch(email, subscription string) *history {
	h := &history{}
	b.actito.OnChange(func(c simulator.Change) {
		if c.After.Attributes["emailAddress"] != email || c.Edit {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.seen = append(h.seen, c.After.Subscriptions[subscription])
	})
	return h
}

func (h *history) values() []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

// After a call without an answer the profile is written again, read back at
// once, and read once more after the delay; then no more (R13, R16).
func TestR16WithheldAnswer(t *testing.T) {
	parallelUnlessShort(t, timed)
	for name, effect := range map[string]simulator.Effect{
		"applied":     simulator.EffectWithholdAfter,
		"not applied": simulator.EffectWithholdBefore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, impatient)
			mustPut(t, b, anna)
			b.integrate(nil)
			b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: effect, Times: 1})
			b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
			b.eventually("while the call is under way what it carries is unknown", func() bool {
				p := b.person(anna)
				known, told := p.Integrations[0].Known.Subscriptions["Newsletter"]
				return p.status() == "in_flight" && told && known == nil && b.actito.CallCount(simulator.KindUpdate) == 1
			})
			b.eventually("the profile is right and known to be", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
			b.eventually("the delayed read was made", func() bool { return b.actito.CallCount(simulator.KindRead) == 2 })
			b.stays("two reads and two writes are all", 1500*time.Millisecond, func() bool {
				return b.actito.CallCount(simulator.KindRead) == 2 && b.actito.CallCount(simulator.KindUpdate) == 2
			})
			calls := b.callsFor(anna, simulator.KindUpdate, simulator.KindRead)
			if between := calls[3].Started.Sub(calls[2].Finished); between < b.cfg.ReadbackDelay {
				t.Errorf("the second read came %v after the first, want %v at least", between, b.cfg.ReadbackDelay)
			}
		})
	}
}

// A call that was given up lands after a newer one, with the older value: the
// delayed read finds it, and it is corrected (R16).
func TestR16LateApplication(t *testing.T) {
	parallelUnlessShort(t, timed)
	for name, fault := range map[string]simulator.Fault{
		"of a withheld answer": {Effect: simulator.EffectWithholdBefore},
		"of a 500":             {Effect: simulator.EffectStatus, Status: http.StatusInternalServerError},
		"of a reset":           {Effect: simulator.EffectResetBefore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The old value lands later than the longest first back-off of 2 s
			// and before the delayed read.
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, impatient, func(c *app.Config) { c.ReadbackDelay = 4 * time.Second })
			mustPut(t, b, anna)
			b.integrate(nil)
			seen := b.watch(anna, "Newsletter")
			fault.Kind, fault.Times, fault.ApplyLate = simulator.KindUpdate, 1, 3*time.Second
			b.actito.Inject(fault)
			now := time.Now()
			b.send(event("e1", anna, now, simulator.Choices{"newsletter": yes()}))
			b.eventually("the first call is under way", func() bool { return b.actito.CallCount(simulator.KindUpdate) == 1 })
			b.send(event("e2", anna, now.Add(time.Millisecond), simulator.Choices{"newsletter": no()}))
			b.eventually("the withdrawal was written", func() bool { return b.synced(anna) && len(seen.values()) == 1 })
			b.actito.Settle()
			if got := seen.values(); !slices.Equal(got, []bool{false, true}) {
				t.Fatalf("the subscription was %v, so this tests nothing: want the old value after the new one", got)
			}
			b.eventually("the delayed read found it and it was corrected", func() bool {
				return !b.on(anna, "Newsletter") && b.synced(anna)
			})
			// Once more where the old value landed between a write and its read.
			if n := b.actito.CallCount(simulator.KindRead); n < 2 || n > 3 {
				t.Errorf("the profile was read %d times, want twice", n)
			}
		})
	}
}

// A read-back that finds the profile gone has it written again.
func TestR16ProfileGoneAtTheDelayedRead(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, impatient, func(c *app.Config) { c.ReadbackDelay = time.Second })
	mustPut(t, b, anna)
	b.integrate(nil)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectResetAfter, Times: 1})
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": no(), "promotions": yes()}))
	b.eventually("written and read back", func() bool { return b.synced(anna) && b.actito.CallCount(simulator.KindRead) == 1 })
	b.actito.DeleteProfile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", anna)
	b.eventually("the profile was made again", func() bool { return b.on(anna, "Promotions") && b.synced(anna) })
}

// An Actito that never shows what was written to it is asked ever more rarely.
func TestR16ReadsThatNeverAgree(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	b.integrate(nil)
	b.actito.Inject(simulator.Fault{
		Kind: simulator.KindRead, Effect: simulator.EffectContent, ContentType: "application/json",
		Body: `{"profileId":1,"attributes":{},"subscriptions":{"PartnerOffers":false}}`,
	})
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectResetAfter, Times: 1})
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("it is read", func() bool { return b.actito.CallCount(simulator.KindRead) > 0 })
	pause(5 * time.Second)
	if n := b.actito.CallCount(simulator.KindRead); n > 25 {
		t.Errorf("the profile was read %d times within 5 s", n)
	}
	b.actito.ClearFaults()
	b.eventually("it comes to rest", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
}

// A key without the right to read costs the read-back, and nothing else.
func TestR16WithoutTheRightToRead(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	b.actito.AddKey("blind", simulator.RightWriteProfiles, simulator.RightReadTables)
	id := b.integrate(func(in object) { in["authentication"] = object{"private_api_key": "blind"} })
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectResetAfter, Times: 1})
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("written", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
	b.quiet(1500 * time.Millisecond)
	if n := b.actito.CallCount(simulator.KindRead); n > 2 {
		t.Errorf("the read was tried %d times", n)
	}
	if v := b.integration(id); v.Status != "active" || v.Reason == "" {
		t.Errorf("the integration is %s because of %q, want it active with a reason", v.Status, v.Reason)
	}
}

// The process is killed while Actito holds the answer back: after the restart
// the delivery is due again, and read back (R13, R16).
func TestR16CrashWithACallInFlight(t *testing.T) {
	t.Parallel()
	b, p := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	b.integrate(nil)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectWithholdBefore, Times: 1})
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("the call is under way", func() bool { return b.actito.CallCount(simulator.KindUpdate) == 1 })
	p.kill()
	b.url = b.spawn().ready()
	b.eventually("it was made again", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
	b.eventually("and read back twice", func() bool { return b.actito.CallCount(simulator.KindRead) == 2 })
	b.stays("and that is all", time.Second, func() bool {
		return b.actito.CallCount(simulator.KindRead) == 2 && b.actito.CallCount(simulator.KindUpdate) == 2
	})
}

// A crash hides that a withdrawal was applied. A grant that follows is sent,
// though it is what was known before the withdrawal (R13).
func TestR13CrashHidesWhatWasApplied(t *testing.T) {
	t.Parallel()
	b, p := setupProcess(t, simulator.ActitoOptions{CallsPerMinute: -1})
	mustPut(t, b, anna)
	b.integrate(nil)
	now := time.Now()
	b.send(event("e1", anna, now, simulator.Choices{"newsletter": yes()}))
	b.eventually("it is on", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
	b.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Effect: simulator.EffectWithholdAfter, Times: 1})
	b.send(event("e2", anna, now.Add(time.Millisecond), simulator.Choices{"newsletter": no()}))
	b.eventually("it is off, and nobody knows", func() bool { return !b.on(anna, "Newsletter") })
	// Without a token nothing can be sent before the grant has come.
	noToken := b.actito.Inject(simulator.Fault{Kind: simulator.KindToken, Effect: simulator.EffectStatus, Status: http.StatusServiceUnavailable})
	p.kill()
	b.url = b.spawn().ready()
	b.send(event("e3", anna, now.Add(2*time.Millisecond), simulator.Choices{"newsletter": yes()}))
	noToken()
	b.eventually("the grant is written", func() bool { return b.on(anna, "Newsletter") && b.synced(anna) })
}

// Two integrations on one table never have two calls under way for a profile,
// though several are under way for different ones (R14).
func TestR14OneCallForAProfile(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 50 * time.Millisecond})
	people := crowd("p", 8)
	putAll(t, b, people, nil)
	b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
	})
	b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "Promotions", "value": "consents_purposes_promotions_enabled"}}
	})
	b.actito.ResetCounters()
	start := time.Now()
	for round := range 12 {
		on := round%2 == 0
		var list []object
		for i, email := range people {
			// At times of their own, so that the two deliveries of a person
			// follow one another.
			at := start.Add(time.Duration(round*len(people)+i) * time.Millisecond)
			list = append(list, events([]string{email}, at, simulator.Choices{"newsletter": new(on), "promotions": new(on)})...)
		}
		b.sendAll(list)
		pause(100 * time.Millisecond)
	}
	b.eventually("both integrations are through", func() bool {
		for _, email := range people {
			p := b.person(email)
			if b.on(email, "Newsletter") || b.on(email, "Promotions") || p.status() != "synced" || p.Integrations[1].Status != "synced" {
				return false
			}
		}
		return true
	})
	if n := b.actito.MaxOverlap(); n != 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}
	if n := b.actito.MaxConcurrent(); n < 2 {
		t.Errorf("%d calls at most were under way at once, so this tests nothing", n)
	}
}

package e2e_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// However much is due, no stretch of time sees more calls than the budget of a
// minute allows for it, and never are more under way than configured.
func TestBudgetIsKept(t *testing.T) {
	t.Parallel()
	const perMinute, burst = 120, 120 / 18
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, Latency: 600 * time.Millisecond, MaxConcurrent: -1})
	known, missing := crowd("k", 60), crowd("m", 20)
	putAll(t, b, known, nil)
	b.integrate(func(in object) {
		in["properties"].(object)["calls_per_minute"] = perMinute
		in["properties"].(object)["concurrency"] = 2
	})
	b.actito.ResetCounters()
	b.sendAll(events(known, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.sendAll(events(missing, time.Now(), simulator.Choices{"newsletter": no()})) // several calls each
	pause(15 * time.Second)

	calls := b.actito.Calls()
	// What a burst and the steady rate allow of a minute is the minute's number.
	const rate = float64(perMinute-burst+1) / 60
	for i, first := range calls {
		for n, last := range calls[i:] {
			if allowed := burst + rate*last.Started.Sub(first.Started).Seconds() + 0.5; float64(n+1) > allowed {
				t.Fatalf("%d calls within %v, want %.1f at most", n+1, last.Started.Sub(first.Started), allowed)
			}
		}
	}
	if len(calls) < 25 {
		t.Errorf("%d calls were made in 15 s: the budget is not used", len(calls))
	}
	if n := b.actito.MaxConcurrent(); n != 2 {
		t.Errorf("%d calls were under way at once, want 2", n)
	}
}

// An outage is not answered with a storm, and everything is right afterwards.
func TestOutage(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 80)
	putAll(t, b, people, map[string]bool{"Promotions": true})
	b.integrate(nil)
	over := b.actito.Inject(simulator.Fault{Effect: simulator.EffectResetBefore})
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes(), "promotions": no()}))
	b.eventually("it was tried", func() bool { return b.actito.CallCount(simulator.KindUpdate) > 0 })
	before := b.actito.CallCount()
	pause(3 * time.Second)
	if n := b.actito.CallCount() - before; n > 40 {
		t.Errorf("%d calls were made in 3 s of an outage", n)
	}
	over()
	b.within(45*time.Second, "everybody is served", func() bool { // it rests 30 s at most
		return !slices.ContainsFunc(people, func(email string) bool { return !b.on(email, "Newsletter") || b.on(email, "Promotions") }) &&
			b.allSynced(people)
	})
	if n := b.actito.MaxOverlap(); n > 1 {
		t.Errorf("%d calls were under way for one profile at once", n)
	}
}

// A long wait that Actito asks for is waited by the whole licence, and no
// longer than asked for.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
			people := crowd("p", 20)
			putAll(t, b, people, nil)
			b.integrate(nil)
			b.actito.Inject(simulator.Fault{
				Kind: simulator.KindUpdate, Effect: simulator.EffectStatus, Status: status, RetryAfter: 3 * time.Second, Times: 1,
			})
			b.send(event("first", people[0], time.Now(), simulator.Choices{"newsletter": yes()}))
			b.eventually("it was refused", func() bool {
				return slices.ContainsFunc(b.actito.Calls(), func(c simulator.Call) bool { return c.Status == status }) &&
					b.person(people[0]).status() != "in_flight" // the answer was seen
			})
			at := time.Now()
			b.actito.ResetCounters()
			b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
			b.eventually("everybody is served", func() bool { return b.allSynced(people) && b.on(people[19], "Newsletter") })
			first := b.actito.Calls()[0].Started.Sub(at)
			if first < 2800*time.Millisecond || first > 4500*time.Millisecond {
				t.Errorf("the next call came after %v, want 3 s", first)
			}
		})
	}
}

package e2e_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// An outage is not answered with a storm, and everything is right afterwards.
func TestOutage(t *testing.T) {
	parallelUnlessShort(t, timed)
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
	b.eventually("everybody is served", func() bool {
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
	parallelUnlessShort(t, timed)
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
			b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
			b.eventually("everybody is served", func() bool { return b.allSynced(people) && b.on(people[19], "Newsletter") })
			calls := b.actito.Calls()
			n := slices.IndexFunc(calls, func(c simulator.Call) bool { return c.Status == status })
			if rest := calls[n+1].Started.Sub(calls[n].Finished); rest < 3*time.Second || rest > 10*time.Second {
				t.Errorf("the next call came after %v, want 3 s", rest)
			}
		})
	}
}

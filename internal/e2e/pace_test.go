package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Actito answers more slowly what exceeds its calls a minute: the pace falls,
// and the plan says so.
func TestThePaceFallsWhenActitoSlowsDown(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: 30})
	people := crowd("p", 200)
	putAll(t, b, people, nil)
	id := b.integrate(func(in object) { in["properties"].(object)["calls_per_minute"] = 600 })
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	start := b.actito.CallCount(simulator.KindUpdate)
	began := time.Now()
	b.eventually("the plan shows a lower pace and why", func() bool {
		p := b.plan(id).Licence
		return p.CallsPerMinute <= 480 && p.MostCallsPerMinute == 600 && p.PaceReason == "Actito answers slowly"
	})
	if n, took := b.actito.CallCount(simulator.KindUpdate)-start, time.Since(began); float64(n) > 33+5*took.Seconds() {
		t.Errorf("%d calls were made in %v, half of what is configured is %.0f", n, took, 33+5*took.Seconds())
	}
}

// Actito refuses what is too many at once: fewer are made at once.
func TestFewerAtOnceWhenActitoRefuses(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, MaxConcurrent: 2, Latency: 100 * time.Millisecond})
	people := crowd("p", 60)
	putAll(t, b, people, nil)
	id := b.integrate(func(in object) { in["properties"].(object)["concurrency"] = 4 })
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("the plan shows it and why", func() bool {
		p := b.plan(id).Licence
		return p.Concurrency < 4 && p.PaceReason == "Actito refused calls (429)"
	})
	b.eventually("everybody is served", func() bool { return b.allSynced(people) })
	refused := 0
	for _, c := range b.actito.Calls() {
		if c.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused > 12 {
		t.Errorf("%d calls were refused", refused)
	}
}

// While Actito is out of reach it is only probed, and when it is back it is not
// stormed.
func TestAfterAnOutageThePaceRestarts(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 150)
	putAll(t, b, people, nil)
	id := b.integrate(func(in object) { in["properties"].(object)["calls_per_minute"] = 360 })
	over := b.actito.Inject(simulator.Fault{Effect: simulator.EffectResetBefore})
	b.sendAll(events(people, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("the plan tells of the outage", func() bool { return b.plan(id).Licence.Outage })
	before := b.actito.CallCount()
	pause(6 * time.Second)
	if n := b.actito.CallCount() - before; n > 8 {
		t.Errorf("%d calls were made in 6 s of an outage, want few probes", n)
	}
	b.actito.ResetCounters()
	over()
	b.eventually("the first is served", func() bool { return b.actito.CallCount(simulator.KindUpdate) > 0 })
	since := time.Now()
	b.looks("the plan shows the slow restart", func() bool {
		p := b.plan(id).Licence
		return !p.Outage && p.CallsPerMinute < 360 && p.PaceReason == "Actito was out of reach"
	})
	pause(max(0, 5*time.Second-time.Since(since)))
	// A quarter of 360 calls a minute, its burst, and what the first probe took.
	if n, most := b.actito.CallCount(), 90/18+int(1.5*time.Since(since).Seconds())+5; n > most {
		t.Errorf("%d calls were made in the first %v, want %d at most", n, time.Since(since), most)
	}
	if n := b.actito.MaxConcurrent(); n > 2 { // a probe beside a call
		t.Errorf("%d calls were made at once", n)
	}
}

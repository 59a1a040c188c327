package lanes

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"consentsync/internal/consent"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// backlog has grants waiting when withdrawals begin to arrive at random moments
// over some time, and tells how long each withdrawal took from its acceptance
// until Actito held it.
func backlog(t *testing.T, grants, withdrawals int, over time.Duration) (delays []time.Duration) {
	t.Helper()
	inWorld(t, simulator.ActitoOptions{Latency: latency}, nil, func(w *world) {
		people := w.profiles(grants+withdrawals, false)
		waiting, leaving := people[:grants], people[grants:]
		for _, p := range leaving {
			_, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": p}, map[string]bool{"Newsletter": true})
			w.must(err)
		}
		w.accept(w.all(waiting, true)...)
		accepted := make(map[string]time.Time)
		w.deliver(func() {
			start := time.Now()
			for _, at := range moments(withdrawals, over) {
				time.Sleep(time.Until(start.Add(at)))
				person := leaving[len(accepted)]
				w.accept(w.choice(person, false))
				accepted[person] = time.Now()
			}
			for len(w.changed(start, false)) < withdrawals {
				time.Sleep(time.Second)
			}
			for person, c := range w.changed(start, false) {
				delays = append(delays, c.At.Sub(accepted[person]))
			}
		})
	})
	return delays
}

// moments are random ones, in order.
func moments(n int, over time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = time.Duration(random.Float64() * float64(over))
	}
	Percentile(all, 1) // sorts
	return all
}

// inOrder is the baseline of backlog: a connector that makes one call an event,
// in the order in which they came, with the same client to the same Actito. A
// call ends before the pace allows the next one, so that nothing is gained by
// making several at once.
func inOrder(t *testing.T, grants, withdrawals int, over time.Duration) (delays []time.Duration) {
	t.Helper()
	inWorld(t, simulator.ActitoOptions{Latency: latency}, nil, func(w *world) {
		people := w.profiles(grants+withdrawals, false)
		at := append(make([]time.Duration, grants), moments(withdrawals, over)...)
		limiter := rate.NewLimiter(rate.Limit(float64(perMinute)/60), 1)
		targets := w.targets()
		ctx := targets.Paced(w.Context(), limiter.Wait, nil)
		i, err := w.engine.Integration(ctx, w.key)
		w.must(err)
		target, err := targets.Target(i)
		w.must(err)
		start := time.Now()
		for n, person := range people {
			time.Sleep(time.Until(start.Add(at[n])))
			_, err := target.Update(ctx, person, consent.Difference{Subscriptions: map[string]bool{"Newsletter": n < grants}})
			w.must(err)
			if n >= grants {
				delays = append(delays, time.Since(start)-at[n])
			}
		}
	})
	return delays
}

// perMinute is our budget, which leaves a tenth of Actito's to others.
const perMinute = 90

// latency is what a call to Actito takes.
const latency = 200 * time.Millisecond

// A withdrawal reaches Actito in seconds however many grants wait.
func TestWithdrawalsOvertakeABacklog(t *testing.T) {
	t.Parallel()
	delays := backlog(t, 2000, 50, time.Minute)
	if p99 := Percentile(delays, .99); p99 > 5*time.Second {
		t.Errorf("99 %% of the withdrawals took at most %v, want 5 s", p99)
	}
	if p50 := Percentile(inOrder(t, 300, 20, time.Minute), .5); p50 < 2*time.Minute {
		t.Errorf("in order, half of them take at most %v: that is no baseline", p50)
	}
}

// More withdrawals than the budget can take in their limit go by bulk, and none
// waits behind a grant.
func TestTooManyWithdrawalsGoByBulk(t *testing.T) {
	t.Parallel()
	f := flood(t, 150, 300, time.Minute, 10*time.Second)
	if f.Slowest > f.Limit {
		t.Errorf("the slowest withdrawal took %v, want %v at most", f.Slowest, f.Limit)
	}
	if f.Loads == 0 || f.Behind > 0 {
		t.Errorf("%d loads were started, and %d calls for grants were made while a withdrawal waited longer than 2 s", f.Loads, f.Behind)
	}
}

// flood has grants waiting, and one more arrive each second, when withdrawals
// arrive at once. Those who withdraw are known to have a profile.
func flood(t *testing.T, grants, withdrawals int, limit, loadTime time.Duration) Flood {
	t.Helper()
	f := Flood{Grants: grants, Withdrawals: withdrawals, Limit: limit, LoadTime: loadTime, OneByOne: time.Duration(withdrawals) * time.Minute / perMinute}
	set := func(p *store.Properties) {
		p.ETLID = simulator.SampleETL
		p.BulkWithdrawalsAfterSeconds = int(limit.Seconds())
		p.BulkAfterSeconds = int((24 * time.Hour).Seconds()) // grants alone do not
	}
	inWorld(t, simulator.ActitoOptions{Latency: latency, LoadDelay: loadTime}, set, func(w *world) {
		late := int(limit.Seconds())
		people := w.profiles(grants+withdrawals+late, false)
		waiting, leaving, coming := people[:grants], people[grants:grants+withdrawals], people[grants+withdrawals:]
		w.deliver(func() {
			w.accept(w.all(leaving, true)...)
			w.idle()
			w.accept(w.all(waiting, true)...)
			start := time.Now()
			w.accept(w.all(leaving, false)...)
			for len(w.changed(start, false)) < withdrawals && time.Since(start) < 24*time.Hour {
				if len(coming) > 0 {
					w.accept(w.choice(coming[0], true))
					coming = coming[1:]
				}
				time.Sleep(time.Second)
			}
			f.Slowest, f.Behind = w.waits(start)
			f.Loads = len(w.actito.Loads())
		})
	})
	return f
}

// waits tells how long the slowest withdrawal of those that arrived at start
// took, and how many calls for grants began while one had waited over 2 s for
// its own call or load to begin.
func (w *world) waits(start time.Time) (slowest time.Duration, behind int) {
	begun := func(c simulator.Change) time.Time { return c.At.Add(-latency) }
	loads := make(map[string]time.Time)
	for _, l := range w.actito.Loads() {
		loads[l.ID] = l.Started
	}
	var last time.Time // that a withdrawal waited
	for _, c := range w.changed(start, false) {
		slowest = max(slowest, c.At.Sub(start))
		at, byLoad := loads[c.Load]
		if !byLoad {
			at = begun(c)
		}
		if at.After(last) {
			last = at
		}
	}
	for _, c := range w.changed(start, true) {
		if c.Load == "" && begun(c).After(start.Add(2*time.Second)) && begun(c).Before(last) {
			behind++
		}
	}
	return slowest, behind
}

// Many events of few people are few calls, made as fast as the budget allows.
func TestEventsOfOnePersonAreOneCall(t *testing.T) {
	t.Parallel()
	b := burst(t, 2000, 200, 3000)
	if b.Calls > 220 {
		t.Errorf("%d calls were made for 200 people", b.Calls)
	}
	if most := b.AtPace() * 115 / 100; b.Took > most {
		t.Errorf("it took %v, want %v at most", b.Took, most)
	}
}

// burst has events of some people, each with several, arrive at once in random
// order. It tells how many calls that cost, and how long it took.
func burst(t *testing.T, events, people, perMinute int) Burst {
	t.Helper()
	b := Burst{Events: events, People: people, PerMinute: perMinute}
	inWorld(t, simulator.ActitoOptions{Latency: 50 * time.Millisecond, CallsPerMinute: -1}, func(p *store.Properties) { p.CallsPerMinute = perMinute }, func(w *world) {
		all := w.profiles(people, false)
		random := rand.New(rand.NewPCG(3, 4))
		webhooks := w.all(all, true) // so that everybody ends with something to send
		for len(webhooks) < events {
			in := w.choice(all[random.IntN(people)], random.IntN(2) == 0)
			in.Message.CreatedAt -= consent.Time(1 + random.Int64N(1_000_000))
			webhooks = append(webhooks, in)
		}
		random.Shuffle(len(webhooks), func(i, j int) { webhooks[i], webhooks[j] = webhooks[j], webhooks[i] })
		w.accept(webhooks...)
		w.deliver(func() {
			start := time.Now()
			for len(w.changed(start, true)) < people {
				time.Sleep(100 * time.Millisecond)
			}
			b.Took = time.Since(start)
			w.idle()
		})
		b.Calls = w.actito.CallCount(simulator.KindUpdate)
	})
	return b
}

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
func backlog(t *testing.T, grants, withdrawals int, over time.Duration, opts simulator.ActitoOptions, set settings) (delays []time.Duration, calls int) {
	t.Helper()
	inWorld(t, opts, set, func(w *world) {
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
			for len(w.effects(false, false)) < withdrawals {
				time.Sleep(time.Second)
			}
		})
		off := w.effects(false, false)
		for person, at := range accepted {
			delays = append(delays, off[person].Sub(at))
		}
		calls = w.actito.CallCount()
	})
	return delays, calls
}

// moments are random ones, in order.
func moments(n int, over time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // made-up traffic
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = time.Duration(random.Float64() * float64(over))
	}
	percentile(all, 1) // sorts
	return all
}

// inOrder is the baseline: a connector that makes one call an event, in the
// order in which they came, as fast as the same budget allows. It tells how
// long the last withdrawal of backlog takes then.
func inOrder(grants, withdrawals int, over time.Duration, perMinute int) time.Duration {
	calls := rate.Limit(float64(perMinute) / 60)
	last := over
	for n, at := range moments(withdrawals, over) {
		last = max(at, time.Duration(float64(grants+n+1)/float64(calls)*float64(time.Second)))
	}
	return last - over
}

// A withdrawal reaches Actito in seconds however many grants wait.
func TestWithdrawalsOvertakeABacklog(t *testing.T) {
	t.Parallel()
	delays, _ := backlog(t, 2000, 50, time.Minute, simulator.ActitoOptions{Latency: 200 * time.Millisecond}, nil)
	if p99 := percentile(delays, .99); p99 > 5*time.Second {
		t.Errorf("99 %% of the withdrawals took at most %v, want 5 s", p99)
	}
}

// More withdrawals than the budget can take in their limit go by bulk, and none
// waits behind a grant.
func TestTooManyWithdrawalsGoByBulk(t *testing.T) {
	t.Parallel()
	r := flood(t, 500, 800, 4*time.Minute)
	if worst := percentile(r.delays, 1); worst > r.limit {
		t.Errorf("the slowest withdrawal took %v, want %v at most", worst, r.limit)
	}
	if r.loads == 0 || r.behind > 0 {
		t.Errorf("%d loads were started, and %d calls for grants were made while a withdrawal waited longer than 2 s", r.loads, r.behind)
	}
}

// flooded is what became of more withdrawals than the budget can take.
type flooded struct {
	delays []time.Duration
	limit  time.Duration
	loads  int
	behind int // calls for grants while a withdrawal had waited over 2 s
	calls  int
}

// flood has grants waiting, and withdrawals for twice the budget arrive at
// once. Withdrawals have a limit of their own.
func flood(t *testing.T, grants, withdrawals int, limit time.Duration) (f flooded) {
	t.Helper()
	f.limit = limit
	set := func(p *store.Properties) {
		p.ETLID = simulator.SampleETL
		p.BulkWithdrawalsAfterSeconds = int(limit.Seconds())
		p.BulkAfterSeconds = int((24 * time.Hour).Seconds()) // grants alone do not
	}
	inWorld(t, simulator.ActitoOptions{Latency: 200 * time.Millisecond, LoadDelay: 20 * time.Second}, set, func(w *world) {
		people := w.profiles(grants+withdrawals, false)
		waiting, leaving := people[:grants], people[grants:]
		for _, p := range leaving {
			_, err := w.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": p}, map[string]bool{"Newsletter": true})
			w.must(err)
		}
		w.accept(w.all(waiting, true)...)
		w.deliver(func() {
			start := time.Now()
			w.accept(w.all(leaving, false)...)
			for len(w.effects(false, false)) < withdrawals && time.Since(start) < 24*time.Hour {
				time.Sleep(time.Second)
			}
			off := w.effects(false, false)
			last := start
			for _, p := range leaving {
				f.delays = append(f.delays, off[p].Sub(start))
				if off[p].After(last) {
					last = off[p]
				}
			}
			for _, at := range w.effects(true, true) {
				if at.After(start.Add(2*time.Second+time.Second)) && at.Before(last) { // a call under way may still end
					f.behind++
				}
			}
		})
		loads, err := w.engine.Loads(w.Context(), w.key, 100)
		w.must(err)
		f.loads, f.calls = len(loads), w.actito.CallCount()
	})
	return f
}

// Many events of few people are few calls, made as fast as the budget allows.
func TestEventsOfOnePersonAreOneCall(t *testing.T) {
	t.Parallel()
	calls, took := burst(t, 2000, 200, 3000)
	if calls > 220 {
		t.Errorf("%d calls were made for 200 people", calls)
	}
	if most := 200 * time.Minute / 3000 * 115 / 100; took > most {
		t.Errorf("it took %v, want %v at most", took, most)
	}
}

// burst has events of some people, each with several, arrive at once in random
// order. It tells how many calls that cost, and how long it took.
func burst(t *testing.T, events, people, perMinute int) (calls int, took time.Duration) {
	t.Helper()
	inWorld(t, simulator.ActitoOptions{Latency: 50 * time.Millisecond, CallsPerMinute: -1}, func(p *store.Properties) { p.CallsPerMinute = perMinute }, func(w *world) {
		all := w.profiles(people, false)
		random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // made-up traffic
		webhooks := w.all(all, true)          // so that everybody ends with something to send
		for len(webhooks) < events {
			in := w.choice(all[random.IntN(people)], random.IntN(2) == 0)
			in.Message.CreatedAt -= consent.Time(1 + random.Int64N(1_000_000))
			webhooks = append(webhooks, in)
		}
		random.Shuffle(len(webhooks), func(i, j int) { webhooks[i], webhooks[j] = webhooks[j], webhooks[i] })
		w.accept(webhooks...)
		w.deliver(func() {
			start := time.Now()
			for len(w.effects(true, false)) < people {
				time.Sleep(100 * time.Millisecond)
			}
			took = time.Since(start)
			w.idle()
		})
		calls = w.actito.CallCount(simulator.KindUpdate)
	})
	return calls, took
}

package lanes

import (
	"testing"
	"time"

	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// However much is due, no stretch of time sees more calls than the budget of a
// minute allows for it, and never are more under way than configured.
func TestTheBudgetIsKept(t *testing.T) {
	t.Parallel()
	const (
		perMinute, width = 120, 2
		// What a burst and the steady rate allow of a minute is the minute's number.
		burst = perMinute / 18
		rate  = float64(perMinute-burst+1) / 60
		late  = 1 // call that waited for the token, paid for before
	)
	set := func(p *store.Properties) { p.CallsPerMinute, p.Concurrency = perMinute, width }
	inWorld(t, simulator.ActitoOptions{Latency: 600 * time.Millisecond, CallsPerMinute: -1, MaxConcurrent: -1}, set, func(w *world) {
		known, missing := w.profiles(200, false), []string{"nobody@example.com", "nowhere@example.com", "never@example.com"}
		w.accept(w.all(missing, false)...) // several calls each
		w.accept(w.all(known, true)...)
		w.deliver(func() { time.Sleep(time.Minute) })
		calls := w.actito.Calls()
		for i, first := range calls {
			for n, last := range calls[i:] {
				if allowed := burst + late + rate*last.Started.Sub(first.Started).Seconds(); float64(n+1) > allowed {
					w.Fatalf("%d calls within %v, want %.1f at most", n+1, last.Started.Sub(first.Started), allowed)
				}
			}
		}
		if len(calls) < perMinute*9/10 {
			w.Errorf("%d calls were made in a minute: the budget is not used", len(calls))
		}
		if n := w.actito.MaxConcurrent(); n != width {
			w.Errorf("%d calls were under way at once, want %d", n, width)
		}
	})
}

// However slow Actito is, and though single calls take all that may be under way
// at once, a load is begun and asked after (R22).
func TestR22ALoadIsNotCrowdedOut(t *testing.T) {
	t.Parallel()
	// No call ends in one of the instants, 50 ms apart, in which a load looks for
	// a place: it gets one only if one is kept for it.
	const slow = 2503 * time.Millisecond
	set := func(p *store.Properties) { p.Concurrency, p.ETLID, p.BulkAfterSeconds = 1, simulator.SampleETL, 60 }
	inWorld(t, simulator.ActitoOptions{Latency: slow, LoadDelay: -1}, set, func(w *world) {
		w.accept(w.all(w.profiles(400, false), true)...)
		w.deliver(func() {
			time.Sleep(12 * slow)
			loads, err := w.engine.Loads(w.Context(), w.key, 1)
			w.must(err)
			if len(loads) == 0 {
				w.Error("no load was begun")
			} else if loads[0].Outcome != store.LoadConfirmed {
				w.Errorf("after a dozen calls the load is %+v", *loads[0])
			}
		})
	})
}

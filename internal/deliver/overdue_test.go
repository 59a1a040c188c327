package deliver

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// A withdrawal that fails again and again is overdue all the while, though the
// queue does not show it; one that is in effect, or that newer consent has
// replaced, is not.
func TestOverdue(t *testing.T) {
	t.Parallel()
	var o overdue
	start := consent.TimeOf(time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC))
	due := func(person byte, class store.Class) *store.Delivery {
		return &store.Delivery{DeliveryKey: store.DeliveryKey{Person: store.PersonKey{person}}, Class: class, DueAt: start}
	}
	stubborn, grant, quick := due(1, store.LiveWithdrawal), due(2, store.Ordinary), due(3, store.LiveWithdrawal)
	quick.DueAt = start.Add(-time.Minute)
	o.begun(grant, start)
	if at := o.oldest(start); at != 0 {
		t.Errorf("a grant is overdue since %v", at)
	}
	o.begun(stubborn, start)
	o.begun(quick, start)
	if at := o.oldest(start); at != quick.DueAt {
		t.Errorf("the oldest is due since %v, want %v", at, quick.DueAt)
	}
	o.ended(quick, &store.Finish{State: store.Synced, Class: store.LiveWithdrawal}, start)
	now := start.Add(time.Minute)
	o.ended(stubborn, &store.Finish{State: store.Waiting, Class: store.LiveWithdrawal, NextAt: now.Add(time.Hour)}, now)
	for _, wait := range []time.Duration{0, 30 * time.Minute, time.Hour, 65 * time.Minute} {
		if at := o.oldest(now.Add(wait)); at != start {
			t.Errorf("after %v the oldest is due since %v, want %v", wait, at, start)
		}
	}
	o.ended(stubborn, &store.Finish{State: store.Pending, Class: store.Ordinary}, now)
	if at := o.oldest(now); at != 0 {
		t.Errorf("a withdrawal that a grant has replaced is overdue since %v", at)
	}
	o.begun(stubborn, now)
	if at := o.oldest(now.Add(3 * time.Hour)); at != 0 || len(o.tried) > 0 {
		t.Errorf("what nobody has heard of for hours is overdue since %v", at)
	}
}

// What other nodes have counted before is no growth here, and what changes hands
// does not count twice.
func TestCountsGrowByOwnWork(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 3, 0, 0, 0, time.UTC)
	l := newLicences("node", func() time.Time { return now })
	registry := prometheus.NewRegistry()
	registry.MustRegister(l)
	counted := func(n int64) tended {
		return tended{withdrawal: consent.TimeOf(now), plan: store.LicencePlan{Integrations: map[string]store.IntegrationPlan{"i": {Counts: map[string]int64{store.CountEvents: n}}}}}
	}
	want := func(name string, want float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if m := f.GetMetric()[0]; f.GetName() == name && m.GetCounter().GetValue()+m.GetGauge().GetValue() != want {
				t.Errorf("%s is %v, want %v", name, m, want)
			}
		}
	}
	l.set("acme", counted(48_200))
	want("consentsync_events_delivered_total", 0)
	l.set("acme", counted(48_205))
	want("consentsync_events_delivered_total", 5)
	l.drop("acme")
	l.set("acme", counted(50_000))
	l.set("acme", counted(50_001))
	want("consentsync_events_delivered_total", 6)

	now = now.Add(90 * time.Second) // nothing more is heard of the courier
	want("consentsync_oldest_withdrawal_seconds", 90)
}

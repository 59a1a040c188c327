package deliver

import (
	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

type metrics struct {
	calls    *prometheus.CounterVec
	noCall   prometheus.Counter
	delay    *prometheus.HistogramVec
	finishes *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_calls_total", Help: "Calls to Actito by operation and outcome.",
		}, []string{"operation", "outcome"}),
		noCall: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consentsync_deliveries_without_call_total", Help: "Deliveries that were due and needed no call.",
		}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consentsync_due_to_effect_seconds", Help: "Time from a delivery becoming due to its confirmation by Actito.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200},
		}, []string{"kind"}),
		finishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_deliveries_total", Help: "Delivery attempts by the state that they ended in.",
		}, []string{"state"}),
	}
	if r != nil {
		r.MustRegister(m.calls, m.noCall, m.delay, m.finishes)
	}
	return m
}

func (m *metrics) called(c store.Call) { m.calls.WithLabelValues(c.Operation, c.Outcome).Inc() }

func (m *metrics) saved(n int) { m.noCall.Add(float64(n)) }

func (m *metrics) finished(j *job, f *store.Finish, now consent.Time) {
	m.finishes.WithLabelValues(string(f.State)).Inc()
	if f.State != store.Synced || f.LastError != "" {
		return
	}
	kind := "other"
	if j.send.Withdraws() {
		kind = "withdrawal"
	}
	m.delay.WithLabelValues(kind).Observe(now.Sub(j.DueAt).Seconds())
}

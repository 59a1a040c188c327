package deliver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

type metrics struct {
	calls    *prometheus.CounterVec
	delay    *prometheus.HistogramVec
	finishes *prometheus.CounterVec
	loads    *prometheus.CounterVec
	rows     *prometheus.CounterVec
	news     *prometheus.CounterVec
	messages *prometheus.CounterVec
	leases   *prometheus.CounterVec
	licences *licences
}

func newMetrics(r prometheus.Registerer, node string, now func() time.Time) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_calls_total", Help: "Calls to Actito by operation and outcome.",
		}, []string{"operation", "outcome"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consentsync_consent_to_effect_seconds", Help: "Time from the acceptance of a consent to its confirmation by Actito.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200},
		}, []string{"kind"}),
		finishes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_deliveries_total", Help: "Delivery attempts by the state that they ended in.",
		}, []string{"state"}),
		loads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_bulk_loads_total", Help: "Bulk loads that were handed over, or could not be, and those that ended, by outcome.",
		}, []string{"outcome"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_bulk_people_total", Help: "People in bulk loads that ended, by outcome.",
		}, []string{"outcome"}),
		news: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_news_total", Help: "Changes of subscriptions that Actito told of, by what they turned out to be.",
		}, []string{"hearing"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_messages_total", Help: "Messages to people by what became of them; pending is an attempt after which another follows.",
		}, []string{"state"}),
		leases: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_leases_total", Help: "Leases of licences that this node took, gave back, or lost for it could not renew them in time.",
		}, []string{"change"}),
		licences: newLicences(node, now),
	}
	if r != nil {
		r.MustRegister(m.calls, m.delay, m.finishes, m.loads, m.rows, m.news, m.messages, m.leases, m.licences)
	}
	m.begin()
	return m
}

// begin makes what is alerted on, and what is usual, be there with 0 from the
// start: of a counter that begins with its first event Prometheus sees no growth.
func (m *metrics) begin() {
	for _, operation := range []string{"update", "create", "read", "load", "load_result", "tell"} {
		m.calls.WithLabelValues(operation, "ok")
	}
	for _, withdraws := range []bool{true, false} {
		m.delay.WithLabelValues(kindOf(withdraws))
	}
	for _, state := range []store.DeliveryState{store.Synced, store.Waiting, store.Unmatched, store.Failed, store.Pending} {
		m.finishes.WithLabelValues(string(state))
	}
	m.loads.WithLabelValues("started")
	for _, outcome := range []store.LoadOutcome{store.LoadConfirmed, store.LoadUntold, store.LoadNotApplied, store.LoadUnclear} {
		m.loads.WithLabelValues("ended " + string(outcome))
		m.rows.WithLabelValues(string(outcome))
	}
	for _, h := range []consent.Hearing{consent.HearAgreed, consent.HearEcho, consent.HearWithdrawal, consent.HearGrant, consent.HearCorrect, consent.HearDefault, "given_up"} {
		m.news.WithLabelValues(string(h))
	}
	for _, state := range []store.MessageState{store.MessageSent, store.MessagePending, store.MessageFailed, store.MessageUnclear, store.MessageDropped} {
		m.messages.WithLabelValues(string(state))
	}
	for _, change := range []string{"taken", "given_back", "lost"} {
		m.leases.WithLabelValues(change)
	}
}

// loadStarted counts that a file was handed over, or could not be.
func (m *metrics) loadStarted(err error) {
	outcome := "started"
	if err != nil {
		outcome = consent.KindOf(err).String()
	}
	m.loads.WithLabelValues(outcome).Inc()
}

// loadEnded counts a load of which everything is recorded.
func (m *metrics) loadEnded(l *store.Load) {
	m.loads.WithLabelValues("ended " + string(l.Outcome)).Inc()
	m.rows.WithLabelValues(string(l.Outcome)).Add(float64(l.People))
}

// loaded observes how long it took until people of a load were in effect, each
// of whom it gives to effect.
func (m *metrics) loaded(rows []store.LoadRow, now consent.Time, effect func(store.LoadRow)) {
	for _, r := range rows {
		if r.Refused == "" {
			effect(r)
			m.delay.WithLabelValues(kindOf(r.Withdraws())).Observe(now.Sub(r.DueAt).Seconds())
		}
	}
}

// heard counts what a change in Actito turned out to be.
func (m *metrics) heard(hearing string) { m.news.WithLabelValues(hearing).Inc() }

func kindOf(withdraws bool) string {
	if withdraws {
		return "withdrawal"
	}
	return "other"
}

func (m *metrics) called(operation, outcome string) {
	m.calls.WithLabelValues(operation, outcome).Inc()
}

// finished counts how an attempt ended, and tells whether what it sent came into
// effect: all of it, or the last of the withdrawals, after which the rest follows.
func (m *metrics) finished(j *job, f *store.Finish, now consent.Time) bool {
	m.finishes.WithLabelValues(string(f.State)).Inc()
	withdrawn := f.State == store.Pending && j.send.Withdraws() && !j.whole.Without(j.send).Withdraws()
	if f.State != store.Synced && !withdrawn || f.LastError != "" {
		return false
	}
	m.delay.WithLabelValues(kindOf(j.send.Withdraws())).Observe(now.Sub(j.DueAt).Seconds())
	return true
}

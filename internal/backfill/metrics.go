package backfill

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Metrics tell of catching up and of reconciling. Without any, nil, nothing is
// told.
type Metrics struct {
	catchUps *prometheus.CounterVec
	cells    *prometheus.CounterVec
	reads    *prometheus.CounterVec

	mu   sync.Mutex
	good map[string]consent.Time // by organization that this node fetches for
}

// The outcomes of a catch-up and of a read, and the kinds of compared cells that
// differ or agree.
const (
	catchUpEnded, catchUpFailed = "ended", "failed"

	readFound, readMissing, readFailed = "found", "missing", "failed"

	cellAgrees, cellShouldBeOff, cellShouldBeOn, cellTurnedOff, cellTurnedOn = "agree", "should_be_off", "should_be_on", "turned_off", "turned_on"
)

// NewMetrics registers them. All that is counted is there with 0 from the start.
func NewMetrics(r prometheus.Registerer, now func() time.Time) *Metrics {
	m := &Metrics{
		catchUps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_catch_ups_total", Help: "Catch-ups from Didomi that ended, and tries that failed and are made again.",
		}, []string{"outcome"}),
		cells: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_reconciled_cells_total", Help: "Subscriptions of people that reconciliations compared, by what they found; counted when one is done.",
		}, []string{"kind"}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_reconcile_reads_total", Help: "Profiles that were read to be compared: found, missing, or the read failed and is tried again.",
		}, []string{"outcome"}),
		good: map[string]consent.Time{},
	}
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "consentsync_catch_up_behind_seconds", Help: "Since when something may have been missed of Didomi, in the organization that is furthest behind.",
	}, func() float64 { return m.behind(consent.TimeOf(now())).Seconds() })
	for _, outcome := range []string{catchUpEnded, catchUpFailed} {
		m.catchUps.WithLabelValues(outcome)
	}
	for _, outcome := range []string{readFound, readMissing, readFailed} {
		m.reads.WithLabelValues(outcome)
	}
	m.compared(&store.DriftReport{})
	r.MustRegister(m.catchUps, m.cells, m.reads, behind)
	return m
}

// behind is how long ago the last moment is before which nothing was missed, of
// the organization that is furthest behind; 0 without any.
func (m *Metrics) behind(now consent.Time) (longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, at := range m.good {
		longest = max(longest, now.Sub(at))
	}
	return longest
}

// stands notes up to when nothing was missed of an organization; as long as it
// was never fetched from, what counts is when that was begun.
func (m *Metrics) stands(c *store.CatchUp) {
	at := c.GoodAt()
	if at == 0 {
		at = c.StartedAt
	}
	if m == nil || at == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.good[c.Organization] = at
}

// keep forgets the organizations that another node fetches for by now, or nobody.
func (m *Metrics) keep(mine map[string]bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for organization := range m.good {
		if !mine[organization] {
			delete(m.good, organization)
		}
	}
}

// caughtUp counts a catch-up that ended, or a try that failed.
func (m *Metrics) caughtUp(outcome string) {
	if m != nil {
		m.catchUps.WithLabelValues(outcome).Inc()
	}
}

// read counts a profile that was read to be compared.
func (m *Metrics) read(outcome string) {
	if m != nil {
		m.reads.WithLabelValues(outcome).Inc()
	}
}

// compared counts what a reconciliation that is done has found.
func (m *Metrics) compared(r *store.DriftReport) {
	if m == nil {
		return
	}
	for kind, n := range map[string]int64{
		cellAgrees: r.Agree, cellShouldBeOff: r.ShouldBeOff, cellShouldBeOn: r.ShouldBeOn, cellTurnedOff: r.TurnedOff, cellTurnedOn: r.TurnedOn,
	} {
		m.cells.WithLabelValues(kind).Add(float64(n))
	}
}

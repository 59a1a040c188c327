package ingest

import (
	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_webhooks_total", Help: "Webhooks of Didomi by what became of them.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consentsync_webhook_duration_seconds", Help: "Time from a webhook of Didomi to its answer, which comes when it is on disk.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds)
	}
	for _, outcome := range []consent.Outcome{consent.Applied, consent.Superseded, consent.Duplicate, Queued} {
		m.requests.WithLabelValues(string(outcome))
	}
	for _, kind := range []consent.Kind{consent.Invalid, consent.Unauthorized, consent.Transient, consent.Internal} {
		m.requests.WithLabelValues(kind.String())
	}
	return m
}

type commitMetrics struct {
	batch  prometheus.Histogram
	queued prometheus.Counter
	merged prometheus.Counter
	aside  prometheus.Counter
	behind prometheus.Gauge
}

func newCommitMetrics(r prometheus.Registerer) *commitMetrics {
	m := &commitMetrics{
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "consentsync_accept_batch_size", Help: "Webhooks, of either end, that shared one transaction.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256},
		}),
		queued: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consentsync_inbox_queued_total", Help: "Webhooks that were accepted into the inbox in a rush.",
		}),
		merged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consentsync_inbox_merged_total", Help: "Webhooks of the inbox that were merged.",
		}),
		aside: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consentsync_inbox_set_aside_total", Help: "Webhooks of the inbox that could not be merged and were set aside.",
		}),
		behind: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "consentsync_inbox_age_seconds", Help: "Age of the oldest webhook in the inbox; 0 when it is empty.",
		}),
	}
	if r != nil {
		r.MustRegister(m.batch, m.queued, m.merged, m.aside, m.behind)
	}
	return m
}

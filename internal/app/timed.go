package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/store"
)

// storeMetrics tell how long the database takes for what accepting and
// delivering wait for.
type storeMetrics struct {
	seconds *prometheus.HistogramVec
	errors  *prometheus.CounterVec
}

// The operations that are watched.
const (
	opAccept  = "accept"  // a transaction of webhooks of Didomi's
	opEnqueue = "enqueue" // the same, into the inbox
	opMerge   = "merge"   // out of the inbox
	opHear    = "hear"    // a transaction of webhooks of Actito's
	opDue     = "due"     // look for what is due
	opBegin   = "begin"   // note that a call is about to be made
	opFinish  = "finish"  // record what became of it
	opLeases  = "leases"  // renew the leases
	opPing    = "ping"    // a write that changes nothing, for /readyz
)

func newStoreMetrics(r prometheus.Registerer) *storeMetrics {
	m := &storeMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "consentsync_store_operation_duration_seconds", Help: "Time that the database took, durable on disk where something was written, by operation.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consentsync_store_errors_total", Help: "Operations that failed since the database could not be used: full, locked, out of reach.",
		}, []string{"operation"}),
	}
	r.MustRegister(m.seconds, m.errors)
	for _, operation := range []string{opAccept, opEnqueue, opMerge, opHear, opDue, opBegin, opFinish, opLeases, opPing} {
		m.seconds.WithLabelValues(operation)
		m.errors.WithLabelValues(operation)
	}
	return m
}

// newSyncMetrics gives what SQLite is to tell its syncs to.
func newSyncMetrics(r prometheus.Registerer) func(time.Duration, int) {
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "consentsync_store_sync_duration_seconds", Help: "Time that the disk took to sync the write-ahead log.",
		Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
	})
	batch := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "consentsync_store_sync_batch_size", Help: "Transactions that shared one sync of the write-ahead log.",
		Buckets: []float64{1, 2, 3, 4, 6, 8, 16, 32},
	})
	r.MustRegister(seconds, batch)
	return func(took time.Duration, transactions int) {
		seconds.Observe(took.Seconds())
		batch.Observe(float64(transactions))
	}
}

func (m *storeMetrics) done(operation string, start time.Time, err error) {
	m.seconds.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	if err != nil && consent.KindOf(err) == consent.Transient {
		m.errors.WithLabelValues(operation).Inc()
	}
}

// timed is an engine of which it is measured how long it takes.
type timed struct {
	engine
	*storeMetrics
}

var _ deliver.Store = timed{}

func (t timed) Accept(ctx context.Context, batch []store.Inbound) (_ []store.Receipt, err error) {
	defer func(start time.Time) { t.done(opAccept, start, err) }(time.Now())
	return t.engine.Accept(ctx, batch)
}

func (t timed) Enqueue(ctx context.Context, batch []store.Inbound) (err error) {
	defer func(start time.Time) { t.done(opEnqueue, start, err) }(time.Now())
	return t.engine.Enqueue(ctx, batch)
}

func (t timed) Merge(ctx context.Context, k store.InboxKey, limit int, decode store.Decode) (_ store.Merged, err error) {
	defer func(start time.Time) { t.done(opMerge, start, err) }(time.Now())
	return t.engine.Merge(ctx, k, limit, decode)
}

func (t timed) Hear(ctx context.Context, batch []store.News) (err error) {
	defer func(start time.Time) { t.done(opHear, start, err) }(time.Now())
	return t.engine.Hear(ctx, batch)
}

func (t timed) NextDue(ctx context.Context, k store.IntegrationKey, target store.Target, c store.Class, limit int) (_ []*store.Delivery, err error) {
	defer func(start time.Time) { t.done(opDue, start, err) }(time.Now())
	return t.engine.NextDue(ctx, k, target, c, limit)
}

func (t timed) Begin(ctx context.Context, l store.Lease, s store.Start) (_ bool, err error) {
	defer func(start time.Time) { t.done(opBegin, start, err) }(time.Now())
	return t.engine.Begin(ctx, l, s)
}

func (t timed) Finish(ctx context.Context, l store.Lease, f store.Finish) (err error) {
	defer func(start time.Time) { t.done(opFinish, start, err) }(time.Now())
	return t.engine.Finish(ctx, l, f)
}

func (t timed) Acquire(ctx context.Context, node string) (_ []store.Lease, err error) {
	defer func(start time.Time) { t.done(opLeases, start, err) }(time.Now())
	return t.engine.Acquire(ctx, node)
}

func (t timed) Ping(ctx context.Context) (err error) {
	defer func(start time.Time) { t.done(opPing, start, err) }(time.Now())
	return t.engine.Ping(ctx)
}

// Package ingest takes webhooks in: it authenticates them, has them decoded,
// and accepts them.
//
// It answers 2xx only when the event is on disk. What it refuses changes
// nothing, and the answer says why.
package ingest

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/store"
)

// Store accepts batches durably.
type Store interface {
	// Accept merges a batch.
	Accept(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error)
	// Enqueue puts a batch into the inbox, to be merged later.
	Enqueue(ctx context.Context, batch []store.Inbound) error
	// Hear stores what Actito told, to be looked into later.
	Hear(ctx context.Context, batch []store.News) error
	Inbox
}

// crowd is how many webhooks at once mean that merging cannot keep up.
const crowd = 24

// calm is how long after the last crowd webhooks are merged at once again.
const calm = 250 * time.Millisecond

// Committer makes webhooks durable, of either end, in transactions that
// concurrent ones share.
//
// A webhook of Didomi's is merged in the transaction that accepts it. Only in a
// rush, when more wait than can be merged, the transaction takes them into the
// inbox as they are, which is several times cheaper, and merging follows.
// Merging does not depend on the order, so the two ways may mix. When merging
// has fallen too far behind, webhooks wait for it again: see lag.
//
// What Actito tells is only stored by the transaction that accepts it, rush or
// not: it is looked into afterwards.
type Committer struct {
	store    Store
	due      func() // something became due for delivery, or is to be looked into
	merger   *merger
	metrics  *commitMetrics
	webhooks *group[store.Inbound, store.Receipt]
	news     *group[[]store.News, struct{}]

	waiting atomic.Int64 // webhooks of Didomi's handed in and not answered
	crowded atomic.Int64 // when there was last a crowd, in nanoseconds
}

// rush tells whether more webhooks come than can be merged at once, and the
// inbox may take them.
func (c *Committer) rush() bool {
	return time.Now().UnixNano()-c.crowded.Load() < int64(calm) && !c.merger.late.Load()
}

// NewCommitter makes a committer that takes webhooks at once; Close stops it,
// and Run merges what is in the inbox. due is called when something became due
// for delivery or is to be looked into; now is the database's clock, by which
// webhooks arrive.
func NewCommitter(s Store, due func(), now func() time.Time, log *slog.Logger, r prometheus.Registerer) *Committer {
	c := &Committer{store: s, due: due, metrics: newCommitMetrics(r)}
	c.merger = &merger{store: s, rush: c.rush, due: due, log: log, metrics: c.metrics, now: now, wake: make(chan struct{}, 1)}
	c.webhooks = newGroup(c.take, func(store.Inbound) int { return 1 }, c.metrics.batch)
	c.news = newGroup(c.hear, func(told []store.News) int { return len(told) }, c.metrics.batch)
	return c
}

// Run merges what is in the inbox until ctx ends. What is still in it then
// stays there for the next start.
func (c *Committer) Run(ctx context.Context) error { return c.merger.run(ctx) }

// Behind tells how old the oldest webhook in the inbox was when it was last looked
// at, a second ago at most unless the database cannot be used.
func (c *Committer) Behind() time.Duration { return time.Duration(c.merger.behind.Load()) }

// Close waits until all that was handed in is committed. Nothing may be handed
// in afterwards.
func (c *Committer) Close() {
	c.webhooks.close()
	c.news.close()
}

// Accept returns when the webhook is on disk, or with the reason why it is not.
// When ctx ends first, the webhook may still be accepted.
func (c *Committer) Accept(ctx context.Context, in store.Inbound) (store.Receipt, error) {
	if c.waiting.Add(1) >= crowd {
		c.crowded.Store(time.Now().UnixNano())
	}
	defer c.waiting.Add(-1)
	return c.webhooks.accept(ctx, in)
}

// Hear is Accept for the news that one webhook of Actito's holds.
func (c *Committer) Hear(ctx context.Context, told []store.News) error {
	_, err := c.news.accept(ctx, told)
	return err
}

// take makes webhooks of Didomi's durable.
func (c *Committer) take(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error) {
	if c.rush() {
		if err := c.store.Enqueue(ctx, batch); err != nil {
			return nil, err
		}
		c.metrics.queued.Add(float64(len(batch)))
		c.merger.nudge()
		return slices.Repeat([]store.Receipt{{Outcome: Queued}}, len(batch)), nil
	}
	receipts, err := c.store.Accept(ctx, batch)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(receipts, func(r store.Receipt) bool { return r.Due }) {
		c.due()
	}
	return receipts, nil
}

// hear makes what webhooks of Actito's tell durable.
func (c *Committer) hear(ctx context.Context, batch [][]store.News) ([]struct{}, error) {
	if err := c.store.Hear(ctx, slices.Concat(batch...)); err != nil {
		return nil, err
	}
	c.due()
	return make([]struct{}, len(batch)), nil
}

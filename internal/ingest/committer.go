// Package ingest takes webhooks in: it authenticates them, has them decoded,
// and accepts them.
//
// It answers 2xx only when the event is on disk. What it refuses changes
// nothing, and the answer says why.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Store accepts batches durably.
type Store interface {
	// Accept merges a batch.
	Accept(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error)
	// Enqueue puts a batch into the inbox, to be merged later.
	Enqueue(ctx context.Context, batch []store.Inbound) error
	Inbox
}

// mostInBatch bounds how many webhooks share one transaction and one fsync.
const mostInBatch = 256

// crowd is how many webhooks at once mean that merging cannot keep up.
const crowd = 24

// calm is how long after the last crowd webhooks are merged at once again.
const calm = 250 * time.Millisecond

// writers is how many transactions may be under way: while one waits for the
// disk another is made.
const writers = 3

// Committer lets concurrent webhooks share transactions: whatever waits while
// one is committed goes into the next. There is no timer, so a single webhook
// waits for nothing but its own fsync.
//
// A webhook is merged in the transaction that accepts it. Only in a rush, when
// more wait than can be merged, the transaction takes them into the inbox as
// they are, which is several times cheaper, and merging follows. Merging
// does not depend on the order, so the two ways may mix. When merging has
// fallen too far behind, webhooks wait for it again: see lag.
type Committer struct {
	store   Store
	due     func() // something became due for delivery
	merger  *merger
	metrics *commitMetrics
	queue   chan *request
	done    chan struct{}
	once    sync.Once
	closing chan struct{}

	waiting atomic.Int64 // webhooks handed in and not answered
	crowded atomic.Int64 // when there was last a crowd, in nanoseconds
}

// rush tells whether more webhooks come than can be merged at once, and the
// inbox may take them.
func (c *Committer) rush() bool {
	return time.Now().UnixNano()-c.crowded.Load() < int64(calm) && !c.merger.late.Load()
}

type request struct {
	in      store.Inbound
	receipt store.Receipt
	err     error
	ready   chan struct{}
}

// NewCommitter makes a committer that takes webhooks at once; Close stops it,
// and Run merges what is in the inbox. due is called when something became due
// for delivery; now is the database's clock, by which webhooks arrive.
func NewCommitter(s Store, due func(), now func() time.Time, log *slog.Logger, r prometheus.Registerer) *Committer {
	c := &Committer{
		store: s, due: due, metrics: newCommitMetrics(r),
		queue: make(chan *request, 4*mostInBatch), done: make(chan struct{}), closing: make(chan struct{}),
	}
	c.merger = &merger{store: s, rush: c.rush, due: due, log: log, metrics: c.metrics, now: now, wake: make(chan struct{}, 1)}
	var running sync.WaitGroup
	for range writers {
		running.Go(c.run)
	}
	go func() {
		running.Wait()
		close(c.done)
	}()
	return c
}

// Run merges what is in the inbox until ctx ends. What is still in it then
// stays there for the next start.
func (c *Committer) Run(ctx context.Context) error { return c.merger.run(ctx) }

// Close waits until all that was handed in is committed. Nothing may be handed
// in afterwards.
func (c *Committer) Close() {
	c.once.Do(func() { close(c.closing) })
	<-c.done
}

// Accept returns when the webhook is on disk, or with the reason why it is not.
// When ctx ends first, the webhook may still be accepted.
func (c *Committer) Accept(ctx context.Context, in store.Inbound) (store.Receipt, error) {
	r := &request{in: in, ready: make(chan struct{})}
	if c.waiting.Add(1) >= crowd {
		c.crowded.Store(time.Now().UnixNano())
	}
	defer c.waiting.Add(-1)
	select {
	case c.queue <- r:
	case <-ctx.Done():
		return store.Receipt{}, gaveUp(ctx)
	}
	select {
	case <-r.ready:
		return r.receipt, r.err
	case <-ctx.Done():
		return store.Receipt{}, gaveUp(ctx)
	}
}

func gaveUp(ctx context.Context) error {
	return &consent.Error{Kind: consent.Transient, Op: "ingest.Accept", Message: "the request ended before it was accepted", Err: ctx.Err()}
}

func (c *Committer) run() {
	batch := make([]*request, 0, mostInBatch)
	for {
		batch = batch[:0]
		select {
		case r := <-c.queue:
			batch = append(batch, r)
		case <-c.closing:
			select {
			case r := <-c.queue:
				batch = append(batch, r)
			default:
				return
			}
		}
		batch = c.fill(batch)
		c.commit(batch)
		for _, r := range batch {
			close(r.ready)
		}
	}
}

func (c *Committer) fill(batch []*request) []*request {
	for len(batch) < mostInBatch {
		select {
		case r := <-c.queue:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// commit accepts a batch. When it fails for a reason that may lie in one of its
// webhooks, each is tried alone, so that one bad event never fails its
// batch-mates (R9). When the database itself is at fault, all fail.
func (c *Committer) commit(batch []*request) {
	err := c.try(batch)
	if err != nil && len(batch) > 1 && consent.KindOf(err) != consent.Transient {
		for i := range batch {
			_ = c.try(batch[i : i+1]) // each request carries its own error
		}
	}
	for _, r := range batch {
		if r.err == nil && r.receipt.Due {
			c.due()
			return
		}
	}
}

func (c *Committer) try(batch []*request) (err error) {
	defer func() {
		// A fault of ours in one webhook must not end the process, to which
		// the webhook would come again.
		if p := recover(); p != nil {
			err = &consent.Error{Kind: consent.Internal, Op: "ingest.try", Err: fmt.Errorf("panic: %v", p)}
			for _, r := range batch {
				r.err = err
			}
		}
	}()
	in := make([]store.Inbound, len(batch))
	for i, r := range batch {
		in[i] = r.in
	}
	// The transaction belongs to all requests of the batch: none of them may
	// cancel it.
	var receipts []store.Receipt
	if c.rush() {
		if err = c.store.Enqueue(context.Background(), in); err == nil {
			c.metrics.queued.Add(float64(len(in)))
			c.merger.nudge()
		}
	} else {
		receipts, err = c.store.Accept(context.Background(), in)
	}
	for i, r := range batch {
		r.err = err
		if receipts != nil {
			r.receipt = receipts[i]
		} else {
			r.receipt = store.Receipt{Outcome: Queued}
		}
	}
	if err == nil {
		c.metrics.batch.Observe(float64(len(batch)))
	}
	return err
}

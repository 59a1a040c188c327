// Package ingest takes webhooks in: it authenticates them, has them decoded,
// and accepts them.
//
// It answers 2xx only when the event is on disk. What it refuses changes
// nothing, and the answer says why.
package ingest

import (
	"context"
	"fmt"
	"sync"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Store accepts batches durably.
type Store interface {
	Accept(ctx context.Context, batch []store.Inbound) ([]store.Receipt, error)
}

// mostInBatch bounds how many webhooks share one transaction and one fsync.
const mostInBatch = 256

// Committer lets concurrent webhooks share transactions: whatever waits while
// one is committed goes into the next. There is no timer, so a single webhook
// waits for nothing but its own fsync.
type Committer struct {
	store   Store
	due     func()
	metrics *metrics
	queue   chan *request
	done    chan struct{}
	once    sync.Once
	closing chan struct{}
}

type request struct {
	in      store.Inbound
	receipt store.Receipt
	err     error
	ready   chan struct{}
}

func newCommitter(s Store, due func(), m *metrics) *Committer {
	c := &Committer{
		store: s, due: due, metrics: m,
		queue: make(chan *request, 4*mostInBatch), done: make(chan struct{}), closing: make(chan struct{}),
	}
	go c.run()
	return c
}

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
	defer close(c.done)
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
	receipts, err := c.store.Accept(context.Background(), in)
	for i, r := range batch {
		r.err = err
		if err == nil {
			r.receipt = receipts[i]
		}
	}
	if err == nil {
		c.metrics.batch.Observe(float64(len(batch)))
	}
	return err
}

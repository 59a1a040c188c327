package ingest

import (
	"context"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
)

const (
	// mostInBatch bounds what shares one transaction and one fsync.
	mostInBatch = 256
	// writers is how many transactions of a group may be under way: while one
	// waits for the disk another is made.
	writers = 3
)

// group lets concurrent requests share transactions: whatever waits while one
// is committed goes into the next. There is no timer, so a single request waits
// for nothing but its own fsync.
type group[In, Out any] struct {
	// commit takes inputs into one durable transaction, all of them or none.
	commit func(ctx context.Context, batch []In) ([]Out, error)
	// weigh tells how many of mostInBatch an input counts for.
	weigh   func(In) int
	batches prometheus.Observer
	queue   chan *request[In, Out]
	running sync.WaitGroup
	once    sync.Once
	closing chan struct{}
}

type request[In, Out any] struct {
	in    In
	out   Out
	err   error
	ready chan struct{}
}

// newGroup makes a group that takes requests at once; close stops it.
func newGroup[In, Out any](commit func(context.Context, []In) ([]Out, error), weigh func(In) int, batches prometheus.Observer) *group[In, Out] {
	g := &group[In, Out]{
		commit: commit, weigh: weigh, batches: batches,
		queue: make(chan *request[In, Out], 4*mostInBatch), closing: make(chan struct{}),
	}
	for range writers {
		g.running.Go(g.run)
	}
	return g
}

// close waits until all that was handed in is committed. Nothing may be handed
// in afterwards.
func (g *group[In, Out]) close() {
	g.once.Do(func() { close(g.closing) })
	g.running.Wait()
}

// accept returns when the input is on disk, or with the reason why it is not.
// When ctx ends first, it may still be accepted.
func (g *group[In, Out]) accept(ctx context.Context, in In) (out Out, err error) {
	r := &request[In, Out]{in: in, ready: make(chan struct{})}
	select {
	case g.queue <- r:
	case <-ctx.Done():
		return out, gaveUp(ctx)
	}
	select {
	case <-r.ready:
		return r.out, r.err
	case <-ctx.Done():
		return out, gaveUp(ctx)
	}
}

func gaveUp(ctx context.Context) error {
	return &consent.Error{Kind: consent.Transient, Op: "ingest.accept", Message: "the request ended before it was accepted", Err: ctx.Err()}
}

func (g *group[In, Out]) run() {
	batch := make([]*request[In, Out], 0, mostInBatch)
	for {
		batch = batch[:0]
		select {
		case r := <-g.queue:
			batch = append(batch, r)
		case <-g.closing:
			select {
			case r := <-g.queue:
				batch = append(batch, r)
			default:
				return
			}
		}
		batch = g.fill(batch)
		g.settle(batch)
		for _, r := range batch {
			close(r.ready)
		}
	}
}

// fill adds what waits to a batch of one.
func (g *group[In, Out]) fill(batch []*request[In, Out]) []*request[In, Out] {
	for weight := g.weigh(batch[0].in); weight < mostInBatch; {
		select {
		case r := <-g.queue:
			batch = append(batch, r)
			weight += g.weigh(r.in)
		default:
			return batch
		}
	}
	return batch
}

// settle commits a batch. When that fails for a reason that may lie in one of
// its requests, each is tried alone, so that a bad one never fails its
// batch-mates (R9). When the database itself is at fault, all fail.
func (g *group[In, Out]) settle(batch []*request[In, Out]) {
	err := g.try(batch)
	if err != nil && len(batch) > 1 && consent.KindOf(err) != consent.Transient {
		for i := range batch {
			_ = g.try(batch[i : i+1]) // each request carries its own error
		}
	}
}

func (g *group[In, Out]) try(batch []*request[In, Out]) (err error) {
	defer func() {
		// A fault of ours in one request must not end the process, to which
		// it would come again.
		if p := recover(); p != nil {
			err = &consent.Error{Kind: consent.Internal, Op: "ingest.try", Err: fmt.Errorf("panic: %v", p)}
		}
		for _, r := range batch {
			r.err = err
		}
	}()
	in := make([]In, len(batch))
	for i, r := range batch {
		in[i] = r.in
	}
	// The transaction belongs to all requests of the batch: none of them may
	// cancel it.
	out, err := g.commit(context.Background(), in)
	if err != nil {
		return err
	}
	for i, r := range batch {
		r.out = out[i]
	}
	g.batches.Observe(float64(len(batch)))
	return nil
}

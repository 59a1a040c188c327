package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/bench/lanes"
)

// steady is how two servers answer at a rate that both can bear.
type steady struct {
	rate       float64 // webhooks a second
	ours, bare quick
}

// quick is how fast a server answered.
type quick struct {
	all  []time.Duration
	p99s []time.Duration // of each round
}

// halfway measures both servers, in turn, at half of what the program can accept.
func (b *bench) halfway(ctx context.Context, ours, bare *side) (s steady, err error) {
	s.rate = median(ours.perSecond) / 2
	for n := range b.rounds {
		for _, x := range []struct {
			side *side
			to   *quick
		}{{ours, &s.ours}, {bare, &s.bare}} {
			if err := x.side.settle(ctx); err != nil {
				return s, err
			}
			took, err := x.side.runAt(ctx, s.rate, b.round)
			if err != nil {
				return s, fmt.Errorf("%s: %w", x.side.targets, err)
			}
			if x.side.drain != nil {
				if err := x.side.drain(ctx); err != nil {
					return s, err
				}
			}
			x.to.all = append(x.to.all, took...)
			x.to.p99s = append(x.to.p99s, lanes.Percentile(took, .99))
		}
		progress("round %d at %.0f/s: p99 %v, bare %v", n+1, s.rate, s.ours.p99s[n], s.bare.p99s[n])
	}
	return s, nil
}

// runAt posts webhooks at a fixed rate, whatever the answers take, and measures for
// a time after warming up. What an answer takes is counted from when its webhook
// was to be sent: when the server holds up what comes after, that counts too.
func (l *load) runAt(ctx context.Context, rate float64, measured time.Duration) ([]time.Duration, error) {
	var tickets atomic.Int64
	took := make([][]time.Duration, steadyClients*l.clients)
	clients, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	from, to := began.Add(warmUp), began.Add(warmUp+measured)
	for i := range took {
		clients.Go(func() error {
			r := rand.New(rand.NewPCG(rand.Uint64(), uint64(i))) //nolint:gosec // made-up traffic
			var body []byte
			for {
				at := began.Add(time.Duration(float64(tickets.Add(1)) / rate * float64(time.Second)))
				if !at.Before(to) {
					return nil
				}
				body = l.next(body[:0], r)
				if err := wait(ctx, time.Until(at)); err != nil {
					return err
				}
				if err := l.post(ctx, body); err != nil {
					return err
				}
				if !at.Before(from) {
					took[i] = append(took[i], time.Since(at))
				}
			}
		})
	}
	err := clients.Wait()
	return slices.Concat(took...), err
}

// steadyClients is how many times as many connections there are at a fixed rate, so
// that they are never what a webhook waits for.
const steadyClients = 4

// steadyLine is that of the rate that both can bear.
func (r *report) steadyLine(line func(...any)) {
	var each []float64
	for i := range r.steady.ours.p99s {
		each = append(each, float64(r.steady.ours.p99s[i])/float64(r.steady.bare.p99s[i]))
	}
	ours, bare := lanes.Percentile(r.steady.ours.all, .99), lanes.Percentile(r.steady.bare.all, .99)
	ratio := float64(ours) / float64(bare)
	line(fmt.Sprintf("answer at half of our own maximum, %.0f a second, p50", r.steady.rate), short(lanes.Percentile(r.steady.ours.all, .5)),
		short(lanes.Percentile(r.steady.bare.all, .5)), fmt.Sprintf("%.2f", float64(lanes.Percentile(r.steady.ours.all, .5))/float64(lanes.Percentile(r.steady.bare.all, .5))), "", "")
	line("the same, p99", short(ours), short(bare), fmt.Sprintf("**%.2f** (%.2f to %.2f)", ratio, slices.Min(each), slices.Max(each)),
		fmt.Sprintf("at most %.0f", mostSlower), yes(ratio <= mostSlower))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"consentsync/internal/bench/lanes"
)

// side is one of the two servers that are compared.
type side struct {
	*process
	*load
	others    []*process // that serve beside it
	perSecond []float64
	sustained []float64 // what was left to be merged included
	latencies []time.Duration
	cpu       time.Duration
	drain     func(ctx context.Context) error // waits for what is left to be done; nil if nothing is
}

// accept compares the program with the bare server, and takes the program's
// time to be ready and its memory on the way.
func (b *bench) accept(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	if err := b.starts(ctx, data, r); err != nil {
		return err
	}
	ours, err := b.ours(ctx, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	bare, err := b.bare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.stop()) }()

	for n := range b.rounds {
		for _, s := range []*side{ours, bare} {
			if err := s.measure(ctx, b.round); err != nil {
				return err
			}
		}
		progress("round %d: %.0f/s, with all merged %.0f/s, bare %.0f/s, ratio %.2f", n+1,
			ours.perSecond[n], ours.sustained[n], bare.perSecond[n], ours.perSecond[n]/bare.perSecond[n])
	}
	if r.peak, err = ours.peakMemory(); err != nil {
		return err
	}
	r.ours, r.bare = ours.figures(), bare.figures()
	r.steady, err = b.halfway(ctx, ours, bare)
	return err
}

// starts measures how long the program takes to be ready, three times.
func (b *bench) starts(ctx context.Context, data filled, r *report) error {
	for range 3 {
		p, err := b.serve(ctx, data.dir)
		if err != nil {
			return err
		}
		r.starts = append(r.starts, p.ready)
		if err := p.stop(); err != nil {
			return err
		}
	}
	slices.Sort(r.starts)
	return nil
}

func (b *bench) ours(ctx context.Context, data filled) (*side, error) {
	p, err := b.serve(ctx, data.dir)
	if err != nil {
		return nil, err
	}
	s, err := b.side(ctx, p, data)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	s.drain = p.merged
	return s, nil
}

// merged waits until nothing that was accepted is left in the program's inbox.
func (p *process) merged(ctx context.Context) error {
	for {
		waiting := 0.0
		for name, sign := range map[string]float64{
			"consentsync_inbox_queued_total": 1, "consentsync_inbox_merged_total": -1, "consentsync_inbox_set_aside_total": -1,
		} {
			n, err := p.metric(ctx, name)
			if err != nil {
				return err
			}
			waiting += sign * n
		}
		if waiting <= 0 {
			return nil
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (b *bench) side(ctx context.Context, p *process, data filled) (*side, error) {
	token, err := tokenFor(ctx, p.url, data.Client)
	if err != nil {
		return nil, err
	}
	w, err := newWebhooks(data.People)
	if err != nil {
		return nil, err
	}
	return &side{process: p, load: newLoad(p.url+"/webhooks/didomi/"+organization, bearer(token), b.clients, w.next)}, nil
}

func (b *bench) bare(ctx context.Context) (*side, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w, err := newWebhooks(b.people)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, "/", nil, self, "bare-server", filepath.Join(b.dir, "bare.log"))
	if err != nil {
		return nil, err
	}
	return &side{process: p, load: newLoad(p.url+"/webhooks/didomi/"+organization, bearer("as-long-as-the-other-ones-would-be"), b.clients, w.next)}, nil
}

// measure adds a round, once what the other server left behind is on disk.
func (s *side) measure(ctx context.Context, d time.Duration) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	before, err := s.used()
	if err != nil {
		return err
	}
	began, sent := time.Now(), s.sent.Load()
	r, err := s.run(ctx, d)
	if err != nil {
		return fmt.Errorf("%s: %w", s.targets, err)
	}
	if s.drain != nil {
		if err := s.drain(ctx); err != nil {
			return err
		}
	}
	s.sustained = append(s.sustained, float64(s.sent.Load()-sent)/time.Since(began).Seconds())
	after, err := s.used()
	s.perSecond = append(s.perSecond, r.perSecond)
	s.latencies = append(s.latencies, r.latencies...)
	s.cpu += after - before
	return err
}

// settle waits until what another server left behind is on disk.
func (s *side) settle(ctx context.Context) error {
	err := wait(ctx, 2*time.Second)
	unix.Sync()
	return err
}

// used is the processor time that the servers have used.
func (s *side) used() (sum time.Duration, err error) {
	for _, p := range append([]*process{s.process}, s.others...) {
		one, err := p.cpuTime()
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// figures are what is reported of a server.
type figures struct {
	perSecond []float64 // of each round
	sustained []float64
	p50, p99  time.Duration
	cpu       time.Duration // of the server, for one request
}

func (s *side) figures() figures {
	return figures{
		perSecond: s.perSecond, sustained: s.sustained, p50: lanes.Percentile(s.latencies, .5), p99: lanes.Percentile(s.latencies, .99),
		cpu: s.cpu / time.Duration(max(1, s.sent.Load())),
	}
}

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
)

// side is one of the two servers that are compared.
type side struct {
	*process
	*load
	perSecond []float64
	latencies []time.Duration
	cpu       time.Duration
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
		progress("round %d: %.0f/s, bare %.0f/s, ratio %.2f", n+1, ours.perSecond[n], bare.perSecond[n], ours.perSecond[n]/bare.perSecond[n])
	}
	r.peak, err = ours.peakMemory()
	r.ours, r.bare = ours.figures(), bare.figures()
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
	return s, nil
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
	return &side{process: p, load: newLoad(p.url+"/webhooks/didomi/"+organization, token, b.clients, w)}, nil
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
	return &side{process: p, load: newLoad(p.url+"/webhooks/didomi/"+organization, "as-long-as-the-other-ones-would-be", b.clients, w)}, nil
}

// measure adds a round, once what the other server left behind is on disk.
func (s *side) measure(ctx context.Context, d time.Duration) error {
	if err := wait(ctx, 2*time.Second); err != nil {
		return err
	}
	unix.Sync()
	before, err := s.cpuTime()
	if err != nil {
		return err
	}
	r, err := s.run(ctx, d)
	if err != nil {
		return fmt.Errorf("%s: %w", s.target, err)
	}
	after, err := s.cpuTime()
	s.perSecond = append(s.perSecond, r.perSecond)
	s.latencies = append(s.latencies, r.latencies...)
	s.cpu += after - before
	return err
}

// figures are what is reported of a server.
type figures struct {
	perSecond []float64 // of each round
	p50, p99  time.Duration
	cpu       time.Duration // of the server, for one request
}

func (s *side) figures() figures {
	return figures{
		perSecond: s.perSecond, p50: percentile(s.latencies, .5), p99: percentile(s.latencies, .99),
		cpu: s.cpu / time.Duration(max(1, s.sent.Load())),
	}
}

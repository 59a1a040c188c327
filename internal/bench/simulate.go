package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"consentsync/internal/backfill"
)

// mostSimulation is what a simulation over a million people may take.
const mostSimulation = time.Minute

// simulated is a simulation over everybody in the store.
type simulated struct {
	people int64
	took   time.Duration
	cpu    time.Duration
	peak   int64
}

// simulate asks the program what its integration would do to all the people of
// the database, with its Actito out of reach.
func (b *bench) simulate(ctx context.Context, r *report) (err error) {
	data, err := b.database(ctx)
	if err != nil {
		return err
	}
	p, err := b.serve(ctx, data.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	progress("simulating an integration over %d people", data.People)
	before, err := p.cpuTime()
	if err != nil {
		return err
	}
	began := time.Now()
	var s backfill.Simulation
	if err := ask(ctx, http.MethodPost, p.url+"/v1/marketplace/integrations/"+data.Integration+"/simulate?live=false", map[string]any{}, &s); err != nil {
		return err
	}
	r.simulated.took = time.Since(began)
	r.simulated.people = s.People.Looked
	after, err := p.cpuTime()
	if err != nil {
		return err
	}
	r.simulated.cpu = after - before
	if !s.Complete || s.People.Looked != int64(data.People) || s.People.Changed == 0 {
		return fmt.Errorf("of %d people the simulation looked at %+v", data.People, s.People)
	}
	r.simulated.peak, err = p.peakMemory()
	return err
}

// simulationLines are those of the part simulate.
func (r *report) simulationLines(line func(...any)) {
	s := r.simulated
	if s.people == 0 {
		return
	}
	most := time.Duration(float64(mostSimulation) * float64(s.people) / 1e6)
	line(fmt.Sprintf("simulation over %d people", s.people), short(s.took), "", fmt.Sprintf("%.0f people/s", float64(s.people)/s.took.Seconds()),
		"under "+short(most), yes(s.took < most))
	line("processor time of it", short(s.cpu), "", "", "", "")
	line("most resident memory of it", fmt.Sprintf("%d MB", s.peak/1e6), "", "", "", "")
}

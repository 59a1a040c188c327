package backfill

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// Simulated is what a simulation is made of.
type Simulated struct {
	// Integration is as it would be, with the structure of the table that counts
	// as its snapshot. Its id finds the deliveries; an id that nobody knows, as of
	// a new integration, has none.
	Integration *store.Integration
	Structure   Structure
	// Lanes is what is known of the licence: its pace, and the loads of today.
	Lanes plan.Lanes
}

// simulatePage is how many people are held in memory at a time; four pages are.
const simulatePage = 500

// Simulate tells what an integration would do to everybody known, as far as it
// comes before the time that over tells is up. It writes nothing and calls
// nobody, and keeps a few pages of people in memory, however many there are.
func Simulate(ctx context.Context, people People, of Simulated, over func() bool) (*Simulation, error) {
	t := newTally(of.Integration)
	k := store.IntegrationKey{Organization: of.Integration.Organization, ID: of.Integration.ID}
	complete, err := everybody(ctx, people, k, over, t.add)
	if err != nil {
		return nil, err
	}
	s := t.end(of.Lanes)
	s.Structure, s.Complete = of.Structure, complete
	return s, nil
}

// everybody gives all people to f, in the order of their keys, until the time
// that over tells is up. The next page is read meanwhile.
func everybody(ctx context.Context, people People, k store.IntegrationKey, over func() bool, f func(*store.Compared)) (complete bool, err error) {
	pages := make(chan []*store.Compared, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(pages)
		for after := []byte{}; !over(); {
			page, err := people.ComparePage(ctx, k, after, simulatePage)
			if err != nil {
				return err
			}
			select {
			case pages <- page:
			case <-ctx.Done():
				return ctx.Err()
			}
			if len(page) < simulatePage {
				complete = true
				return nil
			}
			last := page[len(page)-1].Key
			after = last[:]
		}
		return nil
	})
	g.Go(func() error {
		for page := range pages {
			for _, c := range page {
				f(c)
			}
		}
		return nil
	})
	err = g.Wait()
	return complete, err
}

// Within gives a clock that is up after a time.
func Within(now func() time.Time, d time.Duration) (over func() bool) {
	until := now().Add(d)
	return func() bool { return !now().Before(until) }
}

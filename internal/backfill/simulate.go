package backfill

import (
	"context"
	"errors"
	"time"

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

// Simulate tells what an integration would do to everybody known, as far as it
// comes before the time that over tells is up. It writes nothing and calls
// nobody, and keeps some pages of people in memory, however many there are.
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
// that over tells is up.
func everybody(ctx context.Context, people People, k store.IntegrationKey, over func() bool, f func(*store.Compared)) (complete bool, err error) {
	errOver := errors.New("the time is up")
	err = walk(ctx, people, k, nil, func(page []*store.Compared, _ []byte) error {
		if over() {
			return errOver
		}
		for _, c := range page {
			f(c)
		}
		return nil
	})
	if errors.Is(err, errOver) {
		return false, nil
	}
	return err == nil, err
}

// Within gives a clock that is up after a time.
func Within(now func() time.Time, d time.Duration) (over func() bool) {
	until := now().Add(d)
	return func() bool { return !now().Before(until) }
}

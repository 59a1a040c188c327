package integration

import (
	"context"
	"slices"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/deliver/plan"
	"consentsync/internal/store"
)

// SimulateOptions say how a simulation is made.
type SimulateOptions struct {
	// Live takes the structure of the table from the Actito account, with the
	// check that a creation or a change makes; those are the only calls that a
	// simulation makes. Otherwise it makes none.
	Live bool
	// Most bounds how long people are looked at; what was seen by then counts.
	Most time.Duration
}

// Simulate tells what a change of an integration, as Change takes it, would do
// to everybody known. Nothing is stored, and nothing is sent.
func (s *Service) Simulate(ctx context.Context, k store.IntegrationKey, patch []byte, o SimulateOptions) (*backfill.Simulation, error) {
	i, in, err := s.patch(ctx, k, patch)
	if err != nil {
		return nil, err
	}
	return s.simulate(ctx, i, in, o)
}

// SimulateNew tells what a new integration, as Create takes it, would do to
// everybody known. Nothing is stored, and nothing is sent.
func (s *Service) SimulateNew(ctx context.Context, organization string, body []byte, o SimulateOptions) (*backfill.Simulation, error) {
	if err := s.gate(ctx, organization); err != nil {
		return nil, err
	}
	i, in, err := s.fresh(ctx, organization, body)
	if err != nil {
		return nil, err
	}
	return s.simulate(ctx, i, in, o)
}

func (s *Service) simulate(ctx context.Context, i *store.Integration, in *input, o SimulateOptions) (*backfill.Simulation, error) {
	// One at a time: it takes a processor, which accepting needs more.
	if !s.simulating.TryLock() {
		return nil, &consent.Error{
			Kind: consent.Transient, Op: "integration.Simulate", Message: "another simulation is under way: try again when it has ended", RetryAfter: 5 * time.Second,
		}
	}
	defer s.simulating.Unlock()
	of, assumptions, err := s.candidate(ctx, i, in, o.Live)
	if err != nil {
		return nil, err
	}
	caughtUp, err := store.UpToDate(ctx, s.Store, i.Organization, store.Patience)
	if err != nil {
		return nil, err
	}
	simulation, err := backfill.Simulate(ctx, s.Store, of, backfill.Within(s.Now, o.Most))
	if err != nil {
		return nil, err
	}
	simulation.CatchingUp = !caughtUp
	simulation.Assumptions = append(simulation.Assumptions, assumptions...)
	return simulation, nil
}

// candidate makes i what it would be, in memory alone.
func (s *Service) candidate(ctx context.Context, i *store.Integration, in *input, live bool) (of backfill.Simulated, assumptions []string, err error) {
	of.Integration = i
	if live {
		of.Structure.Source = backfill.FromLive
		err = s.adopt(ctx, i, in)
	} else if err = s.check(i, in); err == nil {
		of.Structure.Source = backfill.FromSnapshot
		snapshot := i.Snapshot
		if snapshot.TakenAt == 0 {
			of.Structure.Source = backfill.FromMapping
			snapshot = AssumedSnapshot(in.Settings)
			snapshot.RestoredAt = i.Snapshot.RestoredAt
		}
		assumptions = assumed(of.Structure.Source, in.Settings)
		err = s.take(ctx, i, in, snapshot)
	}
	if err != nil {
		return of, nil, err
	}
	of.Structure.TakenAt = i.Snapshot.TakenAt.OrNil()
	of.Lanes, err = s.lanes(ctx, i)
	return of, assumptions, err
}

// AssumedSnapshot is the structure of a table that nobody has looked at:
// whatever is mapped by name exists, and takes any text.
func AssumedSnapshot(settings store.Settings) consent.Snapshot {
	var s consent.Snapshot
	for _, m := range settings.Mappings {
		s.Subscriptions = append(s.Subscriptions, consent.Subscription{Name: m.ID})
	}
	for _, a := range settings.Properties.Attributes {
		s.Attributes = append(s.Attributes, consent.Attribute{Name: a.ID, Kind: consent.String})
	}
	return s
}

// assumed says in words what a simulation without a look at the table rests on.
func assumed(source backfill.StructureSource, settings store.Settings) []string {
	if source == backfill.FromSnapshot {
		return []string{"The table was not looked at: it is taken to be as in the snapshot. A subscription that is mapped and not in it is left out here; a change looks again."}
	}
	said := []string{"The table was not looked at: whatever is mapped is assumed to exist, and attributes to take any text."}
	if settings.Properties.Attributes == nil {
		said = append(said, "Which keys of the metadata are attributes of the table is not known: none is counted.")
	}
	return said
}

// lanes tells at which pace the licence of an integration would be called, and
// what was loaded today.
func (s *Service) lanes(ctx context.Context, i *store.Integration) (plan.Lanes, error) {
	others, err := s.Store.IntegrationsOfLicence(ctx, i.Licence)
	if err != nil {
		return plan.Lanes{}, err
	}
	others = slices.DeleteFunc(others, func(o *store.Integration) bool { return o.Organization == i.Organization && o.ID == i.ID })
	lanes := plan.Lanes{Now: consent.TimeOf(s.Now()), PerMinute: plan.CeilingOf(append(others, i)).PerMinute}
	loads, err := s.Store.Loads(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, shownLoads)
	for _, l := range loads {
		if l.StartedAt > 0 {
			lanes.LoadsToday = append(lanes.LoadsToday, l.StartedAt)
		}
	}
	return lanes, err
}

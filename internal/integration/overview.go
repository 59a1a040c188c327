package integration

import (
	"context"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// OverviewView tells how an integration goes: who is where, and how long it took
// from a choice to its effect.
type OverviewView struct {
	InFlight  int64 `json:"in_flight"`
	Failed    int64 `json:"failed"` // towards Actito
	Unmatched int64 `json:"unmatched"`
	// FailedToDidomi are those of whose choices in Actito Didomi refuses to hear.
	FailedToDidomi int64 `json:"failed_to_didomi"`
	// More tells that more failed, or are unmatched, than were counted.
	MoreFailed         bool `json:"more_failed"`
	MoreUnmatched      bool `json:"more_unmatched"`
	MoreFailedToDidomi bool `json:"more_failed_to_didomi"`
	// IntervalSeconds is how long each of the intervals is, of which those are
	// left out in which nothing came into effect.
	IntervalSeconds int            `json:"interval_seconds"`
	Effects         []IntervalView `json:"effects"`
}

// IntervalView is what came into effect in an interval.
type IntervalView struct {
	At          consent.Time `json:"at"`
	Withdrawals SpeedView    `json:"withdrawals"`
	Others      SpeedView    `json:"others"`
}

// SpeedView tells of how many people a choice came into effect, and within which
// time for half of them and for 95 of 100; both are bounds, and 0 for nobody.
type SpeedView struct {
	People int64   `json:"people"`
	Half   float64 `json:"half_seconds"`
	Most   float64 `json:"most_seconds"`
}

// overviewSpan is how far an overview looks back, overviewInterval what it takes
// together.
const (
	overviewSpan     = 24 * time.Hour
	overviewInterval = 30 * time.Minute
)

// Overview tells how an integration goes.
func (s *Service) Overview(ctx context.Context, k store.IntegrationKey) (*OverviewView, error) {
	if _, err := s.Store.Integration(ctx, k); err != nil {
		return nil, err
	}
	n, err := s.Store.States(ctx, k)
	if err != nil {
		return nil, err
	}
	found, err := s.Store.Effects(ctx, k, interval(consent.TimeOf(s.Now()).Add(-overviewSpan)))
	if err != nil {
		return nil, err
	}
	return &OverviewView{
		InFlight: n.InFlight, Failed: n.Failed, Unmatched: n.Unmatched, FailedToDidomi: n.FailedToDidomi,
		MoreFailed: n.Failed == store.MostTroubled, MoreUnmatched: n.Unmatched == store.MostTroubled, MoreFailedToDidomi: n.FailedToDidomi == store.MostTroubled,
		IntervalSeconds: int(overviewInterval.Seconds()), Effects: intervals(found),
	}, nil
}

func interval(t consent.Time) consent.Time {
	return t - t%consent.Time(overviewInterval/time.Microsecond)
}

// intervals takes effects together, which come the oldest first.
func intervals(effects []store.Effect) []IntervalView {
	views := []IntervalView{}
	for start := 0; start < len(effects); {
		at := interval(effects[start].At)
		end := start
		var steps [2][]int64
		for ; end < len(effects) && interval(effects[end].At) == at; end++ {
			kind := 1
			if effects[end].Withdrawal {
				kind = 0
			}
			if steps[kind] == nil {
				steps[kind] = make([]int64, len(store.EffectSteps))
			}
			steps[kind][effects[end].Step] += effects[end].People
		}
		views = append(views, IntervalView{at, speed(steps[0]), speed(steps[1])})
		start = end
	}
	return views
}

// speed gives the bounds within which half of the people, and most, were served.
func speed(steps []int64) (v SpeedView) {
	for _, n := range steps {
		v.People += n
	}
	within := func(part float64) float64 {
		sum := int64(0)
		for i, n := range steps {
			if sum += n; v.People > 0 && float64(sum) >= part*float64(v.People) {
				return store.EffectSteps[i].Seconds()
			}
		}
		return 0
	}
	v.Half, v.Most = within(.5), within(.95)
	return v
}

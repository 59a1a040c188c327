package integration

import (
	"context"
	"encoding/json"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// PlanView tells how the budget of an integration's licence is spent: what is
// due, how fast it goes, by which lane, and what was spared.
type PlanView struct {
	IntegrationID string `json:"integration_id"`
	// Licence is shared by all integrations that spend its budget. It is absent
	// until the node that delivers for it has said something.
	Licence *LicenceView         `json:"licence,omitempty"`
	Due     map[string]QueueView `json:"due"` // by class
	Lanes   LanesView            `json:"lanes"`
	Loads   []LoadView           `json:"loads"` // the newest first
	Spent   CountsView           `json:"spent"`
}

// QueueView is what is due in a class.
type QueueView = store.QueuePlan

// LicenceView is the pace of a licence.
type LicenceView struct {
	ReportedAt         consent.Time  `json:"reported_at"`
	Node               string        `json:"node"`
	HeldSince          consent.Time  `json:"held_since"`
	CallsPerMinute     int           `json:"calls_per_minute"`
	MostCallsPerMinute int           `json:"most_calls_per_minute"`
	Concurrency        int           `json:"concurrency"`
	MostConcurrency    int           `json:"most_concurrency"`
	PaceReason         string        `json:"pace_reason"`
	Outage             bool          `json:"outage"`
	BlockedUntil       *consent.Time `json:"blocked_until"`
}

// LanesView predicts how long what is due takes by each lane.
type LanesView struct {
	Single struct {
		DrainSeconds float64 `json:"drain_seconds"`
	} `json:"single"`
	Bulk store.BulkPlan `json:"bulk"`
}

// LoadView is one bulk load.
type LoadView struct {
	ID          store.ID          `json:"id"`
	State       store.LoadState   `json:"state"`
	Outcome     store.LoadOutcome `json:"outcome"`
	Reason      string            `json:"reason"`
	Columns     []string          `json:"columns"`
	People      int64             `json:"people"`
	Withdrawals int64             `json:"withdrawals"`
	Refused     int64             `json:"refused"`
	Execution   string            `json:"execution"`
	CreatedAt   consent.Time      `json:"created_at"`
	StartedAt   *consent.Time     `json:"started_at"`
	EndedAt     *consent.Time     `json:"ended_at"`
}

// CountsView is what was ever counted of an integration. Events are those that
// made somebody due and were looked at since.
type CountsView struct {
	Events int64      `json:"events"`
	Calls  int64      `json:"calls"`
	Loaded int64      `json:"people_loaded"`
	Saved  SavedCalls `json:"saved"`
}

// SavedCalls are the calls that were not made, by reason.
type SavedCalls struct {
	Coalesced int64 `json:"coalesced"` // the event shared the call of another
	Unchanged int64 `json:"unchanged"` // Actito holds it already
	Bulk      int64 `json:"bulk"`      // the person went by a bulk load
}

// shownLoads is how many loads a plan shows.
const shownLoads = 20

// Plan tells what the budget of an integration is spent on.
func (s *Service) Plan(ctx context.Context, k store.IntegrationKey) (*PlanView, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, err
	}
	text, err := s.Store.Plan(ctx, i.Licence)
	if err != nil {
		return nil, err
	}
	v := &PlanView{IntegrationID: i.ID, Due: map[string]QueueView{}, Loads: []LoadView{}}
	for _, class := range store.ClassNames {
		v.Due[class] = QueueView{}
	}
	var p store.LicencePlan
	if text != nil {
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, &consent.Error{Kind: consent.Internal, Op: "integration.Plan", Err: err}
		}
		v.Licence = licenceView(&p)
	}
	if own, told := p.Integrations[i.ID]; told {
		v.Due, v.Lanes.Bulk = own.Due, own.Bulk
		v.Lanes.Single.DrainSeconds = own.SingleDrainSeconds
	}
	loads, err := s.Store.Loads(ctx, k, shownLoads)
	if err != nil {
		return nil, err
	}
	for _, l := range loads {
		v.Loads = append(v.Loads, loadView(l))
	}
	v.Spent, err = s.spent(ctx, k)
	return v, err
}

func licenceView(p *store.LicencePlan) *LicenceView {
	return &LicenceView{
		ReportedAt: p.At, Node: p.Node, HeldSince: p.Since, CallsPerMinute: p.CallsPerMinute, MostCallsPerMinute: p.MostCallsPerMinute,
		Concurrency: p.Concurrency, MostConcurrency: p.MostConcurrency, PaceReason: p.PaceReason, Outage: p.Outage,
		BlockedUntil: p.BlockedUntil.OrNil(),
	}
}

func loadView(l *store.Load) LoadView {
	return LoadView{
		ID: l.LoadID, State: l.State, Outcome: l.Outcome, Reason: l.Reason, Columns: l.Columns, People: l.People,
		Withdrawals: l.Withdrawals, Refused: l.Refused, Execution: l.Execution, CreatedAt: l.CreatedAt,
		StartedAt: l.StartedAt.OrNil(), EndedAt: l.EndedAt.OrNil(),
	}
}

func (s *Service) spent(ctx context.Context, k store.IntegrationKey) (CountsView, error) {
	n, err := s.Store.Counts(ctx, k)
	return CountsView{
		Events: n[store.CountEvents], Calls: n[store.CountCalls], Loaded: n[store.CountLoaded],
		Saved: SavedCalls{Coalesced: n[store.CountCoalesced], Unchanged: n[store.CountUnchanged], Bulk: n[store.CountLoaded]},
	}, err
}

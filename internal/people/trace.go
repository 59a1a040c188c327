package people

import (
	"cmp"
	"context"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Entry is one line of a person's trace.
type Entry struct {
	At   consent.Time `json:"at"`
	Kind string       `json:"kind"` // event, decision, call, answer

	// Of an event and of the decision about it.
	ID         string              `json:"id,omitempty"` // ours
	Type       consent.MessageType `json:"type,omitempty"`
	EventID    string              `json:"event_id,omitempty"` // Didomi's
	Regulation string              `json:"regulation,omitempty"`
	ConsentAt  *consent.Time       `json:"consent_at,omitempty"`
	Outcome    string              `json:"outcome,omitempty"`

	// Of a call and of its answer.
	CallID        string          `json:"call_id,omitempty"`
	IntegrationID string          `json:"integration_id,omitempty"`
	Operation     string          `json:"operation,omitempty"`
	Subscriptions map[string]bool `json:"subscriptions,omitempty"`
	Attributes    []string        `json:"attributes,omitempty"` // names
	Detail        string          `json:"detail,omitempty"`
}

// mostTraced bounds how many events and how many calls a trace shows: the
// newest.
const mostTraced = 500

// Trace is a person's history, oldest first.
type Trace struct {
	Data []Entry `json:"data"`
	// CatchingUp: see Person.
	CatchingUp bool `json:"catching_up,omitempty"`
}

// Trace gives a person's history; NotFound if nothing is known.
func (s *Service) Trace(ctx context.Context, organization, userID string) (*Trace, error) {
	caughtUp, err := store.UpToDate(ctx, s.Store, organization, store.Patience)
	if err != nil {
		return nil, err
	}
	key := s.Hasher.Person(organization, consent.Subject{OrganizationUserID: userID})
	person, err := s.Store.Person(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	subjects := []store.PersonKey{key}
	for id := range person.DidomiUsers {
		subjects = append(subjects, s.Hasher.Person(organization, consent.Subject{DidomiUserID: id}))
	}
	t, err := s.Store.Trace(ctx, organization, subjects, mostTraced)
	if err != nil {
		return nil, err
	}
	entries := []Entry{}
	for _, e := range t.Events {
		entries = append(entries,
			Entry{At: e.ArrivedAt, Kind: "event", ID: e.ID.String(), Type: e.Type, EventID: e.EntityID, Regulation: e.Regulation, ConsentAt: e.ConsentAt.OrNil()},
			Entry{At: e.ArrivedAt, Kind: "decision", ID: e.ID.String(), EventID: e.EntityID, Outcome: string(e.Outcome)})
	}
	for _, c := range t.Calls {
		entries = append(entries, Entry{
			At: c.StartedAt, Kind: "call", CallID: c.ID.String(), IntegrationID: c.Integration, Operation: c.Operation,
			Subscriptions: c.Subscriptions, Attributes: c.Attributes,
		})
		if c.AnsweredAt > 0 {
			entries = append(entries, Entry{
				At: c.AnsweredAt, Kind: "answer", CallID: c.ID.String(), IntegrationID: c.Integration, Operation: c.Operation,
				Outcome: c.Outcome, Detail: c.Detail,
			})
		}
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.At, b.At) })
	return &Trace{Data: entries, CatchingUp: !caughtUp}, nil
}

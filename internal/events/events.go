// Package events shows what was accepted: each message of Didomi or Actito, what
// it said, and what became of it.
//
// What is personal in it is masked unless whoever asks may see it. Masking goes
// by what is known to be harmless, so that a field that nobody thought of is
// masked.
package events

import (
	"context"
	"encoding/json"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// Store is what showing events needs of the database.
type Store interface {
	Events(ctx context.Context, organization string, f store.EventFilter, before store.ID, limit int) ([]store.Event, store.ID, error)
	Event(ctx context.Context, organization string, id store.ID) (*store.Event, error)
	Payload(ctx context.Context, organization string, id store.ID) (salt [16]byte, body []byte, err error)
	SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error)
}

// Service shows events.
type Service struct {
	Store  Store
	Hasher *store.Hasher
}

// View is an event as shown.
type View struct {
	ID                 store.ID            `json:"id"`
	Type               consent.MessageType `json:"type"`
	EventID            string              `json:"event_id"` // Didomi's, or of its user record
	OrganizationUserID string              `json:"organization_user_id"`
	DidomiUserID       string              `json:"didomi_user_id"`
	Regulation         string              `json:"regulation"`
	ConsentAt          *consent.Time       `json:"consent_at"`
	ArrivedAt          consent.Time        `json:"arrived_at"`
	Outcome            consent.Outcome     `json:"outcome"`
	// Payload is the message as it came, in the answer for one event.
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Query narrows a list; what is empty asks for nothing.
type Query struct {
	OrganizationUserID string
	Type               string
	Outcome            string
	From, To           consent.Time
}

// Outcomes lists what can become of an event.
var Outcomes = []consent.Outcome{
	consent.Applied, consent.Superseded, consent.PendingApproval, consent.RegulationConflict, consent.NoPerson, consent.Unlinked, consent.Duplicate,
}

// filter checks a query.
func (s *Service) filter(organization string, q Query) (f store.EventFilter, err error) {
	problems := map[string]string{}
	if q.OrganizationUserID != "" {
		f.Person = s.Hasher.Person(organization, consent.Subject{OrganizationUserID: q.OrganizationUserID})
	}
	f.Type, f.Outcome, f.From, f.To = consent.MessageType(q.Type), consent.Outcome(q.Outcome), q.From, q.To
	if q.Type != "" && !slices.Contains(consent.MessageTypes, f.Type) {
		problems["type"] = "must be one of event.created, event.updated, event.deleted, user.created, user.updated, user.deleted"
	}
	if q.Outcome != "" && !slices.Contains(Outcomes, f.Outcome) {
		problems["outcome"] = "must be one of applied, superseded, pending_approval, regulation_conflict, no_person, unlinked, duplicate"
	}
	if q.From > 0 && q.To > 0 && q.From >= q.To {
		problems["to"] = "must be later than from"
	}
	if len(problems) > 0 {
		return f, incoming.Refuse(consent.Invalid, problems)
	}
	return f, nil
}

// List gives the events of an organization that a query asks for, the newest
// first, from before a cursor. A page may be short or empty and still have a
// next, where what is asked for is rare; next is empty at the end.
func (s *Service) List(ctx context.Context, organization string, q Query, cursor string, limit int, clear bool) (views []View, next string, err error) {
	f, err := s.filter(organization, q)
	if err != nil {
		return nil, "", err
	}
	var before store.ID
	if cursor != "" {
		if err := before.UnmarshalText([]byte(cursor)); err != nil {
			return nil, "", incoming.RefuseField("cursor", "must be the next of the page before")
		}
	}
	found, more, err := s.Store.Events(ctx, organization, f, before, limit)
	if err != nil {
		return nil, "", err
	}
	var keys []store.PersonKey
	for _, e := range found {
		keys = append(keys, e.Person)
	}
	who, err := s.Store.SubjectsOf(ctx, organization, keys)
	if err != nil {
		return nil, "", err
	}
	views = []View{}
	for i := range found {
		views = append(views, view(&found[i], who[found[i].Person], clear))
	}
	if more != (store.ID{}) {
		next = more.String()
	}
	return views, next, nil
}

// Get gives one event with its payload; NotFound if there is none.
func (s *Service) Get(ctx context.Context, organization, id string, clear bool) (*View, error) {
	var key store.ID
	if err := key.UnmarshalText([]byte(id)); err != nil {
		return nil, consent.Errorf(consent.NotFound, "events.Get", "no such event")
	}
	e, err := s.Store.Event(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	who, err := s.Store.SubjectsOf(ctx, organization, []store.PersonKey{e.Person})
	if err != nil {
		return nil, err
	}
	v := view(e, who[e.Person], clear)
	_, body, err := s.Store.Payload(ctx, organization, key)
	switch {
	case consent.KindOf(err) == consent.NotFound && err != nil: // erased
	case err != nil:
		return nil, err
	case !json.Valid(body):
		v.Payload = json.RawMessage(`null`)
	case clear:
		v.Payload = body
	default:
		v.Payload = MaskPayload(body)
	}
	return &v, nil
}

func view(e *store.Event, who consent.Subject, clear bool) View {
	v := View{
		ID: e.ID, Type: e.Type, EventID: e.EntityID, OrganizationUserID: who.OrganizationUserID, DidomiUserID: who.DidomiUserID,
		Regulation: e.Regulation, ConsentAt: e.ConsentAt.OrNil(), ArrivedAt: e.ArrivedAt, Outcome: e.Outcome,
	}
	if !clear {
		v.OrganizationUserID, v.DidomiUserID = MaskID(v.OrganizationUserID), MaskID(v.DidomiUserID)
	}
	return v
}

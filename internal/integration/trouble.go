package integration

import (
	"context"
	"encoding/base64"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// TroubleView is the people who failed or are unmatched for one reason.
type TroubleView struct {
	Target store.Target        `json:"target"`
	Status store.DeliveryState `json:"status"`
	Reason string              `json:"reason"`
	People int64               `json:"people"`
	More   bool                `json:"more"` // there are more than were counted
}

// Troubles groups those who failed or are unmatched by the reason.
func (s *Service) Troubles(ctx context.Context, k store.IntegrationKey) ([]TroubleView, error) {
	if _, err := s.Store.Integration(ctx, k); err != nil {
		return nil, err
	}
	found, err := s.Store.Troubles(ctx, k)
	views := []TroubleView{}
	for _, t := range found {
		views = append(views, TroubleView{t.Target, t.State, t.Reason, t.People, t.People == store.MostTroubled})
	}
	return views, err
}

// TroubledView is one person who failed or is unmatched.
type TroubledView struct {
	OrganizationUserID string              `json:"organization_user_id"`
	Status             store.DeliveryState `json:"status"`
	LastError          string              `json:"last_error"`
	Calls              int64               `json:"calls"`
	UpdatedAt          *consent.Time       `json:"updated_at"`
	NextAt             *consent.Time       `json:"next_at"`
}

// Whom says whose deliveries are asked for: those to a target, Actito if it is
// empty, that are in a state, for a reason if that is not empty.
type Whom struct{ Target, Status, Reason string }

func (w Whom) only() (store.Only, error) {
	o := store.Only{Target: store.Target(w.Target), State: store.DeliveryState(w.Status), Reason: store.ReasonOf(w.Reason)}
	if !slices.Contains(store.TroubleStates, o.State) {
		return o, incoming.RefuseField("status", "must be failed or unmatched")
	}
	return o, checkTarget(o)
}

func checkTarget(o store.Only) error {
	if !slices.Contains(store.Targets, o.Towards()) {
		return incoming.RefuseField("target", "must be actito or didomi")
	}
	return nil
}

// Troubled lists those who are asked for, from after a cursor; next is empty at
// the end.
func (s *Service) Troubled(ctx context.Context, k store.IntegrationKey, whom Whom, cursor string, limit int) (views []TroubledView, next string, err error) {
	o, err := whom.only()
	if err != nil {
		return nil, "", err
	}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, "", incoming.RefuseField("cursor", "must be the next of the page before")
	}
	if _, err := s.Store.Integration(ctx, k); err != nil {
		return nil, "", err
	}
	found, err := s.Store.Troubled(ctx, k, o, store.TroubleCursorOf(after), limit+1)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = base64.RawURLEncoding.EncodeToString(store.TroubleCursor{Reason: store.ReasonOf(last.LastError), Person: last.Person}.Bytes())
	}
	var keys []store.PersonKey
	for _, d := range found {
		keys = append(keys, d.Person)
	}
	who, err := s.Store.SubjectsOf(ctx, k.Organization, keys)
	if err != nil {
		return nil, "", err
	}
	views = []TroubledView{}
	for _, d := range found {
		views = append(views, TroubledView{who[d.Person].OrganizationUserID, d.State, d.LastError, d.Calls, d.UpdatedAt.OrNil(), d.NextAt.OrNil()})
	}
	return views, next, nil
}

// RetryInput says who is tried again.
type RetryInput struct {
	Target string `json:"target"` // actito, which it is if it is empty, or didomi
	Status string `json:"status"` // failed, unmatched or all
	Reason string `json:"reason"` // only those for this reason, unless it is empty
	// From and To, in RFC 3339, bound when the delivery was last worked on, or
	// when Actito last confirmed one of its fields; empty for no bound.
	From string `json:"from"`
	To   string `json:"to"`
}

func (in *RetryInput) only() (o store.Only, err error) {
	o = store.Only{State: store.DeliveryState(in.Status), Reason: store.ReasonOf(in.Reason)}
	if in.Target != string(store.TargetActito) {
		o.Target = store.Target(in.Target)
	}
	if err := checkTarget(o); err != nil {
		return o, err
	}
	if o.Target == store.TargetDidomi && (o.State != store.Failed || in.From != "" || in.To != "") {
		return o, incoming.RefuseField("status", "must be failed, without a time, where it is about Didomi")
	}
	switch {
	case in.Status == "" && (in.From != "" || in.To != ""):
		o.State = store.Everyone
	case o.State != store.Everyone && !slices.Contains(store.TroubleStates, o.State):
		return o, incoming.RefuseField("status", "must be failed, unmatched or all")
	}
	for _, bound := range []struct {
		field, text string
		into        *consent.Time
	}{{"from", in.From, &o.From}, {"to", in.To, &o.To}} {
		if err := bound.into.UnmarshalText([]byte(bound.text)); err != nil {
			return o, incoming.RefuseField(bound.field, "must be a time such as 2026-11-02T09:00:00Z")
		}
	}
	if o.To != 0 && o.To < o.From {
		return o, incoming.RefuseField("to", "must not lie before from")
	}
	return o, nil
}

// Retry compares those who are in a state, for a reason if that is not empty,
// again in the background, and sends what differs. It asks for a yes before it
// turns on subscriptions of many (R23), but for none before it tells Didomi again
// what people chose themselves. Conflict while others are compared or tried again.
func (s *Service) Retry(ctx context.Context, k store.IntegrationKey, in RetryInput) (*View, error) {
	o, err := in.only()
	if err != nil {
		return nil, err
	}
	v, err := s.Get(ctx, k)
	if err != nil {
		return nil, err
	}
	if _, err := store.CaughtUp(ctx, s.Store, k.Organization, store.Patience); err != nil {
		return nil, err
	}
	details := []store.Detail{{Name: "status", Is: string(o.State)}, {Name: "reason", Is: o.Reason}}
	for _, bound := range []store.Detail{{Name: "target", Is: string(o.Target)}, {Name: "from", Is: in.From}, {Name: "to", Is: in.To}} {
		if bound.Is != "" {
			details = append(details, bound)
		}
	}
	if err := s.Store.StartRetry(ctx, k, o, s.change(ctx, k, actionRetried, details...)); err != nil {
		return nil, err
	}
	s.Changed()
	// As it begins: by now it may be done.
	v.Reprojection = reprojectionView(&store.Reprojection{State: store.ReprojectionCounting, Only: o})
	return v, nil
}

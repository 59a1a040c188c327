// Package people explains a person: what they chose, what Actito should hold
// because of it, what it was last known to hold, and how that came about.
package people

import (
	"context"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Store is what explaining needs of the database.
type Store interface {
	Person(ctx context.Context, organization string, key store.PersonKey) (*store.Person, error)
	Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error)
	DeliveriesOf(ctx context.Context, organization string, p store.PersonKey) ([]*store.Delivery, error)
	Trace(ctx context.Context, organization string, subjects []store.PersonKey, limit int) (store.Trace, error)
	store.Unmerged
}

// Service explains people.
type Service struct {
	Store  Store
	Hasher *store.Hasher
}

// Person is a person as shown.
type Person struct {
	OrganizationUserID string        `json:"organization_user_id"`
	Choices            []Choice      `json:"choices"`
	Integrations       []Integration `json:"integrations"`
	// CatchingUp tells that webhooks were accepted in a rush, or rows of an import,
	// and are not merged yet: some of them may be of this person.
	CatchingUp bool `json:"catching_up,omitempty"`
}

// Choice is one choice as it stands.
type Choice struct {
	Path       string         `json:"path"`
	Enabled    bool           `json:"enabled"`
	At         consent.Time   `json:"at"`
	EventID    string         `json:"event_id"`
	Regulation string         `json:"regulation"`
	Reason     consent.Reason `json:"reason"`
}

// Integration is what one integration makes of the person.
type Integration struct {
	IntegrationID string              `json:"integration_id"`
	Status        store.DeliveryState `json:"status"`
	Wanted        Fields              `json:"wanted"`
	Known         Fields              `json:"known"`
	Why           map[string]Why      `json:"why"`
	LeftOut       []consent.LeftOut   `json:"left_out"`
	LastError     string              `json:"last_error"`
	Calls         int64               `json:"calls"`
	NextAt        *consent.Time       `json:"next_at"`
	UpdatedAt     *consent.Time       `json:"updated_at"`
	// Didomi is how far Didomi is told of what the person chose in Actito; absent
	// where there was nothing to tell.
	Didomi *Way `json:"didomi,omitempty"`
}

// Way is how far one end is told.
type Way struct {
	Status    store.DeliveryState `json:"status"`
	LastError string              `json:"last_error"`
	Calls     int64               `json:"calls"`
	NextAt    *consent.Time       `json:"next_at"`
}

// Fields are subscriptions and attributes of a profile. In what is known, null
// stands for what a call without a definite answer may have changed.
type Fields struct {
	Subscriptions map[string]any `json:"subscriptions"`
	Attributes    map[string]any `json:"attributes"`
}

// Why tells what a wanted subscription rests on.
type Why struct {
	Path   string         `json:"path"`
	At     consent.Time   `json:"at"`
	Reason consent.Reason `json:"reason"`
	Shared bool           `json:"shared,omitempty"`
}

// Explain gives all about a person; NotFound if nothing is known.
func (s *Service) Explain(ctx context.Context, organization, userID string) (*Person, error) {
	caughtUp, err := store.UpToDate(ctx, s.Store, organization, store.Patience)
	if err != nil {
		return nil, err
	}
	key := s.Hasher.Person(organization, consent.Subject{OrganizationUserID: userID})
	person, err := s.Store.Person(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	view := person.View()
	out := &Person{OrganizationUserID: userID, Choices: []Choice{}, Integrations: []Integration{}, CatchingUp: !caughtUp}
	for _, h := range view.Choices {
		out.Choices = append(out.Choices, Choice{h.Path(), h.Enabled, h.At, h.EventID, h.Regulation, h.Reason})
	}
	deliveries, err := s.Store.DeliveriesOf(ctx, organization, key)
	if err != nil {
		return nil, err
	}
	for after := ""; ; {
		page, err := s.Store.Integrations(ctx, organization, after, 100)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			return out, nil
		}
		for _, i := range page {
			to := func(t store.Target) *store.Delivery {
				for _, d := range deliveries {
					if d.Integration == i.ID && d.Target == t {
						return d
					}
				}
				return nil
			}
			d := to(store.TargetActito)
			if d == nil {
				d = &store.Delivery{}
			}
			shown := explain(i, view, d)
			if back := to(store.TargetDidomi); back != nil {
				shown.Didomi = &Way{Status: back.State, LastError: back.LastError, Calls: back.Calls, NextAt: back.NextAt.OrNil()}
			}
			out.Integrations = append(out.Integrations, shown)
		}
		after = page[len(page)-1].ID
	}
}

func explain(i *store.Integration, view consent.View, d *store.Delivery) Integration {
	p := consent.Project(view, i.Rules())
	out := Integration{
		IntegrationID: i.ID, Status: d.State, LastError: d.LastError, Calls: d.Calls,
		Wanted: newFields(), Known: newFields(), Why: map[string]Why{},
		LeftOut: append(p.LeftOut, d.Known.Refusals(p)...), NextAt: d.NextAt.OrNil(), UpdatedAt: d.UpdatedAt.OrNil(),
	}
	if out.LeftOut == nil {
		out.LeftOut = []consent.LeftOut{}
	}
	for name, w := range p.Subscriptions {
		out.Wanted.Subscriptions[name] = w.On
		out.Why[name] = Why{w.Path, w.At, w.Reason, w.Shared}
	}
	for name, w := range p.Attributes {
		out.Wanted.Attributes[name] = w.Value
	}
	for name, f := range d.Known.Subscriptions {
		out.Known.Subscriptions[name] = value(f)
	}
	for name, f := range d.Known.Attributes {
		out.Known.Attributes[name] = value(f)
	}
	if d.HoldGrants && d.State == store.Synced && consent.Differ(p, d.Known, &i.Snapshot, 0).Grants() {
		out.Status, out.LastError = store.Waiting, "grants wait for a yes: see the integration's reprojection"
	}
	if out.Status == "" { // never made due: the re-projection has not come by yet
		out.Status = store.Pending
		if consent.Differ(p, consent.Known{}, &i.Snapshot, 0).Empty() {
			out.Status = store.Synced
		}
	}
	return out
}

func newFields() Fields {
	return Fields{Subscriptions: map[string]any{}, Attributes: map[string]any{}}
}

func value(f consent.Fact) any {
	if f.Unknown {
		return nil
	}
	return f.Value
}

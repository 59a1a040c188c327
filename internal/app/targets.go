package app

import (
	"context"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// targets opens Actito profiles as delivery targets.
type targets struct {
	accounts *actito.Accounts
	secrets  func(*store.Integration) (integration.Authentication, error)
}

var _ deliver.Targets = (*targets)(nil)

func (t *targets) Target(i *store.Integration) (deliver.Target, error) {
	secrets, err := t.secrets(i)
	if err != nil {
		return nil, &consent.Error{Kind: consent.Unauthorized, Message: "the stored API key cannot be opened: set it again", Err: err}
	}
	p := i.Settings.Properties
	return &profiles{
		client: t.accounts.Client(p.BaseURL, secrets.PrivateAPIKey),
		ref:    actito.Ref{Entity: p.EntityID, TableID: i.Snapshot.TableID, KeyAttribute: p.UserUniqueKey},
	}, nil
}

func (t *targets) Paced(ctx context.Context, pace func(context.Context) error) context.Context {
	return outbound.WithPace(ctx, pace)
}

// profiles is the profile table of one integration.
type profiles struct {
	client *actito.Client
	ref    actito.Ref
}

func (p *profiles) of(userID string) actito.Ref {
	r := p.ref
	r.Key = userID
	return r
}

func (p *profiles) Update(ctx context.Context, userID string, d consent.Difference) error {
	return p.client.Update(ctx, p.of(userID), actito.Change(d))
}

func (p *profiles) Create(ctx context.Context, userID string, d consent.Difference) error {
	return p.client.Create(ctx, p.of(userID), actito.Change(d))
}

func (p *profiles) Read(ctx context.Context, userID string) (deliver.Held, error) {
	profile, err := p.client.Read(ctx, p.of(userID))
	return deliver.Held{Subscriptions: profile.Subscriptions, Attributes: profile.Attributes}, err
}

func (p *profiles) Check(ctx context.Context) (deliver.Structure, error) {
	table, err := p.client.Structure(ctx, p.ref.Entity, p.ref.TableID)
	return deliver.Structure{Subscriptions: table.Subscriptions}, err
}

func (p *profiles) Generation() uint64 { return p.client.TokenEpoch() }

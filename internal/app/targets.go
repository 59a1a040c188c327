package app

import (
	"context"
	"iter"

	"consentsync/internal/actito"
	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/integration"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// Targets opens Actito profiles as delivery targets.
type Targets struct {
	Accounts *actito.Accounts
	Secrets  func(*store.Integration) (integration.Authentication, error)
}

var _ deliver.Targets = (*Targets)(nil)

// Target opens the profile table of an integration.
func (t *Targets) Target(i *store.Integration) (deliver.Target, error) {
	secrets, err := t.Secrets(i)
	if err != nil {
		return nil, &consent.Error{Kind: consent.Unauthorized, Message: "the stored API key cannot be opened: set it again", Err: err}
	}
	p := i.Settings.Properties
	return &profiles{
		client: t.Accounts.Client(p.BaseURL, secrets.PrivateAPIKey),
		ref:    actito.Ref{Entity: p.EntityID, TableID: i.Snapshot.TableID, KeyAttribute: p.UserUniqueKey},
		etl:    p.ETLID,
	}, nil
}

// Paced has every request under the context paced and metered.
func (t *Targets) Paced(ctx context.Context, pace func(context.Context) error, meter func(deliver.Exchange)) context.Context {
	ctx = outbound.WithPace(ctx, pace)
	if meter == nil {
		return ctx
	}
	return outbound.WithMeter(ctx, func(e outbound.Exchange) { meter(deliver.Exchange(e)) })
}

// profiles is the profile table of one integration.
type profiles struct {
	client *actito.Client
	ref    actito.Ref
	etl    string // empty for no bulk loads
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

func (p *profiles) Bulk() deliver.Bulk {
	if p.etl == "" {
		return nil
	}
	return (*bulk)(p)
}

// bulk is the ETL of one integration.
type bulk profiles

func (b *bulk) Load(ctx context.Context, columns []string, rows iter.Seq2[store.LoadRow, error]) (string, error) {
	return b.client.TriggerLoad(ctx, actito.Load{
		Entity: b.ref.Entity, ETLID: b.etl, KeyAttribute: b.ref.KeyAttribute, Subscriptions: columns,
		Rows: func(yield func(actito.LoadRow, error) bool) {
			for r, err := range rows {
				if !yield(actito.LoadRow{Key: r.UserID, On: r.On}, err) {
					return
				}
			}
		},
	})
}

func (b *bulk) Result(ctx context.Context, execution string) (deliver.LoadResult, error) {
	r, err := b.client.LoadResult(ctx, b.ref.Entity, execution, b.ref.KeyAttribute)
	if err != nil {
		return deliver.LoadResult{}, err
	}
	result := deliver.LoadResult{Running: r.State == actito.LoadRunning, Failed: r.State == actito.LoadFailed, Reason: r.Reason, Told: r.Told}
	if result.Failed && result.Reason == "" {
		result.Reason = r.Status
	}
	if r.Refused != nil {
		result.Refused = func(yield func(store.RowRefusal, error) bool) {
			for row, err := range r.Refused {
				refusal := store.RowRefusal{Row: row.Row, UserID: row.Key, Reason: row.Reason}
				if row.Key != "" {
					refusal.Row = 0 // how Actito counts rows is a guess, the key is none
				}
				if !yield(refusal, err) {
					return
				}
			}
		}
	}
	return result, nil
}

func (b *bulk) RowBytes(userID string, columns int) int {
	if !actito.LoadableKey(userID) {
		return 0
	}
	return actito.RowBytes(userID, columns)
}

func (b *bulk) MostBytes() int { return actito.MaxLoadBytes }

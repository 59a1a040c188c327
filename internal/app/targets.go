package app

import (
	"context"
	"iter"

	"consentsync/internal/actito"
	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/deliver"
	"consentsync/internal/didomi"
	"consentsync/internal/integration"
	"consentsync/internal/mail"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// Targets opens Actito profiles as delivery targets.
type Targets struct {
	Accounts  *actito.Accounts
	Didomis   *didomi.Accounts // nil where Didomi is never told of anything
	DidomiURL string
	Secrets   func(*store.Integration) (integration.Authentication, error)
	Hasher    *store.Hasher
	// OpenOrder opens what a message is to say; nil where none is ever sent.
	OpenOrder func(*store.Message) (mail.Order, error)
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
		ref: actito.Ref{
			Entity: p.EntityID, TableID: i.Snapshot.TableID, TableName: p.TableName, KeyAttribute: p.UserUniqueKey,
			Dialect: actito.Dialect(p.Dialect), Path: p.ProfilesPath,
		},
		etl: p.ETLID,
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

// Order opens what a message is to say.
func (t *Targets) Order(m *store.Message) (mail.Order, error) {
	if t.OpenOrder == nil {
		return mail.Order{}, consent.Errorf(consent.Internal, "app.Order", "messages are not sent here")
	}
	return t.OpenOrder(m)
}

// PersonKey gives the key of a person.
func (t *Targets) PersonKey(organization, userID string) store.PersonKey {
	return t.Hasher.Person(organization, consent.Subject{OrganizationUserID: userID})
}

// Source opens an integration's Didomi to fetch from; nil where there are no
// credentials for it.
func (t *Targets) Source(i *store.Integration) (backfill.Source, error) {
	client, err := t.didomi(i)
	if client == nil {
		return nil, err
	}
	return client, nil
}

// readSpare reads what profiles hold with calls that nothing else wants.
func readSpare(e *deliver.Engine) func(ctx context.Context, i *store.Integration, userID string) (map[string]bool, consent.Time, error) {
	return func(ctx context.Context, i *store.Integration, userID string) (map[string]bool, consent.Time, error) {
		held, at, err := e.ReadSpare(ctx, i, userID)
		return held.Subscriptions, at, err
	}
}

func (t *Targets) didomi(i *store.Integration) (*didomi.Client, error) {
	secrets, err := t.Secrets(i)
	if err != nil || t.Didomis == nil || secrets.DidomiAPIKey == "" {
		return nil, err
	}
	return t.Didomis.Client(t.DidomiURL, i.Organization, secrets.DidomiAPIKey, secrets.DidomiAPISecret), nil
}

// Didomi opens the way back to the organization's Didomi; nil where there are
// no credentials for it.
func (t *Targets) Didomi(i *store.Integration) (deliver.Didomi, error) {
	client, err := t.didomi(i)
	if client == nil {
		return nil, err
	}
	return &way{client}, nil
}

// way is the way back to one organization's Didomi.
type way struct{ client *didomi.Client }

func (w *way) Tell(ctx context.Context, events []deliver.TellEvent) ([]error, error) {
	list := make([]didomi.Event, len(events))
	for i, e := range events {
		list[i] = didomi.Event{ID: e.ID, OrganizationUserID: e.OrganizationUserID, Regulation: e.Regulation, CreatedAt: e.At, Choices: e.Choices}
	}
	return w.client.CreateEvents(ctx, list)
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

func (p *profiles) Update(ctx context.Context, userID string, d consent.Difference) (profileID string, err error) {
	ref := p.of(userID)
	ref.Told = func(id string) { profileID = id }
	err = p.client.Update(ctx, ref, actito.Change(d))
	return profileID, err
}

func (p *profiles) Create(ctx context.Context, userID string, d consent.Difference) (profileID string, err error) {
	ref := p.of(userID)
	ref.Told = func(id string) { profileID = id }
	err = p.client.Create(ctx, ref, actito.Change(d))
	return profileID, err
}

func (p *profiles) Read(ctx context.Context, userID string) (deliver.Held, error) {
	return p.read(ctx, p.of(userID))
}

func (p *profiles) ReadID(ctx context.Context, profileID string) (deliver.Held, error) {
	r := p.ref
	r.KeyAttribute, r.Key = actito.ProfileID, profileID
	return p.read(ctx, r)
}

func (p *profiles) read(ctx context.Context, ref actito.Ref) (deliver.Held, error) {
	profile, err := p.client.Read(ctx, ref)
	return deliver.Held{ProfileID: profile.ProfileID, Subscriptions: profile.Subscriptions, Attributes: profile.Attributes}, err
}

func (p *profiles) Check(ctx context.Context) (deliver.Structure, error) {
	table, err := p.client.Structure(ctx, p.ref.Entity, p.ref.TableID)
	return deliver.Structure{Subscriptions: table.Subscriptions, Attributes: integration.AttributesOf(table)}, err
}

func (p *profiles) Send(ctx context.Context, l mail.Letter) (string, error) {
	m := actito.Message{Entity: p.ref.Entity, Path: l.Path, Campaign: l.Campaign, Source: l.Source, Way: l.Way, At: l.At}
	for _, a := range l.Attributes {
		m.Attributes = append(m.Attributes, actito.MessageAttribute(a))
	}
	for _, x := range l.Parameters {
		m.Parameters = append(m.Parameters, actito.MessageParameter(x))
	}
	return p.client.SendMessage(ctx, m)
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

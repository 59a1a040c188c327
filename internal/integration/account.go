package integration

import (
	"context"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// AccountView is what an Actito account has, as far as it was asked for: what a
// user chooses from when an integration is set up.
type AccountView struct {
	BaseURL  string        `json:"base_url"`
	Entities []NamedView   `json:"entities"`
	Tables   []NamedView   `json:"tables"` // of the entity; nil if none was named
	Table    *AccountTable `json:"table"`  // nil if none was named
	// Notes say what cannot be listed and has to be typed.
	Notes []string `json:"notes"`
}

// NamedView is an entity or a table. Its name is what an integration takes.
type NamedView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// AccountTable is a profile table.
type AccountTable struct {
	NamedView
	Subscriptions []string            `json:"subscriptions"`
	UniqueKeys    []string            `json:"unique_keys"` // attributes that can be user_unique_key
	Attributes    []consent.Attribute `json:"attributes"`
}

// accountInput is what is known so far of an integration that is being set up.
type accountInput struct {
	// IntegrationID names an integration of which masked or absent secrets are
	// taken.
	IntegrationID  string         `json:"integration_id"`
	Authentication Authentication `json:"authentication"`
	Properties     struct {
		BaseURL   string `json:"base_url"`
		EntityID  string `json:"entity_id"`
		TableName string `json:"table_name"`
	} `json:"properties"`
}

// readAccount reads what is known so far, with the secrets that are held.
func (s *Service) readAccount(ctx context.Context, organization string, body []byte) (*accountInput, error) {
	if err := s.gate(ctx, organization); err != nil {
		return nil, err
	}
	in := &accountInput{}
	if err := incoming.Decode(body, in); err != nil {
		return nil, err
	}
	if in.IntegrationID == "" {
		return in, nil
	}
	i, err := s.Store.Integration(ctx, store.IntegrationKey{Organization: organization, ID: in.IntegrationID})
	if err != nil {
		return nil, err
	}
	held, err := s.Secrets(i)
	if err != nil {
		return nil, err
	}
	// Secrets go where they belong, and nowhere else.
	if in.Properties.BaseURL == "" {
		in.Properties.BaseURL = i.Settings.Properties.BaseURL
	}
	if in.Properties.BaseURL != i.Settings.Properties.BaseURL {
		held.PrivateAPIKey = ""
	}
	in.Authentication = in.Authentication.unmasked(held).filled(held)
	return in, nil
}

// filled takes the secrets that are held where none was sent.
func (a Authentication) filled(held Authentication) Authentication {
	if a.PrivateAPIKey == "" {
		a.PrivateAPIKey = held.PrivateAPIKey
	}
	if a.DidomiAPIKey == "" && a.DidomiAPISecret == "" {
		a.DidomiAPIKey, a.DidomiAPISecret = held.DidomiAPIKey, held.DidomiAPISecret
	}
	return a
}

// Account lists what the Actito account has: its entities; the tables of the
// entity, if one is named; and what the table has, if one is named. Nothing is
// stored.
func (s *Service) Account(ctx context.Context, organization string, body []byte) (*AccountView, error) {
	in, err := s.readAccount(ctx, organization, body)
	if err != nil {
		return nil, err
	}
	p := &in.Properties
	if p.BaseURL == "" {
		p.BaseURL = DefaultBaseURL
	}
	u, err := outbound.ValidateBaseURL(p.BaseURL, s.AllowPrivate)
	switch {
	case err != nil:
		return nil, incoming.RefuseField("properties.base_url", consent.MessageOf(err))
	case in.Authentication.PrivateAPIKey == "":
		return nil, incoming.RefuseField("authentication.private_api_key", "is required")
	case p.TableName != "" && p.EntityID == "":
		return nil, incoming.RefuseField("properties.entity_id", "is required together with table_name")
	}
	p.BaseURL = u.String()
	v := &AccountView{BaseURL: p.BaseURL, Entities: []NamedView{}, Notes: []string{
		"Actito documents no list of ETLs: properties.etl_id has to be typed.",
	}}
	client := s.Accounts.Client(p.BaseURL, in.Authentication.PrivateAPIKey)
	entities, err := client.Entities(ctx)
	if err != nil {
		return nil, refusedAccount(err, p.BaseURL, "authentication.private_api_key")
	}
	for _, e := range entities {
		v.Entities = append(v.Entities, NamedView(e))
	}
	if p.EntityID == "" {
		return v, nil
	}
	tables, err := client.Tables(ctx, p.EntityID)
	if err != nil {
		return nil, refusedAccount(err, p.BaseURL, "properties.entity_id")
	}
	v.Tables = []NamedView{}
	for _, t := range tables {
		v.Tables = append(v.Tables, NamedView(t))
	}
	if p.TableName == "" {
		return v, nil
	}
	table, err := client.Table(ctx, p.EntityID, p.TableName)
	if err != nil {
		return nil, refusedAccount(err, p.BaseURL, "properties.table_name")
	}
	v.Table = &AccountTable{NamedView{table.ID, table.Name}, append([]string{}, table.Subscriptions...), append([]string{}, uniqueAttributes(table)...), AttributesOf(table)}
	if len(table.Subscriptions) == 0 {
		v.Notes = append(v.Notes, "Actito's answer does not show the subscriptions of this table in a form that is known: they have to be typed.")
	}
	return v, nil
}

// refusedAccount says what is wrong with an account that was asked; field names
// what was asked for.
func refusedAccount(err error, baseURL, field string) error {
	switch consent.KindOf(err) {
	case consent.Unauthorized:
		return incoming.RefuseField("authentication.private_api_key", "Actito refuses this API key at "+baseURL)
	case consent.Forbidden:
		return incoming.RefuseField("authentication.private_api_key", "Actito does not let this API key read the structure of profile tables: give it the right to")
	case consent.NotFound, consent.Invalid:
		return incoming.RefuseField(field, consent.MessageOf(err))
	}
	return unreachable(err, baseURL)
}

func unreachable(err error, baseURL string) error {
	return &consent.Error{
		Kind: consent.Transient, Op: "integration", Message: "Actito could not be reached at " + baseURL + ", so nothing was changed: try again",
		Fields: map[string]string{"properties.base_url": "did not answer as Actito does"}, RetryAfter: consent.RetryAfter(err), Err: err,
	}
}

// ChoicesView is what can be mapped.
type ChoicesView struct {
	// Purposes are those of Didomi's API; nil if no credentials for it are known.
	Purposes []PurposeView  `json:"purposes"`
	Seen     *backfill.Seen `json:"seen"`
	// Notes say what cannot be listed and has to be typed.
	Notes []string `json:"notes"`
}

// PurposeView is a purpose of Didomi, with the path that names it.
type PurposeView struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Path string `json:"path"`
}

// Choices lists what can be mapped: Didomi's purposes, if credentials for its
// API are given or held, and the choices and texts that people were seen to
// have. Nothing is stored.
func (s *Service) Choices(ctx context.Context, organization string, body []byte, most time.Duration) (*ChoicesView, error) {
	in, err := s.readAccount(ctx, organization, body)
	if err != nil {
		return nil, err
	}
	v := &ChoicesView{Notes: []string{"Didomi documents no list of preferences, of their values and of channels: those that nobody has chosen yet have to be typed."}}
	fields := map[string]string{}
	validateDidomi(&in.Authentication, fields)
	if len(fields) > 0 {
		return nil, incoming.Refuse(consent.Invalid, fields)
	}
	if in.Authentication.DidomiAPIKey == "" {
		v.Notes = append(v.Notes, "No credentials for Didomi's API are known: its purposes are not listed.")
	} else if v.Purposes, err = s.purposes(ctx, organization, in.Authentication); err != nil {
		return nil, err
	}
	v.Seen, err = backfill.Choices(ctx, s.Store, organization, backfill.Within(s.Now, most))
	return v, err
}

func (s *Service) purposes(ctx context.Context, organization string, a Authentication) ([]PurposeView, error) {
	found, err := s.Didomis.Client(s.DidomiURL, organization, a.DidomiAPIKey, a.DidomiAPISecret).Purposes(ctx)
	switch consent.KindOf(err) {
	case consent.Unauthorized, consent.Forbidden, consent.Invalid:
		if err != nil {
			return nil, incoming.RefuseField("authentication.didomi_api_secret", consent.MessageOf(err))
		}
	}
	if err != nil {
		return nil, &consent.Error{
			Kind: consent.Transient, Op: "integration.Choices", Message: "Didomi's API could not be asked: try again", RetryAfter: consent.RetryAfter(err), Err: err,
		}
	}
	list := []PurposeView{}
	for _, p := range found {
		list = append(list, PurposeView{p.ID, p.Name, p.Type, consent.Choice{Kind: consent.OfPurpose, Purpose: p.ID}.Path()})
	}
	return list, nil
}

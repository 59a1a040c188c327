// Package emailing configures how messages are sent through Actito, has them
// sent, and shows what became of them: what the API and the console share.
//
// A configuration that exists belongs to an integration that has enable_emailing,
// and names a campaign that Actito has, as far as Actito tells. A message that
// somebody asks for is on disk when the answer says so, and is sent once for each
// reference, however often it is asked for.
package emailing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// Store is what it needs of the database.
type Store interface {
	Emails(ctx context.Context, organization string) ([]*store.Email, error)
	Email(ctx context.Context, organization, id string) (*store.Email, error)
	CreateEmail(ctx context.Context, e *store.Email, changes ...store.Change) error
	UpdateEmail(ctx context.Context, e *store.Email, changes ...store.Change) error
	DeleteEmail(ctx context.Context, organization, id string, changes ...store.Change) error
	Request(ctx context.Context, m store.Message, changes ...store.Change) (is *store.Message, fresh bool, err error)
	Message(ctx context.Context, organization string, id store.ID) (*store.Message, error)
	SendAgain(ctx context.Context, organization string, id store.ID, expires consent.Time, changes ...store.Change) error
	Integration(ctx context.Context, k store.IntegrationKey) (*store.Integration, error)
	Integrations(ctx context.Context, organization, after string, limit int) ([]*store.Integration, error)
	SubjectsOf(ctx context.Context, organization string, keys []store.PersonKey) (map[store.PersonKey]consent.Subject, error)
	store.MessageList
}

// Service configures, asks for and shows messages.
type Service struct {
	Store  Store
	Sealer *auth.Sealer
	Hasher *store.Hasher
	// Campaigns lists those of an integration's entity; known is false where
	// Actito does not tell.
	Campaigns func(ctx context.Context, i *store.Integration) (list []actito.Campaign, known bool, err error)
	// Changed is called when a message may be due.
	Changed func()
	Now     func() time.Time
}

// View is a configuration as it is shown.
type View struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	IntegrationID  string `json:"integration_id"`
	mail.Settings
	Revision  int64        `json:"revision"`
	CreatedAt consent.Time `json:"created_at"`
	UpdatedAt consent.Time `json:"updated_at"`
}

func viewOf(e *store.Email) *View {
	return &View{e.ID, e.Organization, e.Integration, e.Settings, e.Revision, e.CreatedAt, e.UpdatedAt}
}

// input is what a user sends. The fields that an answer has beyond these may be
// sent back and are ignored.
type input struct {
	TypeID     *string          `json:"type_id"`
	EmailType  *mail.Type       `json:"email_type"`
	Properties *mail.Properties `json:"properties"`
	Enabled    *bool            `json:"enabled"`

	ID             json.RawMessage `json:"id"`
	OrganizationID json.RawMessage `json:"organization_id"`
	IntegrationID  json.RawMessage `json:"integration_id"`
	Revision       json.RawMessage `json:"revision"`
	CreatedAt      json.RawMessage `json:"created_at"`
	UpdatedAt      json.RawMessage `json:"updated_at"`
}

// over gives settings with what the input says. The properties are replaced as a
// whole, as Didomi documents it.
func (in *input) over(s mail.Settings) mail.Settings {
	if in.TypeID != nil {
		s.TypeID = *in.TypeID
	}
	if in.EmailType != nil {
		s.EmailType = *in.EmailType
	}
	if in.Properties != nil {
		s.Properties = *in.Properties
	}
	if in.Enabled != nil {
		s.Enabled = *in.Enabled
	}
	return s
}

// Create configures how one type is sent. With look, campaigns that Actito does
// not have, or that are not in progress, are refused where it tells.
func (s *Service) Create(ctx context.Context, organization string, body []byte, look bool) (*View, error) {
	var in input
	if err := incoming.Decode(body, &in); err != nil {
		return nil, err
	}
	now := consent.TimeOf(s.Now())
	e := &store.Email{
		Organization: organization, ID: uuid.Must(uuid.NewV7()).String(), Settings: in.over(mail.Settings{Enabled: true}), Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := s.adopt(ctx, e, look); err != nil {
		return nil, err
	}
	err := s.Store.CreateEmail(ctx, e, s.change(ctx, e, "email.created", changes.Between(nil, e.Settings)...))
	if err != nil && consent.KindOf(err) == consent.Conflict {
		return nil, incoming.Refuse(consent.Conflict, map[string]string{"email_type": "is configured already: change that with PATCH, or delete it"})
	}
	return viewOf(e), err
}

// Change replaces what the body names; the properties as a whole.
func (s *Service) Change(ctx context.Context, organization, id string, body []byte, look bool) (*View, error) {
	e, err := s.Store.Email(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	var in input
	if err := incoming.Decode(body, &in); err != nil {
		return nil, err
	}
	was := e.Settings
	if e.Settings = in.over(was); e.Settings.EmailType != was.EmailType {
		return nil, incoming.RefuseField("email_type", "cannot be changed: configure the other type beside this one")
	}
	if err := s.adopt(ctx, e, look); err != nil {
		return nil, err
	}
	e.Revision++
	e.UpdatedAt = max(consent.TimeOf(s.Now()), e.UpdatedAt+1)
	if err := s.Store.UpdateEmail(ctx, e, s.change(ctx, e, "email.changed", changes.Between(was, e.Settings)...)); err != nil {
		return nil, err
	}
	s.Changed()
	return viewOf(e), nil
}

// Delete removes how one type is sent; its messages stay in the list.
func (s *Service) Delete(ctx context.Context, organization, id string) error {
	e, err := s.Store.Email(ctx, organization, id)
	if err != nil {
		return err
	}
	return s.Store.DeleteEmail(ctx, organization, id, s.change(ctx, e, "email.deleted", changes.Between(e.Settings, nil)...))
}

// Get reads one configuration.
func (s *Service) Get(ctx context.Context, organization, id string) (*View, error) {
	e, err := s.Store.Email(ctx, organization, id)
	if err != nil {
		return nil, err
	}
	return viewOf(e), nil
}

// List reads all configurations of an organization: there is one for each type.
func (s *Service) List(ctx context.Context, organization string) ([]*View, error) {
	found, err := s.Store.Emails(ctx, organization)
	views := []*View{}
	for _, e := range found {
		views = append(views, viewOf(e))
	}
	return views, err
}

func (s *Service) change(ctx context.Context, e *store.Email, action string, details ...store.Detail) store.Change {
	if action != "email.changed" {
		details = append([]store.Detail{{Name: "email_type", Is: string(e.Settings.EmailType)}}, details...)
	}
	return changes.New(ctx, s.Now(), e.Organization, e.Integration, action, details...)
}

// adopt completes and checks settings, and finds the integration they belong to.
func (s *Service) adopt(ctx context.Context, e *store.Email, look bool) error {
	explicit := e.Settings.Properties
	e.Settings.Complete()
	if fields := e.Settings.Check(); len(fields) > 0 {
		return incoming.Refuse(consent.Invalid, fields)
	}
	i, err := s.integration(ctx, e.Organization, e.Settings.Properties.IntegrationID)
	if err != nil {
		return err
	}
	e.Integration = i.ID
	if fields := unknownAttributes(i, &explicit); len(fields) > 0 {
		return incoming.Refuse(consent.Invalid, fields)
	}
	if look && !e.Settings.Properties.SMS() {
		return s.checkCampaign(ctx, i, e.Settings.Properties.Campaign())
	}
	return nil
}

// mostIntegrations bounds how many integrations of an organization are looked at
// for one that sends messages.
const mostIntegrations = 1000

// integration finds the one that is named, or the only one that may send.
func (s *Service) integration(ctx context.Context, organization, id string) (*store.Integration, error) {
	const lacks = "has not got enable_emailing: switch it on with PATCH /v1/marketplace/integrations/%s {\"enable_emailing\": true}"
	if id != "" {
		i, err := s.Store.Integration(ctx, store.IntegrationKey{Organization: organization, ID: id})
		switch {
		case err != nil && consent.KindOf(err) == consent.NotFound:
			return nil, incoming.RefuseField("properties.integration_id", "there is no such integration")
		case err == nil && !i.Settings.EnableEmailing:
			return nil, incoming.RefuseField("properties.integration_id", "the integration "+fmt.Sprintf(lacks, id))
		}
		return i, err
	}
	all, err := s.Store.Integrations(ctx, organization, "", mostIntegrations)
	if err != nil {
		return nil, err
	}
	var may []*store.Integration
	var names []string
	for _, i := range all {
		if i.Settings.EnableEmailing {
			may, names = append(may, i), append(names, i.ID)
		}
	}
	switch {
	case len(all) == 0:
		return nil, incoming.RefuseField("properties.integration_id", "the organization has no integration: create one with enable_emailing: true first")
	case len(may) == 0:
		return nil, incoming.RefuseField("properties.integration_id", "no integration of the organization has enable_emailing: the integration "+fmt.Sprintf(lacks, all[0].ID))
	case len(may) > 1:
		return nil, incoming.RefuseField("properties.integration_id", "is required, for several integrations have enable_emailing: "+strings.Join(names, ", "))
	}
	return may[0], nil
}

// unknownAttributes names those that are configured and that the table has not.
func unknownAttributes(i *store.Integration, p *mail.Properties) map[string]string {
	fields := map[string]string{}
	check := func(field, name string) {
		if _, there := i.Snapshot.Attribute(name); name != "" && !there {
			fields[field] = fmt.Sprintf("the table had no attribute %q when its snapshot was taken", name)
		}
	}
	check("properties.address_attribute", p.AddressAttribute)
	check("properties.language_attribute", p.LanguageAttribute)
	for n, m := range p.Attributes {
		check(fmt.Sprintf("properties.attributes[%d].id", n), m.ID)
	}
	return fields
}

// checkCampaign refuses a campaign that Actito has not got, or that is not in
// progress, where Actito tells.
func (s *Service) checkCampaign(ctx context.Context, i *store.Integration, name string) error {
	const field, otherwise = "properties.email_campaign_name", "; if Actito's list does not show it though it is there, add ?check=false"
	list, known, err := s.Campaigns(ctx, i)
	if err != nil || !known {
		return err
	}
	var names []string
	for _, c := range list {
		if !c.Is(name) {
			names = append(names, fmt.Sprintf("%q", c.Name))
			continue
		}
		if c.Stopped() {
			return incoming.RefuseField(field, fmt.Sprintf("the campaign %q is not in progress but %q: activate it in Actito%s", name, c.State, otherwise))
		}
		return nil
	}
	const most = 20
	return incoming.RefuseField(field, fmt.Sprintf("Actito has no transactional campaign %q; it has: %s%s", name, strings.Join(names[:min(len(names), most)], ", "), otherwise))
}

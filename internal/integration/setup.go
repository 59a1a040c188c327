package integration

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/google/uuid"

	"consentsync/internal/backfill"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// Setup is an integration that somebody sets up, or changes, step by step. It is
// kept sealed between the steps: what was typed is not lost, whatever it is
// worth, and no secret goes back to who typed it.
type Setup struct {
	ID             string
	OrganizationID string
	IntegrationID  string // of the integration that is changed; empty for a new one
	Title          string // what a list of set-ups shows
	By             string // who worked on it last
	UpdatedAt      consent.Time
	SetupContent
}

// SetupContent is what is sealed of a set-up.
type SetupContent struct {
	// Values are what was typed, by the names that the form has, without secrets.
	Values url.Values `json:"values"`
	// Account and Choices are what could be chosen from when it was last asked.
	Account   *AccountView `json:"account,omitempty"`
	AccountAt consent.Time `json:"account_at,omitempty"`
	Choices   *ChoicesView `json:"choices,omitempty"`
	ChoicesAt consent.Time `json:"choices_at,omitempty"`
	// Simulated is what the last simulation told, and SimulatedOf what it was of.
	Simulated   *backfill.Simulation `json:"simulated,omitempty"`
	SimulatedOf string               `json:"simulated_of,omitempty"`
	SimulatedAt consent.Time         `json:"simulated_at,omitempty"`
}

// keptSetup is all that is sealed: the content with what nobody is shown.
type keptSetup struct {
	SetupContent
	Secrets Authentication `json:"secrets"`
	// KeyFor is the address that the API key was typed for. It goes nowhere else.
	KeyFor string `json:"key_for,omitempty"`
	// Was is what the integration was when its change was begun.
	Was json.RawMessage `json:"was,omitempty"`
}

// Setups lists those of an organization that are not finished, without what was
// typed.
func (s *Service) Setups(ctx context.Context, organization string) ([]Setup, error) {
	found, err := s.Store.Setups(ctx, organization)
	var list []Setup
	for i := range found {
		list = append(list, setupOf(&found[i]))
	}
	return list, err
}

func setupOf(x *store.Setup) Setup {
	return Setup{ID: x.ID, OrganizationID: x.Organization, IntegrationID: x.Integration, Title: x.Title, By: x.By, UpdatedAt: x.UpdatedAt}
}

// BeginSetup begins a new integration, or the change of one.
func (s *Service) BeginSetup(ctx context.Context, organization, integrationID, title string, values url.Values) (*Setup, error) {
	if err := s.gate(ctx, organization); err != nil {
		return nil, err
	}
	x := &Setup{
		ID: uuid.Must(uuid.NewV7()).String(), OrganizationID: organization, IntegrationID: integrationID, Title: title,
		SetupContent: SetupContent{Values: values},
	}
	var kept keptSetup
	if integrationID != "" {
		i, err := s.Store.Integration(ctx, store.IntegrationKey{Organization: organization, ID: integrationID})
		if err != nil {
			return nil, err
		}
		if kept.Was, err = json.Marshal(i.Settings); err != nil {
			return nil, err
		}
	}
	return x, s.keepSetup(ctx, x, kept)
}

// Setup reads one, with what was typed.
func (s *Service) Setup(ctx context.Context, organization, id string) (*Setup, error) {
	x, _, err := s.openSetup(ctx, organization, id)
	return x, err
}

func (s *Service) openSetup(ctx context.Context, organization, id string) (*Setup, keptSetup, error) {
	var kept keptSetup
	if err := s.gate(ctx, organization); err != nil {
		return nil, kept, err
	}
	row, err := s.Store.Setup(ctx, organization, id)
	if err != nil {
		return nil, kept, err
	}
	plain, err := s.Sealer.Open(row.Sealed, "setup", organization, id)
	if err == nil {
		err = json.Unmarshal(plain, &kept)
	}
	x := setupOf(row)
	x.SetupContent = kept.SetupContent
	return &x, kept, err
}

// KeepSetup stores what was typed, right or wrong. A secret that is empty stays
// as it was; an API key that was typed for another address is forgotten.
func (s *Service) KeepSetup(ctx context.Context, x *Setup, typed Authentication) error {
	_, kept, err := s.openSetup(ctx, x.OrganizationID, x.ID)
	if err != nil {
		return err
	}
	address := baseURL(x.Values.Get("properties.base_url"))
	if typed.PrivateAPIKey != "" {
		kept.KeyFor = address
	} else if kept.KeyFor != address {
		kept.Secrets.PrivateAPIKey = ""
	}
	kept.Secrets = typed.filled(kept.Secrets)
	return s.keepSetup(ctx, x, kept)
}

// baseURL gives an address as an integration has it; what is none stays as it is.
func baseURL(text string) string {
	if text == "" {
		return DefaultBaseURL
	}
	if u, err := outbound.ValidateBaseURL(text, true); err == nil {
		return u.String()
	}
	return text
}

func (s *Service) keepSetup(ctx context.Context, x *Setup, kept keptSetup) error {
	kept.SetupContent = x.SetupContent
	plain, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	x.By, x.UpdatedAt = changes.Actor(ctx), consent.TimeOf(s.Now())
	return s.Store.KeepSetup(ctx, &store.Setup{
		Organization: x.OrganizationID, ID: x.ID, Integration: x.IntegrationID, Title: x.Title, By: x.By,
		Sealed: s.Sealer.Seal(plain, "setup", x.OrganizationID, x.ID), UpdatedAt: x.UpdatedAt, ExpiresAt: x.UpdatedAt.Add(store.SetupLife),
	})
}

// DropSetup gives a set-up up.
func (s *Service) DropSetup(ctx context.Context, organization, id string) error {
	return s.Store.DropSetup(ctx, organization, id)
}

// SetupSecrets shows which secrets a set-up has, masked: those typed, or those of
// the integration that is changed.
func (s *Service) SetupSecrets(ctx context.Context, x *Setup) (Authentication, error) {
	all, err := s.setupSecrets(ctx, x)
	return all.masked(), err
}

func (s *Service) setupSecrets(ctx context.Context, x *Setup) (Authentication, error) {
	_, kept, err := s.openSetup(ctx, x.OrganizationID, x.ID)
	if err != nil || x.IntegrationID == "" {
		return kept.Secrets, err
	}
	i, err := s.Store.Integration(ctx, store.IntegrationKey{Organization: x.OrganizationID, ID: x.IntegrationID})
	if err != nil {
		return kept.Secrets, err
	}
	held, err := s.Secrets(i)
	if baseURL(x.Values.Get("properties.base_url")) != i.Settings.Properties.BaseURL {
		held.PrivateAPIKey = "" // it goes where it belongs, and nowhere else
	}
	return kept.Secrets.filled(held), err
}

// ListSetup asks the Actito account what there is to choose from, and keeps it.
// entity and table are those chosen so far.
func (s *Service) ListSetup(ctx context.Context, x *Setup, entity, table string) error {
	secrets, err := s.setupSecrets(ctx, x)
	if err != nil {
		return err
	}
	var in accountInput
	in.Authentication = secrets
	in.Properties.BaseURL, in.Properties.EntityID, in.Properties.TableName = x.Values.Get("properties.base_url"), entity, table
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	found, err := s.Account(ctx, x.OrganizationID, body)
	if err != nil {
		return err
	}
	x.Account, x.AccountAt = found, consent.TimeOf(s.Now())
	return s.KeepSetup(ctx, x, Authentication{})
}

// ListSetupChoices looks for what can be mapped, among people for so long, and
// keeps it.
func (s *Service) ListSetupChoices(ctx context.Context, x *Setup, most time.Duration) error {
	secrets, err := s.setupSecrets(ctx, x)
	if err != nil {
		return err
	}
	secrets.PrivateAPIKey = ""
	body, err := json.Marshal(accountInput{Authentication: secrets})
	if err != nil {
		return err
	}
	found, err := s.Choices(ctx, x.OrganizationID, body, most)
	if consent.KindOf(err) == consent.Transient && err != nil && secrets.DidomiAPIKey != "" {
		// What people were seen to choose can be had without Didomi.
		if found, err = s.Choices(ctx, x.OrganizationID, []byte(`{}`), most); err == nil {
			found.Notes = append(found.Notes, "Didomi's API could not be asked just now.")
		}
	}
	if err != nil {
		return err
	}
	x.Choices, x.ChoicesAt = found, consent.TimeOf(s.Now())
	return s.KeepSetup(ctx, x, Authentication{})
}

// CheckSetup refuses what can be refused of a set-up without asking Actito. body
// is what Create or Change takes, without secrets.
func (s *Service) CheckSetup(ctx context.Context, x *Setup, body []byte) error {
	body, err := s.withSecrets(ctx, x, body)
	if err != nil {
		return err
	}
	i, in, err := s.candidateOf(ctx, x, body)
	if err != nil {
		return err
	}
	return s.check(i, in)
}

// candidateOf gives what a set-up would make, in memory alone.
func (s *Service) candidateOf(ctx context.Context, x *Setup, body []byte) (*store.Integration, *input, error) {
	if x.IntegrationID != "" {
		return s.patch(ctx, store.IntegrationKey{Organization: x.OrganizationID, ID: x.IntegrationID}, body)
	}
	return s.fresh(ctx, x.OrganizationID, body)
}

// withSecrets puts what was typed of secrets into a body.
func (s *Service) withSecrets(ctx context.Context, x *Setup, body []byte) ([]byte, error) {
	_, kept, err := s.openSetup(ctx, x.OrganizationID, x.ID)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := incoming.Decode(body, &object); err != nil {
		return nil, err
	}
	properties, _ := object["properties"].(map[string]any)
	if address, _ := properties["base_url"].(string); kept.KeyFor != baseURL(address) {
		kept.Secrets.PrivateAPIKey = ""
	}
	secrets := map[string]string{}
	for name, secret := range map[string]string{
		"private_api_key": kept.Secrets.PrivateAPIKey, "didomi_api_key": kept.Secrets.DidomiAPIKey, "didomi_api_secret": kept.Secrets.DidomiAPISecret,
	} {
		if secret != "" {
			secrets[name] = secret
		}
	}
	object["authentication"] = secrets
	return json.Marshal(object)
}

// SimulateSetup tells what a set-up would do, and keeps it as that of a body of
// this name.
func (s *Service) SimulateSetup(ctx context.Context, x *Setup, body []byte, of string, most time.Duration) error {
	whole, err := s.withSecrets(ctx, x, body)
	if err != nil {
		return err
	}
	o := SimulateOptions{Live: true, Most: most}
	var told *backfill.Simulation
	if x.IntegrationID != "" {
		told, err = s.Simulate(ctx, store.IntegrationKey{Organization: x.OrganizationID, ID: x.IntegrationID}, whole, o)
	} else {
		told, err = s.SimulateNew(ctx, x.OrganizationID, whole, o)
	}
	if err != nil {
		return err
	}
	x.Simulated, x.SimulatedOf, x.SimulatedAt = told, of, consent.TimeOf(s.Now())
	return s.KeepSetup(ctx, x, Authentication{})
}

// FinishSetup activates the integration, or makes the change, and forgets the
// set-up. Conflict if the integration was changed since its change was begun.
func (s *Service) FinishSetup(ctx context.Context, x *Setup, body []byte) (*View, error) {
	_, kept, err := s.openSetup(ctx, x.OrganizationID, x.ID)
	if err != nil {
		return nil, err
	}
	if body, err = s.withSecrets(ctx, x, body); err != nil {
		return nil, err
	}
	var v *View
	if x.IntegrationID == "" {
		v, err = s.Create(ctx, x.OrganizationID, body, false)
	} else {
		k := store.IntegrationKey{Organization: x.OrganizationID, ID: x.IntegrationID}
		if err := s.unchanged(ctx, k, kept.Was); err != nil {
			return nil, err
		}
		v, err = s.Change(ctx, k, body)
	}
	if err != nil {
		return nil, err
	}
	return v, s.Store.DropSetup(ctx, x.OrganizationID, x.ID)
}

func (s *Service) unchanged(ctx context.Context, k store.IntegrationKey, was json.RawMessage) error {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return err
	}
	is, err := json.Marshal(i.Settings)
	if err == nil && string(is) != string(was) {
		err = consent.Errorf(consent.Conflict, "integration", "somebody changed this integration after you began: see its changes, give this one up and begin again")
	}
	return err
}

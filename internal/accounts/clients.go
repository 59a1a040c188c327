package accounts

import (
	"context"
	"fmt"
	"time"

	"consentsync/internal/auth"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// The kinds of webhook clients.
const (
	// OAuthClient exchanges its secret for access tokens.
	OAuthClient = "oauth"
	// HeaderClient sends its secret along with each webhook.
	HeaderClient = "header"
)

// WebhookClientView is what Didomi authenticates with. Its secret is told once:
// when it is made, and when it is changed.
type WebhookClientView struct {
	OrganizationID string       `json:"organization_id"`
	ClientID       string       `json:"client_id"`
	Kind           string       `json:"kind"`
	CreatedAt      consent.Time `json:"created_at"`
	// PreviousUntil is until when the secret before is as good.
	PreviousUntil *consent.Time `json:"previous_until"`
	ClientSecret  string        `json:"client_secret,omitempty"`
	// Header and HeaderValue are what a client of the kind header sends.
	Header      string `json:"header,omitempty"`
	HeaderValue string `json:"header_value,omitempty"`
}

func (s *Service) clientView(c *store.WebhookClient, secret string) *WebhookClientView {
	v := &WebhookClientView{OrganizationID: c.Organization, ClientID: c.ClientID, Kind: OAuthClient, CreatedAt: c.CreatedAt, ClientSecret: secret}
	if c.PreviousUntil > consent.TimeOf(s.now()) {
		v.PreviousUntil = &c.PreviousUntil
	}
	if c.Header {
		v.Kind, v.Header = HeaderClient, auth.WebhookHeader
		if secret != "" {
			v.HeaderValue = auth.HeaderValue(c.ClientID, secret)
		}
	}
	return v
}

// AddWebhookClient makes credentials with which Didomi calls us, of a kind;
// oauth where none is said.
func (s *Service) AddWebhookClient(ctx context.Context, organization, kind string) (*WebhookClientView, error) {
	if kind != "" && kind != OAuthClient && kind != HeaderClient {
		return nil, incoming.RefuseField("kind", "must be oauth or header")
	}
	if organization == store.Everywhere {
		return nil, consent.Errorf(consent.NotFound, "accounts", "Didomi calls for one organization: name it")
	}
	if err := s.exists(ctx, organization); err != nil {
		return nil, err
	}
	secret := auth.NewSecret()
	c := store.WebhookClient{
		Organization: organization, ClientID: "wc_" + auth.NewSecret()[:22], Header: kind == HeaderClient, SecretHash: auth.Hash(secret), CreatedAt: consent.TimeOf(s.now()),
	}
	if err := s.store.AddWebhookClient(ctx, c, changes.New(ctx, s.now(), organization, "", "webhook_client.added",
		store.Detail{Name: "client_id", Is: c.ClientID})); err != nil {
		return nil, err
	}
	return s.clientView(&c, secret), nil
}

// WebhookClients lists the clients of an organization.
func (s *Service) WebhookClients(ctx context.Context, organization string) ([]*WebhookClientView, error) {
	if err := s.exists(ctx, organization); err != nil {
		return nil, err
	}
	found, err := s.store.WebhookClients(ctx, organization)
	if err != nil {
		return nil, err
	}
	views := []*WebhookClientView{}
	for _, c := range found {
		views = append(views, s.clientView(c, ""))
	}
	return views, nil
}

// For how many hours the secret before stays good: where nobody says, and at
// most.
const usualOverlap, mostOverlap = 24, 7 * 24

// RotateWebhookClient gives a client another secret. The one that it has is as
// good for some hours, so that there is time to enter the other in Didomi.
func (s *Service) RotateWebhookClient(ctx context.Context, organization, id string, hours *int) (*WebhookClientView, error) {
	overlap := usualOverlap
	if hours != nil {
		overlap = *hours
	}
	if overlap < 0 || overlap > mostOverlap {
		return nil, incoming.RefuseField("previous_for_hours", fmt.Sprintf("must be a whole number from 0 to %d", mostOverlap))
	}
	secret, until := auth.NewSecret(), consent.TimeOf(s.now().Add(time.Duration(overlap)*time.Hour))
	err := s.store.RotateWebhookClient(ctx, organization, id, auth.Hash(secret), until, changes.New(ctx, s.now(), organization, "", "webhook_client.rotated",
		store.Detail{Name: "client_id", Is: id}))
	if err != nil {
		return nil, err
	}
	c, err := s.store.WebhookClient(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.clientView(c, secret), nil
}

// RemoveWebhookClient forgets a client. What it authenticates with is worth
// nothing within seconds, on every node.
func (s *Service) RemoveWebhookClient(ctx context.Context, organization, id string) error {
	return s.store.RemoveWebhookClient(ctx, organization, id, changes.New(ctx, s.now(), organization, "", "webhook_client.removed",
		store.Detail{Name: "client_id", Was: id}))
}

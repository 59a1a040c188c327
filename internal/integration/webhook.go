package integration

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// WebhookHeader is the header in which Actito sends us the secret of an
// integration.
const WebhookHeader = auth.WebhookHeader

// WebhookView tells how Actito reaches us.
type WebhookView struct {
	URL        string        `json:"url"`
	Header     string        `json:"header"`
	Registered bool          `json:"registered"`
	Reason     string        `json:"reason"` // why not, and what to do
	CheckedAt  *consent.Time `json:"checked_at"`
	// NotInvertible are the mappings of which a change in Actito cannot be told
	// to Didomi.
	NotInvertible []string `json:"not_invertible"`
	// Secret is shown in the answer to the creation alone.
	Secret string `json:"secret,omitempty"`
}

// webhookEvents are the changes that Actito is asked to tell of: of
// subscriptions, and of new profiles, so that people who had none are tried
// again (R20).
var webhookEvents = []actito.WebhookEvent{actito.WebhookUpdatedSubscription, actito.WebhookCreate}

func (s *Service) webhookURL(i *store.Integration) string {
	base := strings.TrimRight(s.PublicURL, "/")
	if base == "" {
		base = "https://YOUR-HOST"
	}
	return base + "/webhooks/actito/" + i.ID
}

func (s *Service) webhookView(i *store.Integration) *WebhookView {
	v := &WebhookView{
		URL: s.webhookURL(i), Header: WebhookHeader, Registered: len(i.Webhook.IDs) == len(webhookEvents) && i.Webhook.Reason == "",
		Reason: i.Webhook.Reason, CheckedAt: i.Webhook.CheckedAt.OrNil(), NotInvertible: []string{},
	}
	for _, m := range i.Settings.Mappings {
		if _, ok := consent.Invert(m.Value); !ok {
			v.NotInvertible = append(v.NotInvertible, m.ID)
		}
	}
	return v
}

// CheckSecret tells whether a secret is one that Actito may call an integration
// with. It takes the same time for every wrong one.
func (s *Service) CheckSecret(i *store.Integration, secret string) (bool, error) {
	all, err := s.open(i)
	ok := 0
	for _, v := range all.WebhookSecrets {
		ok |= subtle.ConstantTimeCompare([]byte(v), []byte(secret))
	}
	return ok == 1, err
}

// keepWebhooks brings the webhooks in Actito to what the integration says, and
// notes how that went. It is no failure of whatever else is done.
func (s *Service) keepWebhooks(ctx context.Context, i *store.Integration) {
	if !i.Settings.EnableWebhooks && len(i.Webhook.IDs) == 0 {
		return
	}
	w := s.webhooks(ctx, i)
	w.CheckedAt = consent.TimeOf(s.Now())
	i.Webhook = w
	if err := s.Store.SetWebhook(ctx, store.IntegrationKey{Organization: i.Organization, ID: i.ID}, w); err != nil {
		s.Log.ErrorContext(ctx, "how far the webhooks are could not be stored", "integration", i.ID, "error", err)
	}
}

func (s *Service) webhooks(ctx context.Context, i *store.Integration) store.Webhook {
	w := store.Webhook{IDs: i.Webhook.IDs}
	secrets, err := s.open(i)
	if err != nil {
		w.Reason = "the stored secrets cannot be opened: set the API key again"
		return w
	}
	client := s.Accounts.Client(i.Settings.Properties.BaseURL, secrets.PrivateAPIKey)
	if !i.Settings.EnableWebhooks {
		return s.removeWebhooks(ctx, client, i)
	}
	if s.PublicURL == "" {
		w.Reason = "this server does not know its own address: start it with --public-url. " + s.byHand(i)
		return w
	}
	w.IDs, err = s.ensureWebhooks(ctx, client, i, secrets.WebhookSecrets[0])
	switch {
	case err == nil:
	case consent.KindOf(err) == consent.Forbidden:
		w.Reason = "the API key may not manage webhooks: give it the right write_webhooks in Actito. " + s.byHand(i)
	default:
		w.Reason = "the webhooks could not be registered, which is tried again: " + consent.MessageOf(err)
	}
	return w
}

// byHand says what to enter in Actito's portal.
func (s *Service) byHand(i *store.Integration) string {
	return fmt.Sprintf("Or enter in Actito's portal, on the table %q, two webhooks, for %s and %s, one by one, to %s with the header %s and the secret that the answer to the creation or to POST …/webhook-secret shows",
		i.Settings.Properties.TableName, webhookEvents[0], webhookEvents[1], s.webhookURL(i), WebhookHeader)
}

// ensureWebhooks creates what is missing and repairs what is not as it should
// be. What somebody made for our address is adopted.
func (s *Service) ensureWebhooks(ctx context.Context, client *actito.Client, i *store.Integration, secret string) (map[string]string, error) {
	entity := i.Settings.Properties.EntityID
	there, err := client.Webhooks(ctx, entity)
	if err != nil {
		return i.Webhook.IDs, err
	}
	ids := make(map[string]string)
	for _, event := range webhookEvents {
		want := actito.Subscription{
			TableID: i.Snapshot.TableID, Event: event, TargetURL: s.webhookURL(i), Headers: map[string]string{WebhookHeader: secret}, Active: true,
		}
		at := slices.IndexFunc(there, func(is actito.Subscription) bool {
			return is.TableID == want.TableID && is.Event == event && is.TargetURL == want.TargetURL
		})
		if at < 0 {
			if want.ID, err = client.CreateWebhook(ctx, entity, want); err != nil {
				return ids, err
			}
		} else {
			want.ID = there[at].ID
			known := i.Webhook.IDs[string(event)] == want.ID
			told := there[at].Headers != nil
			if !there[at].Active || told && there[at].Headers[WebhookHeader] != secret || !known {
				if err := client.ReplaceWebhook(ctx, entity, want); err != nil {
					return ids, err
				}
			}
		}
		ids[string(event)] = want.ID
	}
	return ids, nil
}

func (s *Service) removeWebhooks(ctx context.Context, client *actito.Client, i *store.Integration) store.Webhook {
	w := store.Webhook{IDs: map[string]string{}}
	for event, id := range i.Webhook.IDs {
		if err := client.DeleteWebhook(ctx, i.Settings.Properties.EntityID, id); err != nil && consent.KindOf(err) != consent.NotFound {
			s.Log.WarnContext(ctx, "a webhook in Actito could not be removed", "integration", i.ID, "error", err)
			w.IDs[event] = id
		}
	}
	return w
}

// RotateWebhookSecret gives an integration a new secret. The one before it
// stays valid until the next rotation, so that no call is lost meanwhile.
func (s *Service) RotateWebhookSecret(ctx context.Context, k store.IntegrationKey) (*View, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, err
	}
	if !i.Settings.EnableWebhooks {
		return nil, consent.Errorf(consent.Conflict, "integration", "enable_webhooks is off: there is no secret")
	}
	secrets, err := s.open(i)
	if err != nil {
		return nil, err
	}
	was, err := s.shown(i)
	if err != nil {
		return nil, err
	}
	secrets.WebhookSecrets = []string{rand.Text(), secrets.WebhookSecrets[0]}
	if err := s.seal(i, secrets); err != nil {
		return nil, err
	}
	i.Webhook.IDs = nil // so that they are all written anew, with the new secret
	v, err := s.save(ctx, i, actionSecretRotated, was, s.Store.UpdateIntegration)
	if err != nil {
		return nil, err
	}
	if v.Webhook != nil {
		v.Webhook.Secret = secrets.WebhookSecrets[0]
	}
	return v, nil
}

// checkEvery is how often the webhooks in Actito are looked at.
const checkEvery = 10 * time.Minute

// KeepWebhooks looks after the webhooks of the integrations that this node
// delivers for until ctx ends: somebody may have removed or stopped them. ours
// tells whether a licence is this node's; were two nodes to look, they might
// both make what is missing.
func (s *Service) KeepWebhooks(ctx context.Context, ours func(licence string) bool) error {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := s.keepAllWebhooks(ctx, ours); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "the webhooks in Actito could not be looked after, trying again later", "error", err)
		}
	}
}

func (s *Service) keepAllWebhooks(ctx context.Context, ours func(licence string) bool) error {
	for after := (store.IntegrationKey{}); ; {
		page, err := s.Store.AllIntegrations(ctx, after, 100)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, i := range page {
			after = store.IntegrationKey{Organization: i.Organization, ID: i.ID}
			if !ours(i.Licence) {
				continue
			}
			// The others of the page took a while: it may have been changed or deleted.
			switch now, err := s.Store.Integration(ctx, after); {
			case err == nil && now.Status == store.Paused && now.Snapshot.RestoredAt > 0:
				// It may be a trial beside the real one: nothing is said to Actito
				// before somebody resumes it.
			case err == nil:
				s.keepWebhooks(ctx, now)
			case consent.KindOf(err) != consent.NotFound:
				return err
			}
		}
	}
}

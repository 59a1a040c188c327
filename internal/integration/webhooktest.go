package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// WebhookTest is what became of a call to our own webhook.
type WebhookTest struct {
	URL     string `json:"url"`
	Reached bool   `json:"reached"`
	Reason  string `json:"reason"` // why not, and what to do
}

// testPatience is for how long a test waits.
const testPatience = 10 * time.Second

// TestWebhook calls the webhook of an integration as Actito would: at its
// public address, with the newest secret, telling nothing. That it is not
// reached is a result, no error. Conflict where there is nothing to call.
//
// It shows that the way to us works as seen from here. Whether Actito takes it
// is seen when the first change is told.
func (s *Service) TestWebhook(ctx context.Context, k store.IntegrationKey) (*WebhookTest, error) {
	i, err := s.Store.Integration(ctx, k)
	if err != nil {
		return nil, err
	}
	switch {
	case !i.Settings.EnableWebhooks:
		return nil, consent.Errorf(consent.Conflict, "integration", "enable_webhooks is off: there is no webhook to test")
	case s.PublicURL == "":
		return nil, consent.Errorf(consent.Conflict, "integration", "this server does not know its own address: start it with --public-url")
	}
	secrets, err := s.open(i)
	if err != nil {
		return nil, err
	}
	t := &WebhookTest{URL: s.webhookURL(i)}
	t.Reason = s.callOurselves(ctx, t.URL, secrets.WebhookSecrets[0])
	t.Reached = t.Reason == ""
	return t, nil
}

// callOurselves gives the reason why the webhook was not reached; "" if it was.
func (s *Service) callOurselves(ctx context.Context, url, secret string) string {
	ctx, cancel := context.WithTimeout(ctx, testPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("[]"))
	if err != nil {
		return "the address is none: correct --public-url"
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(WebhookHeader, secret)
	resp, err := s.Ourselves.Do(req)
	if err != nil {
		return "nobody answers there (" + consent.MessageOf(outbound.Classify("integration.TestWebhook", err)) + "): see --public-url, the DNS and the proxy before this server"
	}
	defer resp.Body.Close()
	body, err := outbound.ReadBody(resp, 64<<10)
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return "the secret did not arrive: a proxy before this server has to pass the header " + WebhookHeader + " on"
	case err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"accepted"`):
		return fmt.Sprintf("somebody else answers there (HTTP %d): see --public-url and the proxy before this server", resp.StatusCode)
	}
	return ""
}

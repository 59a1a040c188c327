package browser_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

const (
	organization = "acme-org"
	anna         = "anna@example.com"
)

// enabled starts the program with an organization that may use the integration,
// of which Didomi tells, and a platform administrator.
func enabled(t *testing.T) (s *site, admin *window) {
	t.Helper()
	s = start(t)
	admin = s.administrator()
	s.ask(http.MethodPut, "/v1/premium-features/"+organization, map[string]bool{"actito": true}, nil)
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	s.ask(http.MethodPost, "/v1/organizations/"+organization+"/webhook-clients", nil, &client)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	s.ask(http.MethodPost, "/oauth/token", map[string]string{"grant_type": "client_credentials", "client_id": client.ID, "client_secret": client.Secret}, &token)
	s.token = token.AccessToken
	return s, admin
}

// integrated has an integration too.
func integrated(t *testing.T) (s *site, admin *window, id string) {
	t.Helper()
	s, admin = enabled(t)
	var created struct{ ID string }
	s.ask(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, map[string]any{
		"type_id": "actito", "authentication": map[string]string{"private_api_key": simulator.SampleKey},
		"properties": map[string]any{
			"base_url": s.actitoURL, "entity_id": simulator.SampleEntity, "table_name": simulator.SampleTable().Name, "user_unique_key": "emailAddress",
			"calls_per_minute": 6000,
		},
		"mappings": []map[string]string{
			{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"},
			{"id": "Promotions", "value": "consents_purposes_promotions_enabled"},
			{"id": "SmsAlerts", "value": "consents_channels_sms_enabled"},
		},
		"upsert_mode": false, "enable_webhooks": false, "enable_emailing": false,
	}, &created)
	return s, admin, created.ID
}

// profile makes a profile in Actito.
func (s *site) profile(id string) {
	s.Helper()
	if _, err := s.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": id}, nil); err != nil {
		s.Fatal(err)
	}
}

// says posts a webhook of Didomi.
func (s *site) didomi(e simulator.Event) {
	s.Helper()
	body, err := json.Marshal(simulator.EventCreated(organization, e))
	if err != nil {
		s.Fatal(err)
	}
	s.send(http.MethodPost, "/webhooks/didomi/"+organization, body, s.token, nil)
}

// becomes waits until a person's delivery is in a state.
func (s *site) becomes(id, state string) {
	s.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var p struct{ Integrations []struct{ Status string } }
		s.ask(http.MethodGet, "/v1/users/"+url.PathEscape(id)+"?organization_id="+organization, nil, &p)
		if len(p.Integrations) > 0 && p.Integrations[0].Status == state {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%s never becomes %s: %+v", id, state, p)
		}
		<-tick.C
	}
}

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

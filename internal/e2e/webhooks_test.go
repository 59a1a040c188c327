package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// choices gives what the program holds of a person, by path.
func (b *bundle) choices(email string) map[string]bool {
	b.t.Helper()
	held := map[string]bool{}
	for _, c := range b.person(email).Choices {
		held[c.Path] = c.Enabled
	}
	return held
}

const (
	newsletterPath = "consents_purposes_newsletter_enabled"
	promotionsPath = "consents_purposes_promotions_enabled"
)

func (b *bundle) wantChoices(email string, want map[string]bool) {
	b.t.Helper()
	got := b.choices(email)
	if len(got) != len(want) {
		b.t.Errorf("choices of %s are %v, want %v", email, got, want)
		return
	}
	for path, on := range want {
		if held, known := got[path]; !known || held != on {
			b.t.Errorf("choices of %s are %v, want %v", email, got, want)
			return
		}
	}
}

// All six types of webhook, plain and flattened, have the effect that the rules
// give them.
func TestAllTypesOfWebhook(t *testing.T) {
	t.Parallel()
	forms := map[string]func(object) object{
		"plain":           func(p object) object { return p },
		"flattened":       simulator.Flatten,
		"flattened whole": simulator.FlattenFully,
	}
	for form, shape := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := setup(t, simulator.ActitoOptions{})
			now := time.Now().Add(-time.Hour)
			const anna, device = "anna@example.com", "device-1"
			grant := simulator.Event{
				ID: "e1", DidomiUserID: device, OrganizationUserID: anna, CreatedAt: now, Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()},
			}
			b.send(shape(simulator.EventCreated(organization, grant)))
			b.wantChoices(anna, map[string]bool{newsletterPath: true, promotionsPath: false})

			// An event that awaits approval changes nothing until it is confirmed (R3).
			pending := simulator.Event{
				ID: "e2", OrganizationUserID: anna, Status: "pending_approval", CreatedAt: now.Add(time.Minute), Purposes: simulator.Choices{"promotions": yes()},
			}
			b.send(shape(simulator.EventCreated(organization, pending)))
			b.wantChoices(anna, map[string]bool{newsletterPath: true, promotionsPath: false})
			confirmed := pending
			confirmed.Status, confirmed.UpdatedAt = "confirmed", now.Add(2*time.Minute)
			b.send(shape(simulator.EventUpdated(organization, pending, confirmed)))
			b.wantChoices(anna, map[string]bool{newsletterPath: true, promotionsPath: true})

			// A user record is a snapshot: it may turn off, not back on (R5).
			user := simulator.User{
				ID: device, OrganizationUserID: anna, CreatedAt: now, UpdatedAt: now.Add(3 * time.Minute), Purposes: simulator.Choices{"promotions": no()},
			}
			b.send(shape(simulator.UserUpdated(organization, user, user, nil)))
			b.wantChoices(anna, map[string]bool{newsletterPath: true, promotionsPath: false})
			user.UpdatedAt, user.Purposes = now.Add(4*time.Minute), simulator.Choices{"promotions": yes()}
			b.send(shape(simulator.UserUpdated(organization, user, user, nil)))
			b.wantChoices(anna, map[string]bool{newsletterPath: true, promotionsPath: false})

			// Deleting the event behind a grant turns it off; it does not come
			// back when the event is told again (R6).
			b.send(shape(simulator.EventDeleted(organization, grant)))
			b.wantChoices(anna, map[string]bool{newsletterPath: false, promotionsPath: false})
			b.send(shape(simulator.EventCreated(organization, grant)))
			b.wantChoices(anna, map[string]bool{newsletterPath: false, promotionsPath: false})

			b.send(shape(simulator.UserDeleted(organization, user)))
			b.wantChoices(anna, map[string]bool{newsletterPath: false, promotionsPath: false})
			b.send(shape(simulator.UserCreated(organization, simulator.User{ID: "device-2", OrganizationUserID: "bob@example.com", CreatedAt: now, Purposes: simulator.Choices{"newsletter": yes()}})))
			b.wantChoices("bob@example.com", map[string]bool{newsletterPath: true})
		})
	}
}

// A Didomi user that is identified later brings along what it withdrew (R7).
func TestR7AnonymousThenIdentified(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	now := time.Now().Add(-time.Hour)
	const anna, device = "anna@example.com", "device-1"
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e1", DidomiUserID: device, CreatedAt: now, Purposes: simulator.Choices{"newsletter": no(), "promotions": yes()},
	}))
	if b.person(anna).Choices != nil {
		t.Error("something is known of Anna before anybody named her")
	}
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e2", DidomiUserID: device, OrganizationUserID: anna, CreatedAt: now.Add(time.Minute), Channels: simulator.Choices{"sms": yes()},
	}))
	b.wantChoices(anna, map[string]bool{newsletterPath: false, promotionsPath: true, "consents_channels_sms_enabled": true})
}

// v1 trees, values of preferences, and nothing but what is needed.
func TestShapesOfConsents(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.send(json.RawMessage(`{"type":"event.created","something":"new","parameters":{"entity":{
		"user":{"organization_user_id":"anna@example.com","extra":1},
		"consents":{
			"channels":[{"id":"email","enabled":true},{"id":"sms","enabled":null}],
			"purposes":[
				{"id":"deals","enabled":null,"preferences":[{"id":"topics","enabled":true,"channels":[{"id":"push","enabled":false}]}],"channels":[{"id":"post","enabled":true}]},
				{"id":"news","values":{"theme":{"value":"sport, music"}}}
			]}}}}`))
	b.wantChoices("anna@example.com", map[string]bool{
		"consents_channels_email_enabled":                                  true,
		"consents_purposes_deals_preferences_topics_enabled":               true,
		"consents_purposes_deals_preferences_topics_channels_push_enabled": false,
		"consents_purposes_deals_channels_post_enabled":                    true,
		"consents_purposes_news_values_theme_sport_enabled":                true,
		"consents_purposes_news_values_theme_music_enabled":                true,
	})
	// Without consents, without an id, without a date: accepted, and nothing changes.
	b.send(json.RawMessage(`{"type":"event.created","parameters":{"entity":{"user":{"organization_user_id":"anna@example.com"}}}}`))
	b.send(json.RawMessage(`{"type":"event.created","parameters":{"entity":{"user":{}}}}`))
	if n := len(b.choices("anna@example.com")); n != 6 {
		t.Errorf("%d choices are held, want 6", n)
	}
}

// What is refused names its field, and changes nothing.
func TestBadWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	entity := func(fields string) string {
		return `{"type":"event.created","parameters":{"entity":{"user":{"organization_user_id":"anna@example.com"},"consents":{"purposes":[{"id":"newsletter","enabled":true}]}` + fields + `}}}`
	}
	path := "/webhooks/didomi/" + organization
	bearer := "Bearer " + b.token
	for name, c := range map[string]struct {
		body, bearer string
		status       int
		field        string
	}{
		"no JSON":              {`{"type":`, bearer, 400, ""},
		"a list":               {`[]`, bearer, 400, ""},
		"two values":           {entity("") + entity(""), bearer, 400, ""},
		"empty":                {``, bearer, 400, ""},
		"no type":              {`{"parameters":{"entity":{}}}`, bearer, 400, "type"},
		"unknown type":         {`{"type":"event.exploded","parameters":{"entity":{}}}`, bearer, 400, "type"},
		"no entity":            {`{"type":"event.created","parameters":{}}`, bearer, 400, "parameters.entity"},
		"bad date":             {entity(`,"created_at":"yesterday"`), bearer, 400, "parameters.entity.created_at"},
		"id is a number":       {entity(`,"id":7`), bearer, 400, "parameters.entity.id"},
		"another organization": {entity(`,"organization_id":"other"`), bearer, 400, "parameters.entity.organization_id"},
		"enabled is a text": {
			strings.Replace(entity(""), "true", `"yes"`, 1), bearer, 400, "parameters.entity.consents.purposes[0].enabled",
		},
		"consents is a text": {
			`{"type":"event.created","parameters":{"entity":{"user":{"id":"x"},"consents":"all"}}}`, bearer, 400, "parameters.entity.consents",
		},
		"too large":   {entity(`,"padding":"` + strings.Repeat("x", 1<<20) + `"`), bearer, 413, ""},
		"no token":    {entity(""), "", 401, ""},
		"wrong token": {entity(""), bearer + "x", 401, ""},
		"admin token": {entity(""), "Bearer " + adminToken, 401, ""},
	} {
		status, answer := b.ask(http.MethodPost, path, c.body, "Authorization", c.bearer)
		var r refusal
		if err := json.Unmarshal(answer, &r); err != nil || status != c.status || r.Code != status {
			t.Errorf("%s: answered %d %.300s", name, status, answer)
			continue
		}
		if c.field != "" && r.Errors[c.field] == "" {
			t.Errorf("%s: errors are %q, want %s to be named", name, r.Errors, c.field)
		}
	}
	b.must(http.MethodPut, "/v1/premium-features/other", `{"actito":true}`, http.StatusOK, nil)
	if status, answer := b.ask(http.MethodPost, "/webhooks/didomi/other", entity(""), "Authorization", bearer); status != http.StatusForbidden {
		t.Errorf("a token of another organization is answered %d %s", status, answer)
	}
	if held := b.choices("anna@example.com"); len(held) != 0 {
		t.Errorf("what was refused changed something: %v", held)
	}
}

// Users whose ids need encoding in addresses are found.
func TestUnusualUserIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.integrate(func(in object) { in["properties"].(object)["user_unique_key"] = "customerId" })
	for id, escaped := range map[string]string{
		"a/b+c@example.com": "a%2Fb%2Bc@example.com",
		"ünï çödé":          "%C3%BCn%C3%AF%20%C3%A7%C3%B6d%C3%A9",
		"100%":              "100%25",
		"..":                "%2E%2E",
	} {
		b.send(event("", id, time.Now(), simulator.Choices{"newsletter": yes()}))
		b.eventually(id+" is synced", func() bool { return b.person(escaped).status() == "synced" })
		p, found := b.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "customerId", id)
		if !found || !p.Subscriptions["Newsletter"] {
			t.Errorf("%q has no profile with the subscription", id)
		}
	}
}

// Didomi may send a secret along with each webhook instead of getting a token,
// and the secret can be changed without a webhook being refused.
func TestWebhooksWithASecretInAHeader(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	const clients = "/v1/organizations/" + organization + "/webhook-clients"
	type made struct {
		ID    string `json:"client_id"`
		Value string `json:"header_value"`
	}
	var first, second, third made
	n := 0
	sends := func(value string, want int) {
		t.Helper()
		n++
		body, err := json.Marshal(event(strings.Repeat("e", n), anna, time.Now(), simulator.Choices{"newsletter": yes()}))
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := b.ask(http.MethodPost, "/webhooks/didomi/"+organization, string(body), "Authorization", "", "X-Consentsync-Secret", value); status != want {
			t.Errorf("webhook %d is answered %d, want %d: %s", n, status, want, answer)
		}
	}
	b.must(http.MethodPost, clients, `{"kind":"header"}`, http.StatusCreated, &first)
	sends(first.Value, http.StatusOK)
	sends(first.Value+"x", http.StatusUnauthorized)
	sends(b.client.ID+"."+b.client.Secret, http.StatusUnauthorized) // it is for tokens
	b.must(http.MethodPost, clients+"/"+first.ID+"/rotate", "", http.StatusOK, &second)
	sends(first.Value, http.StatusOK)
	sends(second.Value, http.StatusOK)
	b.must(http.MethodPost, clients+"/"+first.ID+"/rotate", `{"previous_for_hours":0}`, http.StatusOK, &third)
	sends(third.Value, http.StatusOK)
	secret, _ := strings.CutPrefix(first.Value, first.ID+".")
	b.must(http.MethodPost, "/oauth/token", `{"grant_type":"client_credentials","client_id":"`+first.ID+`","client_secret":"`+secret+`"}`, http.StatusUnauthorized, nil)
	b.must(http.MethodDelete, clients+"/"+first.ID, "", http.StatusNoContent, nil)
	b.within(30*time.Second, "what was removed is refused", func() bool {
		status, _ := b.ask(http.MethodPost, "/webhooks/didomi/"+organization, "{}", "Authorization", "", "X-Consentsync-Secret", third.Value)
		return status == http.StatusUnauthorized
	})
	b.wantChoices(anna, map[string]bool{newsletterPath: true})
}

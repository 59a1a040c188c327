package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// The main job in the older version of Actito's API: a profile that exists gets
// what was chosen, one that is missing is made, and a withdrawal turns off. Then
// the integration moves to V5 and knows what it knew.
func TestV4AConsentReachesTheProfile(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	const bert = "bert@example.com"
	mustPut(t, b, anna)
	id := b.integrate(func(in object) {
		p := in["properties"].(object)
		p["dialect"], p["profiles_path"] = "v4", "/v4"
	})
	path := "/v1/marketplace/integrations/" + id
	var view struct {
		Properties struct{ Dialect string }
	}
	if b.must(http.MethodGet, path, "", http.StatusOK, &view); view.Properties.Dialect != "v4" {
		t.Errorf("the integration shows the dialect %q", view.Properties.Dialect)
	}

	now := time.Now()
	for _, email := range []string{anna, bert} {
		b.send(simulator.EventCreated(organization, simulator.Event{
			ID: "1 " + email, OrganizationUserID: email, CreatedAt: now, Metadata: map[string]any{"firstName": "A", "age": "41", "vip": true},
			Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()}, Channels: simulator.Choices{"sms": yes()},
		}))
	}
	b.send(event("2", anna, now.Add(time.Second), simulator.Choices{"newsletter": no()}))
	for _, email := range []string{anna, bert} {
		b.eventually(email+" has what was chosen", func() bool {
			p, _ := b.profile(email)
			return b.synced(email) && p.Subscriptions["Newsletter"] == (email == bert) && !p.Subscriptions["Promotions"] && p.Subscriptions["SmsAlerts"] &&
				p.Attributes["firstName"] == "A" && p.Attributes["age"] == int64(41) && p.Attributes["vip"] == true
		})
	}
	for _, c := range b.actito.Calls() {
		if strings.HasPrefix(c.Key, "emailAddress=") && !strings.HasPrefix(c.Path, "/v4/entity/acme/table/Profiles/profile") {
			t.Errorf("%s %s is a call about a profile", c.Method, c.Path)
		}
	}

	if b.must(http.MethodPatch, path, `{"properties":{"dialect":"v5","profiles_path":null}}`, http.StatusOK, &view); view.Properties.Dialect != "v5" {
		t.Errorf("the integration shows the dialect %q", view.Properties.Dialect)
	}
	before := b.actito.CallCount()
	b.send(event("3", bert, now.Add(2*time.Second), simulator.Choices{"newsletter": no()}))
	b.eventually("Bert is off, by V5", func() bool { return !b.on(bert, "Newsletter") && b.synced(bert) })
	for _, c := range b.actito.Calls()[before:] {
		if strings.HasPrefix(c.Key, "emailAddress=") && c.Method != http.MethodPatch {
			t.Errorf("%s %s is not what V5 writes with", c.Method, c.Path)
		}
	}
}

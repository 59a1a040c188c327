package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

const integrations = "/v1/marketplace/integrations?organization_id=" + organization

// refusal is the envelope of an error.
type refusal struct {
	Code    int
	Name    string
	Message string
	Errors  map[string]string
}

func (b *bundle) refused(method, path, body string, status int) (r refusal) {
	b.t.Helper()
	b.must(method, path, body, status, &r)
	if r.Code != status || r.Name == "" || r.Message == "" || r.Errors == nil {
		b.t.Errorf("%s %s: the envelope is %+v", method, path, r)
	}
	return r
}

// Whatever is wrong with an integration, its field is named and nothing is
// created.
func TestBadIntegrationsAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	properties := func(in object) object { return in["properties"].(object) }
	mapping := func(id, value string) func(object) {
		return func(in object) {
			in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_n_enabled"}, {"id": id, "value": value}}
		}
	}
	didomi := func(key, secret string) func(object) {
		return func(in object) {
			in["enable_webhooks"] = true
			in["authentication"] = object{"private_api_key": simulator.SampleKey, "didomi_api_key": key, "didomi_api_secret": secret}
		}
	}
	for name, c := range map[string]struct {
		change func(object)
		field  string
		says   string
	}{
		"wrong key":              {func(in object) { in["authentication"] = object{"private_api_key": "nope"} }, "authentication.private_api_key", "refuses"},
		"no key":                 {func(in object) { delete(in, "authentication") }, "authentication.private_api_key", "required"},
		"unknown entity":         {func(in object) { properties(in)["entity_id"] = "nobody" }, "properties.entity_id", simulator.SampleEntity},
		"unknown table":          {func(in object) { properties(in)["table_name"] = "Nothing" }, "properties.table_name", simulator.SampleTable().Name},
		"key not in the table":   {func(in object) { properties(in)["user_unique_key"] = "nick" }, "properties.user_unique_key", "emailAddress"},
		"key not unique":         {func(in object) { properties(in)["user_unique_key"] = "shop" }, "properties.user_unique_key", "not unique"},
		"no such dialect":        {func(in object) { properties(in)["dialect"] = "v6" }, "properties.dialect", `"v5" or "v4"`},
		"no such path":           {func(in object) { properties(in)["profiles_path"] = "profiles/v4/" }, "properties.profiles_path", "/profiles/v4"},
		"no such subscription":   {mapping("Gazette", "consents_purposes_g_enabled"), "mappings[1].id", "Newsletter, Promotions, SmsAlerts, PartnerOffers"},
		"mapped twice":           {mapping("Newsletter", "consents_purposes_g_enabled"), "mappings[1].id", "mapped"},
		"mapped twice, but case": {mapping("NEWSLETTER", "consents_purposes_g_enabled"), "mappings[1].id", ""},
		"no path":                {mapping("Promotions", "newsletter"), "mappings[1].value", "consents_purposes_<id>_enabled"},
		"a text as subscription": {mapping("Promotions", "user_country"), "mappings[1].value", "properties.attributes"},
		"no mappings":            {func(in object) { in["mappings"] = []object{} }, "mappings", "at least one"},
		"another type":           {func(in object) { in["type_id"] = "hubspot" }, "type_id", "actito"},
		"unknown setting":        {func(in object) { in["upsert"] = true }, "upsert", "no such field"},
		"wrong JSON type":        {func(in object) { properties(in)["calls_per_minute"] = "many" }, "properties.calls_per_minute", "whole number"},
		"negative budget":        {func(in object) { properties(in)["calls_per_minute"] = -1 }, "properties.calls_per_minute", "positive"},
		"no concurrency":         {func(in object) { properties(in)["concurrency"] = -4 }, "properties.concurrency", ""},
		"empty regulation":       {func(in object) { properties(in)["regulations"] = []string{""} }, "properties.regulations[0]", "empty"},
		"bad base URL":           {func(in object) { properties(in)["base_url"] = "ftp://actito" }, "properties.base_url", "http"},
		"bad attribute path":     {func(in object) { properties(in)["attributes"] = []object{{"id": "shop", "value": "shop"}} }, "properties.attributes[0].value", "user_metadata_"},
		"more of an attribute": {func(in object) {
			properties(in)["attributes"] = []object{{"id": "shop", "value": "user_country", "type": 1}}
		}, "type", "no such field"},
		"attribute is a number":    {func(in object) { properties(in)["attributes"] = []int{7} }, "properties.attributes", "an object"},
		"secret without its key":   {didomi("", "s"), "authentication.didomi_api_key", "together"},
		"key without its secret":   {didomi("k", ""), "authentication.didomi_api_secret", "together"},
		"organization in conflict": {func(in object) { in["organization_id"] = "other" }, "organization_id", "another"},
	} {
		r := b.refused(http.MethodPost, integrations, b.settings(c.change), http.StatusBadRequest)
		if said, named := r.Errors[c.field]; !named || !strings.Contains(said, c.says) {
			t.Errorf("%s: errors are %q, want %s to say %q", name, r.Errors, c.field, c.says)
		}
	}
	var list struct{ Data []any }
	b.must(http.MethodGet, integrations, "", http.StatusOK, &list)
	if len(list.Data) != 0 {
		t.Errorf("%d integrations were created", len(list.Data))
	}
}

func TestPremiumFeatureGate(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.must(http.MethodPut, "/v1/premium-features/"+organization, `{"actito":false}`, http.StatusOK, nil)
	r := b.refused(http.MethodPost, integrations, b.settings(nil), http.StatusForbidden)
	if !strings.Contains(r.Message, "administrator") {
		t.Errorf("the message does not say whom to ask: %q", r.Message)
	}
	b.refused(http.MethodPost, "/v1/marketplace/integrations?organization_id=nobody", b.settings(nil), http.StatusForbidden)
	b.refused(http.MethodPost, "/v1/organizations/nobody/webhook-clients", "", http.StatusNotFound)
	b.refused(http.MethodPut, "/v1/premium-features/"+organization, `{}`, http.StatusBadRequest)
	b.refused(http.MethodPut, "/v1/premium-features/"+organization, `{"actito":"yes"}`, http.StatusBadRequest)
}

func TestDryRunCreatesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	var view struct {
		Snapshot struct{ Subscriptions []string }
	}
	b.must(http.MethodPost, integrations+"&dry_run=true", b.settings(nil), http.StatusOK, &view)
	if len(view.Snapshot.Subscriptions) != 4 {
		t.Errorf("the snapshot is %v", view.Snapshot)
	}
	b.refused(http.MethodPost, integrations+"&dry_run=true", b.settings(func(in object) { in["mappings"] = nil }), http.StatusBadRequest)
	var list struct{ Data []any }
	b.must(http.MethodGet, integrations, "", http.StatusOK, &list)
	if len(list.Data) != 0 {
		t.Errorf("%d integrations were created", len(list.Data))
	}
}

// The secret is never shown, and its mask sent back means unchanged.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.actito.AddKey("a-rather-long-private-api-key")
	id := b.integrate(func(in object) { in["authentication"] = object{"private_api_key": "a-rather-long-private-api-key"} })
	path := "/v1/marketplace/integrations/" + id
	_, body := b.ask(http.MethodGet, path, "")
	if strings.Contains(string(body), "a-rather-long") {
		t.Fatalf("the secret is shown: %s", body)
	}
	// What was read can be sent back whole.
	b.must(http.MethodPatch, path, string(body), http.StatusOK, nil)
	b.must(http.MethodPatch, path, `{"upsert_mode":false}`, http.StatusOK, nil)
	b.refused(http.MethodPatch, path, `{"authentication":{"private_api_key":"wrong"}}`, http.StatusBadRequest)
	var view struct {
		UpsertMode bool `json:"upsert_mode"`
		Revision   int
		Mappings   []any
	}
	b.must(http.MethodGet, path, "", http.StatusOK, &view)
	if view.UpsertMode || view.Revision != 3 || len(view.Mappings) != 3 {
		t.Errorf("after two changes and a refusal: %+v", view)
	}
}

// What makes it another table has to be another integration (R12).
func TestR12AnotherTableIsAnotherIntegration(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.actito.AddTable("other", simulator.SampleTable())
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	for field, patch := range map[string]string{
		"properties.entity_id":       `{"properties":{"entity_id":"other"}}`,
		"properties.user_unique_key": `{"properties":{"user_unique_key":"customerId"}}`,
	} {
		if r := b.refused(http.MethodPatch, path, patch, http.StatusBadRequest); !strings.Contains(r.Errors[field], "new integration") {
			t.Errorf("%s: %q", field, r.Errors)
		}
	}
}

// A subscription has one owner, across integrations too (R11).
func TestR11OneOwnerAcrossIntegrations(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.integrate(nil)
	r := b.refused(http.MethodPost, integrations, b.settings(func(in object) {
		in["mappings"] = []object{{"id": "PartnerOffers", "value": "consents_purposes_p_enabled"}, {"id": "Newsletter", "value": "consents_purposes_x_enabled"}}
	}), http.StatusConflict)
	if r.Errors["mappings[1].id"] == "" || r.Errors["mappings[0].id"] != "" {
		t.Errorf("errors are %q", r.Errors)
	}
	b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "PartnerOffers", "value": "consents_purposes_p_enabled"}}
	})
}

// Only subscriptions of the snapshot are synchronized; refresh takes over new
// ones.
func TestSnapshotAndRefresh(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	b.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Gazette")
	var view struct {
		Snapshot struct{ Subscriptions []string }
	}
	b.must(http.MethodGet, path, "", http.StatusOK, &view)
	if len(view.Snapshot.Subscriptions) != 4 {
		t.Errorf("the snapshot changed by itself: %v", view.Snapshot)
	}
	b.must(http.MethodPost, path+"/refresh", "", http.StatusOK, &view)
	if len(view.Snapshot.Subscriptions) != 5 {
		t.Errorf("after the refresh the snapshot is %v", view.Snapshot)
	}
	b.must(http.MethodPatch, path, `{"mappings":[{"id":"Gazette","value":"consents_purposes_g_enabled"}]}`, http.StatusOK, nil)
	b.send(event("e1", "anna@example.com", time.Now(), simulator.Choices{"g": yes(), "newsletter": yes()}))
	b.eventually("only what is mapped now is sent", func() bool {
		p, _ := b.profile("anna@example.com")
		return p.Subscriptions["Gazette"] && !p.Subscriptions["Newsletter"]
	})
}

// What a table has otherwise than the snapshot is told, and taken over by a
// refresh alone.
func TestTheTableDiffersFromTheSnapshot(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	path := "/v1/marketplace/integrations/" + b.integrate(func(in object) { in["upsert_mode"] = false })
	type view struct {
		Revision int
		Snapshot struct {
			TakenAt       string `json:"taken_at"`
			LookedAt      string `json:"looked_at"`
			Subscriptions []string
			Differs       *struct {
				Added   []string `json:"subscriptions_added"`
				Removed []string `json:"subscriptions_removed"`
			}
		}
	}
	read := func(method, path string) (v view) {
		b.must(method, path, "", http.StatusOK, &v)
		return v
	}
	if v := read(http.MethodGet, path); v.Snapshot.Differs != nil || v.Snapshot.LookedAt != v.Snapshot.TakenAt {
		t.Errorf("at first %+v", v)
	}
	b.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Gazette")
	b.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "PartnerOffers")
	if v := read(http.MethodGet, path); v.Snapshot.Differs != nil {
		t.Errorf("nobody has looked yet: %+v", v)
	}
	v := read(http.MethodPost, path+"/refresh?dry_run=true")
	if d := v.Snapshot.Differs; d == nil || len(d.Added) != 1 || len(d.Removed) != 1 || len(v.Snapshot.Subscriptions) != 4 || v.Revision != 1 || v.Snapshot.LookedAt <= v.Snapshot.TakenAt {
		t.Errorf("looked at %+v", v)
	}
	if v := read(http.MethodGet, path); v.Snapshot.Differs == nil {
		t.Error("it is forgotten")
	}
	b.refused(http.MethodPost, path+"/refresh?dry_run=perhaps", "", http.StatusBadRequest)
	if v := read(http.MethodPost, path+"/refresh"); v.Snapshot.Differs != nil || v.Revision != 2 {
		t.Errorf("after a refresh %+v", v)
	}
	// A look for another reason tells it too.
	b.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Extra")
	b.send(event("e1", "nobody@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("a look shows the difference", func() bool {
		d := read(http.MethodGet, path).Snapshot.Differs
		return d != nil && len(d.Added) == 1 && d.Added[0] == "Extra"
	})
}

func TestPauseResumeDelete(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	id := b.integrate(func(in object) { in["enabled"] = false })
	path := "/v1/marketplace/integrations/" + id
	var view struct{ Status string }
	b.must(http.MethodGet, path, "", http.StatusOK, &view)
	if view.Status != "paused" {
		t.Fatalf("created with enabled false it is %s", view.Status)
	}
	b.send(event("e1", "anna@example.com", time.Now(), simulator.Choices{"newsletter": yes()}))
	b.must(http.MethodPost, path+"/resume", "", http.StatusOK, &view)
	b.eventually("what came while paused is delivered", func() bool { return b.person("anna@example.com").status() == "synced" })
	b.must(http.MethodDelete, path+"?organization_id="+organization, "", http.StatusNoContent, nil)
	b.refused(http.MethodGet, path, "", http.StatusNotFound)
	b.refused(http.MethodPost, path+"/pause", "", http.StatusNotFound)
	calls := b.actito.CallCount()
	b.send(event("e2", "anna@example.com", time.Now(), simulator.Choices{"newsletter": no()}))
	if n := len(b.person("anna@example.com").Integrations); n != 0 {
		t.Errorf("the person still has %d integrations", n)
	}
	b.stays("a deleted integration makes no call", 500*time.Millisecond, func() bool { return b.actito.CallCount() == calls })
}

func TestReplayOfOnePerson(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	path := "/v1/marketplace/integrations/" + b.integrate(func(in object) { in["upsert_mode"] = false })
	const anna = "anna@example.com"
	b.send(event("e1", anna, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("Anna is unmatched", func() bool { return b.person(anna).status() == "unmatched" })
	mustPut(t, b, anna)
	b.must(http.MethodPost, path+"/replay", `{"organization_user_id":"`+anna+`"}`, http.StatusAccepted, nil)
	b.eventually("the replay found the profile", func() bool { return b.person(anna).status() == "synced" })
	b.refused(http.MethodPost, path+"/replay", `{"organization_user_id":"nobody@example.com"}`, http.StatusNotFound)
	b.refused(http.MethodPost, path+"/replay", `{}`, http.StatusBadRequest)
}

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	for _, name := range []string{"Newsletter", "Promotions", "SmsAlerts"} {
		b.integrate(func(in object) { in["mappings"] = []object{{"id": name, "value": "consents_purposes_x_enabled"}} })
	}
	seen := map[string]bool{}
	for cursor := ""; ; {
		var page struct {
			Data []struct{ ID string }
			Next *string
		}
		b.must(http.MethodGet, integrations+"&limit=2&cursor="+cursor, "", http.StatusOK, &page)
		for _, i := range page.Data {
			seen[i.ID] = true
		}
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if len(seen) != 3 {
		t.Errorf("the pages hold %d integrations, want 3", len(seen))
	}
	b.refused(http.MethodGet, integrations+"&limit=0", "", http.StatusBadRequest)
	b.refused(http.MethodGet, "/v1/marketplace/integrations", "", http.StatusBadRequest)
}

// Nothing under /v1 works without the administrator's token.
func TestV1NeedsTheAdministrator(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	id := b.integrate(nil)
	for _, path := range []string{integrations, "/v1/marketplace/integrations/" + id, "/v1/users/x?organization_id=" + organization} {
		for _, header := range []string{"", "Bearer wrong", "Basic " + adminToken, "Bearer " + b.token} {
			status, body := b.ask(http.MethodGet, path, "", "Authorization", header)
			var r refusal
			if err := json.Unmarshal(body, &r); err != nil || status != http.StatusUnauthorized || r.Code != status {
				t.Errorf("GET %s with %q answered %d: %s", path, header, status, body)
			}
		}
	}
}

// What is not there is told in the envelope too.
func TestUnknownAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.http = http.DefaultClient // these are not in the OpenAPI document
	b.refused(http.MethodGet, "/nothing", "", http.StatusNotFound)
	b.refused(http.MethodGet, "/v1/nothing", "", http.StatusNotFound)
	b.refused(http.MethodPut, "/v1/marketplace/integrations", "", http.StatusMethodNotAllowed)
	b.refused(http.MethodGet, "/oauth/token", "", http.StatusMethodNotAllowed)
	b.refused(http.MethodDelete, "/healthz", "", http.StatusMethodNotAllowed)
}

package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/integration"
	"consentsync/internal/simulator"
)

const (
	accountPath = "/v1/marketplace/integrations/account?organization_id=" + organization
	choicesPath = "/v1/marketplace/integrations/choices?organization_id=" + organization
)

// What an account has is listed as far as it was chosen, with the key of an
// integration too, but never to another host than its own.
func TestTheAccountIsListed(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	ask := func(id, key, entity, table string) (v integration.AccountView) {
		b.must(http.MethodPost, accountPath, fmt.Sprintf(`{"integration_id":%q,"authentication":{"private_api_key":%q},"properties":{"base_url":%q,"entity_id":%q,"table_name":%q}}`,
			id, key, b.actitoURL, entity, table), http.StatusOK, &v)
		return v
	}
	v := ask("", simulator.SampleKey, "", "")
	if len(v.Entities) != 1 || v.Entities[0].Name != simulator.SampleEntity || v.Tables != nil || v.Table != nil || len(v.Notes) == 0 {
		t.Errorf("with a key alone: %+v", v)
	}
	if v = ask("", simulator.SampleKey, simulator.SampleEntity, ""); len(v.Tables) != 1 || v.Tables[0].ID != simulator.SampleTableID || v.Table != nil {
		t.Errorf("with an entity: %+v", v)
	}
	v = ask("", simulator.SampleKey, simulator.SampleEntity, simulator.SampleTable().Name)
	if v.Table == nil || len(v.Table.Subscriptions) != 4 || !slices.Contains(v.Table.UniqueKeys, "emailAddress") || slices.Contains(v.Table.UniqueKeys, "shop") {
		t.Fatalf("with a table: %+v", v.Table)
	}
	id := b.integrate(nil)
	if v = ask(id, "", "", ""); len(v.Entities) != 1 {
		t.Errorf("with the key of an integration: %+v", v)
	}
	ask(id, "********", "", "")

	var asked bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	for name, c := range map[string]struct{ body, field string }{
		"held key to another host": {fmt.Sprintf(`{"integration_id":%q,"properties":{"base_url":%q}}`, id, elsewhere.URL), "authentication.private_api_key"},
		"no key":                   {`{}`, "authentication.private_api_key"},
		"wrong key":                {fmt.Sprintf(`{"authentication":{"private_api_key":"no"},"properties":{"base_url":%q}}`, b.actitoURL), "authentication.private_api_key"},
		"no URL":                   {`{"authentication":{"private_api_key":"k"},"properties":{"base_url":"ftp://x"}}`, "properties.base_url"},
		"table without its entity": {`{"authentication":{"private_api_key":"k"},"properties":{"table_name":"x"}}`, "properties.entity_id"},
		"no such entity": {fmt.Sprintf(`{"authentication":{"private_api_key":%q},"properties":{"base_url":%q,"entity_id":"nobody"}}`,
			simulator.SampleKey, b.actitoURL), "properties.entity_id"},
		"no such table": {fmt.Sprintf(`{"authentication":{"private_api_key":%q},"properties":{"base_url":%q,"entity_id":%q,"table_name":"none"}}`,
			simulator.SampleKey, b.actitoURL, simulator.SampleEntity), "properties.table_name"},
		"unknown field": {`{"api_key":"k"}`, "api_key"},
	} {
		if r := b.refused(http.MethodPost, accountPath, c.body, http.StatusBadRequest); r.Errors[c.field] == "" {
			t.Errorf("%s: errors are %v", name, r.Errors)
		}
	}
	if asked {
		t.Error("a host that is not the integration's was asked")
	}
	b.refused(http.MethodPost, accountPath, `{"integration_id":"nobody"}`, http.StatusNotFound)
	b.refused(http.MethodPost, strings.Replace(accountPath, organization, "nobody", 1), `{}`, http.StatusForbidden)
}

// What can be mapped comes from Didomi, if its credentials are known, and from
// what people were seen to choose; the values of texts are not told.
func TestTheChoicesAreListed(t *testing.T) {
	t.Parallel()
	api := simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: organization, Key: "didomi-key", Secret: "didomi-secret", Purposes: crowd("purpose", 120)})
	defer api.Close()
	far := httptest.NewServer(api)
	defer far.Close()
	b := setup(t, simulator.ActitoOptions{}, func(c *app.Config) { c.DidomiURL = far.URL + "/v1" })
	noon := time.Now().Add(-time.Hour)
	b.sendAll(events(crowd("c", 3), noon, simulator.Choices{"newsletter": yes()}))
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "last", OrganizationUserID: "last@example.com", CreatedAt: noon.Add(time.Minute), Purposes: simulator.Choices{"newsletter": no()},
		Metadata: map[string]any{"firstName": "Secretive", "age": 41},
	}))
	var v integration.ChoicesView
	b.must(http.MethodPost, choicesPath, `{}`, http.StatusOK, &v)
	if v.Purposes != nil || !v.Seen.Complete || v.Seen.Looked != 4 || len(v.Seen.Choices) != 1 || len(v.Notes) != 2 {
		t.Fatalf("%+v %+v", v, v.Seen)
	}
	if c := v.Seen.Choices[0]; c.Path != "consents_purposes_newsletter_enabled" || c.People != 4 || c.On != 3 || c.Last || c.LastAt.Std().Before(noon) {
		t.Errorf("%+v", c)
	}
	if x := v.Seen.Texts; len(x) != 2 || x[0].Path != "user_metadata_age" || x[0].Kinds["number"] != 1 || x[1].Kinds["text"] != 1 {
		t.Errorf("%+v", x)
	}
	_, body := b.ask(http.MethodPost, choicesPath, `{}`)
	if strings.Contains(string(body), "Secretive") {
		t.Error("a person's metadata are told")
	}
	b.must(http.MethodPost, choicesPath+"&seconds=1", `{"authentication":{"didomi_api_key":"didomi-key","didomi_api_secret":"didomi-secret"}}`, http.StatusOK, &v)
	if len(v.Purposes) != 120 || v.Purposes[0].ID != "purpose000@example.com" || v.Purposes[0].Name != "The purpose000@example.com" || !strings.HasPrefix(v.Purposes[0].Path, "consents_purposes_purpose000") {
		t.Errorf("%d purposes, %+v", len(v.Purposes), v.Purposes[:min(1, len(v.Purposes))])
	}
	for body, field := range map[string]string{
		`{"authentication":{"didomi_api_key":"didomi-key"}}`:                             "authentication.didomi_api_secret",
		`{"authentication":{"didomi_api_key":"didomi-key","didomi_api_secret":"wrong"}}`: "authentication.didomi_api_secret",
		`{"authentication":{"didomi_api_key":7}}`:                                        "authentication.didomi_api_key",
	} {
		if r := b.refused(http.MethodPost, choicesPath, body, http.StatusBadRequest); r.Errors[field] == "" {
			t.Errorf("%s: errors are %v", body, r.Errors)
		}
	}
	if r := b.refused(http.MethodPost, choicesPath+"&seconds=1000", `{}`, http.StatusBadRequest); r.Errors["seconds"] == "" {
		t.Errorf("errors are %v", r.Errors)
	}
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"consentsync/internal/integration"
	"consentsync/internal/simulator"
)

const applied = `{
	"type_id": "actito", "organization_id": "acme", %s
	"authentication": {"private_api_key": "${CONSENTSYNC_TEST_KEY}"},
	"properties": {"base_url": %q, "entity_id": %q, "table_name": %q, "user_unique_key": "emailAddress"%s},
	"mappings": [%s],
	"upsert_mode": true
}`

const (
	mapsNewsletter = `{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}`
	mapsPromotions = `{"id": "Promotions", "value": "consents_purposes_promotions_enabled"}`
)

// An integration is made from a file, shown not to differ, and changed, and each
// time the difference is shown first. The test sets variables, so that it cannot
// run beside others.
func TestApply(t *testing.T) {
	ctx := t.Context()
	_, far := farEnd(t)
	c, data := running(t)
	t.Setenv("CONSENTSYNC_URL", c.url)
	t.Setenv("CONSENTSYNC_DATA", data)
	if _, err := c.ask(ctx, http.MethodPut, "/v1/premium-features/acme", map[string]any{"actito": true}, nil); err != nil {
		t.Fatal(err)
	}
	write := func(more, properties string, mappings ...string) string {
		return file(t, "integration.json", fmt.Sprintf(applied, more, far, simulator.SampleEntity, simulator.SampleTable().Name, properties, strings.Join(mappings, ",")))
	}
	all := func() []listed {
		found, err := listIntegrations(ctx, c, "acme")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	says := func(got ran, code int, want ...string) {
		t.Helper()
		if got.code != code {
			t.Fatalf("%+v", got)
		}
		for _, w := range want {
			if !strings.Contains(got.out+got.err, w) {
				t.Errorf("no %q in %s%s", w, got.out, got.err)
			}
		}
	}
	first := write("", "", mapsNewsletter)

	command(t, "", "apply", "-f", first, "--yes").refuses(t, 1, "authentication.private_api_key: the environment variable CONSENTSYNC_TEST_KEY is not set")
	t.Setenv("CONSENTSYNC_TEST_KEY", simulator.SampleKey)
	command(t, "y\n", "apply", "-f", first).refuses(t, 2, "--yes: is needed")
	command(t, "", "apply", "-f", "-").refuses(t, 2, "--yes: is needed")
	command(t, "", "apply", "-f", first, "--yes", "--url", "nowhere").refuses(t, 2, "--url")
	says(command(t, "", "apply", "-f", first, "--dry-run"), 0, "a new integration of acme", "+ Newsletter <- consents_purposes_newsletter_enabled",
		"properties.entity_id: \""+simulator.SampleEntity, "table       as it is in Actito now", "approval    not needed")
	if len(all()) != 0 {
		t.Fatal("a dry run made an integration")
	}
	says(command(t, "", "apply", "-f", first, "--yes"), 0, "is active")
	made := all()
	if len(made) != 1 {
		t.Fatalf("%+v", made)
	}
	id := made[0].ID
	says(command(t, "", "apply", "-f", first, "--yes"), 0, id, "difference  none")

	// The file leaves nothing behind that it does not say.
	says(command(t, "", "apply", "-f", write("", `, "calls_per_minute": 30, "licence": "ours"`, mapsPromotions), "--yes"), 0,
		"properties.calls_per_minute: 90 -> 30", `properties.licence: (not set) -> "ours"`, "+ Promotions", "- Newsletter <- consents_purposes_newsletter_enabled: left in Actito")
	view := func() (v integration.View) {
		if _, err := c.ask(ctx, http.MethodGet, integrations+"/"+id, nil, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := view(); v.Properties.CallsPerMinute != 30 || v.Properties.Licence != "ours" || len(v.Mappings) != 1 || v.Revision != 2 {
		t.Errorf("%+v", v)
	}
	third := write(fmt.Sprintf(`"id": %q,`, id), "", strings.Replace(mapsPromotions, "purposes_promotions", "channels_email", 1))
	says(command(t, "", "apply", "-f", third, "--yes"), 0, "properties.calls_per_minute: 30 -> 90", `properties.licence: "ours" -> (not set)`,
		"~ Promotions <- consents_channels_email_enabled, was consents_purposes_promotions_enabled")
	if v := view(); v.Properties.CallsPerMinute != 90 || v.Properties.Licence != "" || !v.UpsertMode || v.Revision != 3 {
		t.Errorf("%+v", v)
	}
	// A pause is nobody's file's to end, unless it says so.
	if _, err := c.ask(ctx, http.MethodPost, integrations+"/"+id+"/pause", nil, nil); err != nil {
		t.Fatal(err)
	}
	says(command(t, "", "apply", "-f", third, "--yes"), 0, "difference  none")
	says(command(t, "", "apply", "-f", write(`"enabled": true,`, "", mapsNewsletter), "--yes"), 0, "enabled: false -> true", "is active")

	// What is wrong is named, and changes nothing.
	before := view()
	command(t, "", "apply", "-f", write(`"id": "nobody",`, "", mapsNewsletter), "--yes").refuses(t, 1, `there is no integration "nobody"`)
	command(t, "", "apply", "-f", write("", "", strings.Replace(mapsNewsletter, `"Newsletter"`, `"Gazette"`, 1)), "--yes").refuses(t, 1, "mappings[0].id", "Gazette")
	command(t, "", "apply", "-f", write("", `, "concurency": 3`, mapsNewsletter), "--yes").refuses(t, 1, "concurency: there is no such field")
	command(t, "", "apply", "-f", first, "--organization", "globex", "--yes").refuses(t, 1, "--organization is \"globex\"")
	t.Setenv("CONSENTSYNC_TEST_KEY", "a-key-that-is-wrong-for-sure")
	command(t, "", "apply", "-f", write("", `, "calls_per_minute": 31`, mapsNewsletter), "--yes").refuses(t, 1, "authentication.private_api_key")
	if after := view(); after.Revision != before.Revision {
		t.Errorf("from revision %d to %d", before.Revision, after.Revision)
	}
	// A second integration on the table has to be named.
	t.Setenv("CONSENTSYNC_TEST_KEY", simulator.SampleKey)
	settings := fmt.Sprintf(applied, "", far, simulator.SampleEntity, simulator.SampleTable().Name, "", strings.Replace(mapsPromotions, "Promotions", "SmsAlerts", 1))
	body, err := expandSecrets([]byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ask(ctx, http.MethodPost, integrations+"?organization_id=acme", rawJSON(body), nil); err != nil {
		t.Fatal(err)
	}
	command(t, "", "apply", "-f", first, "--yes").refuses(t, 1, "several integrations", id)
}

// rawJSON is written as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// Only a yes is a yes.
func TestApplyAsks(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, " Yes \n": true, "n\n": false, "\n": false, "": false, "yeah\n": false, "y": true} {
		var out strings.Builder
		if got := agreed(streams{strings.NewReader(answer), &out, nil}); got != want || !strings.Contains(out.String(), "[y/N]") {
			t.Errorf("%q counts as %v", answer, got)
		}
	}
}

// Variables stand in the authentication alone.
func TestVariablesOfAFile(t *testing.T) {
	t.Setenv("CONSENTSYNC_TEST_KEY", `se"cret`)
	got, err := expandSecrets([]byte(`{"authentication": {"private_api_key": "a-${CONSENTSYNC_TEST_KEY}-b"}, "properties": {"licence": "${CONSENTSYNC_TEST_KEY}"}}`))
	if want := `{"authentication":{"private_api_key":"a-se\"cret-b"},"properties":{"licence": "${CONSENTSYNC_TEST_KEY}"}}`; err != nil || strings.ReplaceAll(string(got), " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%s, %v", got, err)
	}
}

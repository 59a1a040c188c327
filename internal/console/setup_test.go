package console

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// What a form makes of an integration is that integration.
func TestSetupValuesAndBack(t *testing.T) {
	t.Parallel()
	const full = `{"type_id": "actito", "upsert_mode": true, "enable_webhooks": true, "enable_emailing": true,
		"properties": {"base_url": "https://api1.actito.com", "entity_id": "e", "table_name": "t", "user_unique_key": "k", "regulations": ["gdpr", "ccpa"],
			"attributes": ["age", {"id": "a", "value": "user_country"}], "calls_per_minute": 80, "reserved_calls_per_minute": 7, "concurrency": 3, "licence": "l",
			"dialect": "v4", "profiles_path": "/v4", "etl_id": "77", "etl_updates_only": true, "bulk_after_seconds": 5, "bulk_withdrawals_after_seconds": 6,
			"reconcile_reads_per_hour": 8, "reconcile_policy": "all"},
		"mappings": [{"id": "N", "value": "p"}, {"id": "O", "value": "q"}]}`
	const plain = `{"type_id": "actito", "properties": {"base_url": "https://api.actito.com", "entity_id": "e", "table_name": "t", "user_unique_key": "k",
		"regulations": ["gdpr"], "calls_per_minute": 90, "concurrency": 4}, "mappings": [{"id": "N", "value": "p"}]}`
	const none = `{"type_id": "actito", "properties": {"base_url": "https://api.actito.com", "entity_id": "e", "table_name": "t", "user_unique_key": "k",
		"regulations": ["gdpr"], "attributes": [], "calls_per_minute": 90, "concurrency": 4}, "mappings": []}`
	for _, text := range []string{full, plain, none} {
		var want, got store.Settings
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		body, _ := bodyOf(valuesOf(&integration.View{Settings: want, Enabled: true}))
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		was, _ := json.Marshal(want)
		is, _ := json.Marshal(got)
		if diff := gocmp.Diff(string(was), string(is)); diff != "" {
			t.Error(diff)
		}
		var enabled struct{ Enabled bool }
		if err := json.Unmarshal(body, &enabled); err != nil || !enabled.Enabled {
			t.Errorf("it is not enabled: %v", err)
		}
	}
}

// The dialect is a choice of two, in sight where it is not the usual one.
func TestSetupShowsTheDialect(t *testing.T) {
	t.Parallel()
	c := &Console{}
	pages, err := c.parse()
	if err != nil {
		t.Fatal(err)
	}
	for dialect, want := range map[store.Dialect][]string{
		store.DialectV5: {`<details><summary>Version of Actito`, `<option value="v5" selected>`, `<option value="v4">`},
		store.DialectV4: {`<details open><summary>Version of Actito`, `<option value="v5">`, `<option value="v4" selected>`},
	} {
		v := &integration.View{}
		v.Properties.Dialect = dialect
		d := &setupData{visit: &visit{}, Form: &Form{Values: valuesOf(v), Errors: map[string]string{}}, Setup: &integration.Setup{}}
		var page strings.Builder
		if err := pages["setup-options"].part(&page, "content", shown{visit: d.visit, Data: d}); err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(page.String(), part) {
				t.Errorf("in %q the page has no %s", dialect, part)
			}
		}
	}
}

// What the API refuses stands beside the line that it is about, also where lines
// before it are empty.
func TestSetupFieldsOfErrors(t *testing.T) {
	t.Parallel()
	_, fields := bodyOf(url.Values{
		mappingID: {"A", "B", "C"}, mappingValue: {"", " p ", "q"}, metadataField: {"some"},
		attributeID: {"", "x"}, attributeValue: {"user_metadata_y", "user_metadata_x"}, "properties.regulations": {"gdpr, gdpr"},
	})
	for api, form := range map[string]string{
		"mappings[0].value": "mapping.1", "mappings[1].id": "mapping.2", "properties.attributes[0].value": "attribute.1",
		"properties.regulations[1]": "properties.regulations",
	} {
		if fields[api] != form {
			t.Errorf("%s stands beside %q, want %q", api, fields[api], form)
		}
	}
	if step := firstStep(map[string]string{"mapping.1": "", "properties.entity_id": "", "upsert_mode": ""}, "simulation"); step != "settings" {
		t.Errorf("the step is %q", step)
	}
}

func TestTypeChecks(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		attribute consent.Attribute
		kinds     map[string]int64
		want      string
	}{
		"fits":                   {consent.Attribute{Kind: consent.String}, map[string]int64{"text": 9, "number": 1, "boolean": 1}, ""},
		"a list":                 {consent.Attribute{Kind: consent.String}, map[string]int64{"list": 2}, "2 people: a list is a list"},
		"several":                {consent.Attribute{Kind: consent.String, Multi: true}, map[string]int64{"list": 2}, ""},
		"a number":               {consent.Attribute{Kind: consent.Date}, map[string]int64{"number": 1}, "1 person: a number is not a date"},
		"what may be a number":   {consent.Attribute{Kind: consent.Integer}, map[string]int64{"text": 3}, "reads as an integer"},
		"an object":              {consent.Attribute{Kind: consent.String}, map[string]int64{"object": 1}, "is not a single value"},
		"what Actito writes":     {consent.Attribute{Kind: consent.String, Generated: true}, map[string]int64{"text": 1}, "Actito itself"},
		"true as a whole number": {consent.Attribute{Kind: consent.Integer}, map[string]int64{"boolean": 1}, "not a whole number"},
	} {
		got := strings.Join(unfit(x.attribute, x.kinds), " ")
		if x.want == "" && got != "" || !strings.Contains(got, x.want) {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}

// A line that the table does not have any more is kept and shown, and a table
// that shows no subscriptions has lines to type them.
func TestMappingLines(t *testing.T) {
	t.Parallel()
	f := newForm()
	f.Values = url.Values{mappingID: {"Gone", "News"}, mappingValue: {"p", "q"}}
	f.Errors["mapping.1"] = "is wrong"
	x := &integration.Setup{SetupContent: integration.SetupContent{Account: &integration.AccountView{Table: &integration.AccountTable{Subscriptions: []string{"News", "Offers"}}}}}
	m := mappingOf(f, x)
	want := []mappingLine{
		{ID: "field-mapping.1", Name: "News", Path: "q", Error: "Is wrong."},
		{ID: "field-mapping.3", Name: "Offers"},
		{ID: "field-mapping.0", Name: "Gone", Path: "p", Typed: true, Missing: true},
	}
	if diff := gocmp.Diff(want, m.Lines); diff != "" {
		t.Error(diff)
	}
	x.Account.Table.Subscriptions = nil
	if lines := mappingOf(f, x).Lines; len(lines) != 2+blankLines || !lines[0].Typed || lines[0].Missing {
		t.Errorf("the lines are %+v", lines)
	}
}

package actito

import (
	"encoding/json"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

func TestEntities(t *testing.T) {
	t.Parallel()
	want := []Entity{{ID: "1", Name: "acme"}}
	for _, body := range []string{
		`{"entities": [{"id": 1, "name": "acme", "comment": null}]}`,
		`[{"id":"1","name":"acme"}]`,
		`{"aaa":[{"id":9,"name":"no"}],"Entities":[{"ID":1,"Name":"acme"}]}`,
		`{"_embedded":{"entities":[{"id":1,"name":"acme"}]}}`,
		"\ufeff" + `{"items":[{"id":1,"name":"acme"}],"page":{"number":0}}`,
	} {
		f, c := newFake(t, nil, always(200, body))
		got, err := c.Entities(t.Context())
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		wantEqual(t, got, want)
		wantEqual(t, f.Seen(), []string{"GET /entities/v5/entities"})
	}
	for body, ok := range map[string]bool{
		`[]`: true, `{"entities":[]}`: true, `{"entities":[],"_links":{"self":[{"name":"x"}]}}`: true,
		`{}`: false, `{"error":[]}`: false, `x`: false, `null`: false, `{"entities":[{"id":1}]}`: false,
	} {
		_, c := newFake(t, nil, always(200, body))
		got, err := c.Entities(t.Context())
		if len(got) != 0 || (err == nil) != ok || err != nil && consent.KindOf(err) != consent.Transient {
			t.Errorf("%s: got %v, %v", body, got, err)
		}
	}
}

const tablesPath = "/profile-table-structure/v5/entities/acme/profile-tables"

func TestTable(t *testing.T) {
	t.Parallel()
	const full = `{"id":"16","name":"Profiles","attributes":[{"name":"emailAddress"}],"subscriptions":["News"]}`
	for _, list := range []string{
		`[{"id":16,"name":"Profiles"},{"id":17,"name":"16"}]`,
		`{"profileTables":[{"id":"16","name":"Profiles"},{"id":"17","name":"16"}]}`,
		`{"profileTables":[` + full + `,{"id":"17","name":"16","attributes":[]}]}`,
	} {
		for name, id := range map[string]string{"Profiles": "16", "16": "17", "17": "17"} {
			f, c := newFake(t, nil, steps(200, list, 200, strings.Replace(full, `"16"`, `"`+id+`"`, 1)))
			got, err := c.Table(t.Context(), "acme", name)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, got, Table{
				ID: id, Name: "Profiles",
				Attributes: []Attribute{{Name: "emailAddress"}}, Subscriptions: []string{"News"},
			})
			wantEqual(t, f.Seen(), []string{"GET " + tablesPath, "GET " + tablesPath + "/" + id})
		}
	}
}

func TestTableNotFoundNamesTheTables(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		`[{"id":1,"name":"Profiles"},{"id":2,"name":"B2B"}]`: `entity "acme" has no profile table "profiles"; it has "Profiles", "B2B"`,
		`[]`: `entity "acme" has no profile table "profiles"; it has none that this API key may see`,
		`[` + strings.Repeat(`{"id":1,"name":"x"},`, 20) + `{"id":2,"name":"y"}]`: `"x" and 1 more`,
	} {
		_, c := newFake(t, nil, always(200, list))
		_, err := c.Table(t.Context(), "acme", "profiles")
		wantKind(t, err, consent.NotFound)
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want ...%s", err, want)
		}
	}
}

// The documented part of a structure, with the subscriptions added where the
// documentation breaks off.
const structure = `{
  "id": "16", "name": "Profiles",
  "attributes": [
    {"type": "CUSTOM", "name": "profileId", "unique": true, "mandatory": true, "valueType": "INTEGER", "multiValued": false},
    {"type": "EMAIL_ADDRESS", "name": "emailAddress", "unique": true, "mandatory": true},
    {"type": "CUSTOM", "name": "shop", "unique": false, "mandatory": false, "valueRestriction": {"maxLength": 255, "minLength": 2}, "valueType": "STRING", "multiValued": true}
  ],
  "displayOptions": {"forAttributes": [{"name": "emailAddress", "description": "e-Mail address"}]}
}`

func TestStructure(t *testing.T) {
	t.Parallel()
	want := Table{ID: "16", Name: "Profiles", Attributes: []Attribute{
		{Name: "profileId", Type: "CUSTOM", ValueType: "INTEGER", Unique: true, Mandatory: true},
		{Name: "emailAddress", Type: "EMAIL_ADDRESS", Unique: true, Mandatory: true},
		{Name: "shop", Type: "CUSTOM", ValueType: "STRING", MultiValued: true, MinLength: 2, MaxLength: 255},
	}}
	for _, body := range []string{structure, `{"profileTable":` + structure + `}`} {
		_, c := newFake(t, nil, always(200, body))
		got, err := c.Structure(t.Context(), "acme", "16")
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, got, want)
	}
	_, c := newFake(t, nil, always(200, `{"attributes":[]}`))
	got, err := c.Structure(t.Context(), "acme", "16")
	if err != nil || got.ID != "16" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, body := range []string{`{}`, `[]`, `{"attributes":[1]}`, `{"attributes":[{}]}`} {
		_, c := newFake(t, nil, always(200, body))
		_, err := c.Structure(t.Context(), "acme", "16")
		wantKind(t, err, consent.Transient)
	}
}

func TestSubscriptionsOfAStructure(t *testing.T) {
	t.Parallel()
	for part, want := range map[string][]string{
		`"subscriptions":["b","a"]`:                                                    {"b", "a"},
		`"subscriptions":[{"name":"b","displayName":"x"},{"name":"a"}]`:                {"b", "a"},
		`"subscriptions":{"b":{"displayName":"x"},"a":{}}`:                             {"a", "b"},
		`"subscriptions":{"b":true,"a":"label"}`:                                       {"a", "b"},
		`"subscriptions":{"total":2,"items":[{"name":"b"},{"name":"a"}]}`:              {"b", "a"},
		`"subscriptions":{"email":["a"],"sms":["b"]}`:                                  {"a", "b"},
		`"Subscriptions":["a"]`:                                                        {"a"},
		`"emailSubscriptions":["a"],"subscriptions":["b"]`:                             {"b"},
		`"profileSubscriptions":[{"subscription":{"name":"a"}}]`:                       {"a"},
		`"subscriptions":[],"displayOptions":{"forSubscriptions":[{"name":"a"}]}`:      {"a"},
		`"subscriptionCount":2,"displayOptions":{"forSubscriptions":[{"name":"a"}]}`:   {"a"},
		`"displayOptions":{"forAttributes":[{"name":"x"}],"forSubscriptions":["a"]}`:   {"a"},
		`"displayOptions":{"deep":{"SUBSCRIPTIONS":["b"]}},"mySubscriptionList":["a"]`: {"a"},
		`"displayOptions":{"forAttributes":[{"name":"subscriptionDate"}]}`:             nil,
		`"subscriptions":null`:                                                         nil,
		`"subscriptions":[]`:                                                           nil,
	} {
		got, err := v5{}.parseStructure([]byte(`{"attributes":[{"name":"subscriptionDate"}],` + part + `}`))
		if err != nil {
			t.Errorf("%s: %v", part, err)
		}
		wantEqual(t, got.Subscriptions, want)
	}
}

func TestProfileShapes(t *testing.T) {
	t.Parallel()
	want := Profile{
		ProfileID:     "7",
		Subscriptions: map[string]bool{"On": true, "Off": false},
		Attributes:    map[string]any{"profileId": int64(7), "name": "x"},
	}
	const attributes = `"attributes":{"profileId":7,"name":"x"}`
	for _, body := range []string{
		`{` + attributes + `,"subscriptions":{"On":true,"Off":false}}`,
		`{` + attributes + `,"subscriptions":{"On":"true","Off":"false"}}`,
		`{` + attributes + `,"subscriptions":{"On":1,"Off":0}}`,
		`{` + attributes + `,"subscriptions":{"On":"1","Off":"0"}}`,
		`{` + attributes + `,"subscriptions":{"On":"Y","Off":"n","Unknown":null}}`,
		`{` + attributes + `,"subscriptions":{"On":{"subscribed":true},"Off":{"value":false}}}`,
		`{` + attributes + `,"subscriptions":[{"name":"On","subscribe":true},{"name":"Off","subscribe":false}]}`,
		`{` + attributes + `,"subscriptions":[{"name":"On","subscribed":"true"},{"name":"Off","value":0}]}`,
		`{` + attributes + `,"subscriptions":[{"name":"On","moment":"2026"},{"name":"Off","value":0}]}`,
		`{` + attributes + `,"subscriptions":["On",{"name":"Off","value":0}]}`,
		`{"Attributes":[{"name":"profileId","value":7},{"name":"name","value":"x"}],"Subscriptions":{"On":true,"Off":false}}`,
		`{"profile":{` + attributes + `,"subscriptions":{"On":true,"Off":false}}}`,
	} {
		got, err := parseProfile([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		wantEqual(t, got, want)
	}
}

func TestProfileDetails(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Profile{
		// The older API's answer: values are strings, empty lists say "none".
		`{"attributes":[{"name":"profileId","value":"7"}],"subscriptions":[],"segmentations":[]}`: {
			"7", map[string]bool{}, map[string]any{"profileId": "7"},
		},
		`{"attributes":{}}`:                             {"", nil, map[string]any{}},
		`{"attributes":{},"subscriptions":null}`:        {"", nil, map[string]any{}},
		`{"subscriptions":["A"],"profileId":9}`:         {"9", map[string]bool{"A": true}, map[string]any{}},
		`{"profile":{"attributes":{}},"profileId":"9"}`: {"9", nil, map[string]any{}},
		`{"attributes":[{"name":"a","values":[1,"b"]},{"name":"c"}]}`: {
			"", nil, map[string]any{"a": []any{int64(1), "b"}, "c": nil},
		},
		`{"attributes":{"i":-3,"f":1.5,"e":1e3,"big":12345678901234567890,"huge":1e999,"n":null,"b":true,"o":{"x":2}}}`: {
			"", nil, map[string]any{
				"i": int64(-3), "f": 1.5, "e": 1000.0, "big": json.Number("12345678901234567890"),
				"huge": json.Number("1e999"), "n": nil, "b": true, "o": map[string]any{"x": int64(2)},
			},
		},
	} {
		got, err := parseProfile([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		wantEqual(t, got, want)
	}
}

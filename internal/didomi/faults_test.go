package didomi

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"consentsync/internal/consent"
)

// refused gives the error of a payload that must be refused.
func refused(t *testing.T, body string) *consent.Error {
	t.Helper()
	m, err := Decode([]byte(body), organization)
	var e *consent.Error
	if !errors.As(err, &e) || m != nil {
		t.Fatalf("decoded to %v, %v; want a consent.Error", m, err)
	}
	if e.Kind != consent.Invalid || e.Message == "" {
		t.Errorf("error %#v; want it Invalid, with a message", e)
	}
	return e
}

// TestFaultsOfTypes holds every field to its type, and the path to what was sent.
func TestFaultsOfTypes(t *testing.T) {
	t.Parallel()
	const (
		isText   = "must be a text of at most 1024 bytes without a NUL"
		isObject = "must be an object"
		isList   = "must be a list"
		isFlag   = "must be true, false or null"
		isChosen = "must be a text of ids with commas between, or a list of ids, of at most 1024 bytes each without a NUL"
		hasID    = "must name the entry"
		twice    = "is given twice"
	)
	event := func(entity string) string {
		return `{"type":"event.created","parameters":{"entity":` + entity + `}}`
	}
	consents := func(tree string) string { return event(`{"consents":` + tree + `}`) }
	purpose := func(fields string) string { return consents(`{"purposes":[{"id":"p"},{"id":"q",` + fields + `}]}`) }
	user := func(entity string) string {
		return `{"type":"user.updated","parameters":{"new_entity":` + entity + `}}`
	}
	flat := func(field string) string { return `{"type":"event.created","entity":{` + field + `}}` }
	long := `"` + strings.Repeat("x", maxID+1) + `"`

	tests := []struct{ body, path, must string }{
		{`{"type":5}`, "type", "must be one of event.created, event.updated, event.deleted, user.created, user.updated, user.deleted"},
		{`{"type":"dsar.created"}`, "type", "must be one of event.created, event.updated, event.deleted, user.created, user.updated, user.deleted"},
		{`{}`, "type", "must be one of event.created, event.updated, event.deleted, user.created, user.updated, user.deleted"},
		{`{"type":"event.created","regulation":1,"parameters":{"entity":{}}}`, "regulation", isText},
		{`{"type":"event.created","parameters":[]}`, "parameters", isObject},
		{`{"type":"event.created"}`, "parameters.entity", "must hold what the webhook is about"},
		{`{"type":"user.deleted","parameters":{"entity":null}}`, "parameters.entity", "must hold what the webhook is about"},
		{`{"type":"event.updated","parameters":{}}`, "parameters.new_entity", "must hold what the webhook is about"},
		{`{"type":"user.updated","parameters":{"old_entity":{}}}`, "parameters.new_entity", "must hold what the webhook is about"},
		{event(`"x"`), "parameters.entity", isObject},
		{event(`[]`), "parameters.entity", isObject},

		{event(`{"id":1}`), "parameters.entity.id", isText},
		{event(`{"id":` + long + `}`), "parameters.entity.id", isText},
		{event(`{"id":"a\u0000"}`), "parameters.entity.id", isText},
		{event(`{"organization_id":1}`), "parameters.entity.organization_id", isText},
		{event(`{"organization_id":"other"}`), "parameters.entity.organization_id", "names another organization than the address"},
		{event(`{"status":true}`), "parameters.entity.status", isText},
		{event(`{"regulation":{}}`), "parameters.entity.regulation", isText},
		{event(`{"created_at":1715000000}`), "parameters.entity.created_at", timeMust},
		{event(`{"created_at":"yesterday"}`), "parameters.entity.created_at", timeMust},
		{event(`{"updated_at":""}`), "parameters.entity.updated_at", timeMust},
		{event(`{"user":[]}`), "parameters.entity.user", isObject},
		{event(`{"user":{"id":7}}`), "parameters.entity.user.id", isText},
		{event(`{"user":{"organization_user_id":7}}`), "parameters.entity.user.organization_user_id", isText},
		{event(`{"user":{"metadata":[]}}`), "parameters.entity.user.metadata", isObject},
		{event(`{"user":{"country":["BE"]}}`), "parameters.entity.user.country", isText},

		{consents(`"all"`), "parameters.entity.consents", isObject},
		{consents(`{"channels":{}}`), "parameters.entity.consents.channels", isList},
		{consents(`{"channels":["email"]}`), "parameters.entity.consents.channels[0]", isObject},
		{consents(`{"channels":[{"enabled":true}]}`), "parameters.entity.consents.channels[0].id", hasID},
		{consents(`{"channels":[{"id":"e","enabled":1}]}`), "parameters.entity.consents.channels[0].enabled", isFlag},
		{consents(`{"purposes":{"p":{"enabled":true}}}`), "parameters.entity.consents.purposes", isList},
		{consents(`{"purposes":[{"id":""}]}`), "parameters.entity.consents.purposes[0].id", hasID},
		{consents(`{"purposes":[null,{"id":null}]}`), "parameters.entity.consents.purposes[1].id", hasID},
		{purpose(`"enabled":"yes"`), "parameters.entity.consents.purposes[1].enabled", isFlag},
		{purpose(`"enabled":{}`), "parameters.entity.consents.purposes[1].enabled", isFlag},
		{purpose(`"channels":[{"id":3}]`), "parameters.entity.consents.purposes[1].channels[0].id", isText},
		{purpose(`"preferences":true`), "parameters.entity.consents.purposes[1].preferences", isList},
		{purpose(`"preferences":[{}]`), "parameters.entity.consents.purposes[1].preferences[0].id", hasID},
		{purpose(`"preferences":[{"id":"r","channels":[0]}]`), "parameters.entity.consents.purposes[1].preferences[0].channels[0]", isObject},
		{purpose(`"values":[]`), "parameters.entity.consents.purposes[1].values", isObject},
		{purpose(`"values":{"r":"v"}`), "parameters.entity.consents.purposes[1].values.r", isObject},
		{purpose(`"values":{"":{"value":"v"}}`), "parameters.entity.consents.purposes[1].values.", "must have a name of 1 to 1024 bytes without a NUL"},
		{purpose(`"values":{"r":{"value":1}}`), "parameters.entity.consents.purposes[1].values.r.value", isChosen},
		{purpose(`"values":{"r":{"value":["a",1]}}`), "parameters.entity.consents.purposes[1].values.r.value", isChosen},
		{purpose(`"values":{"r":{"value":` + long + `}}`), "parameters.entity.consents.purposes[1].values.r.value", isChosen},

		{user(`{"id":{}}`), "parameters.new_entity.id", isText},
		{user(`{"organization_user_id":false}`), "parameters.new_entity.organization_user_id", isText},
		{user(`{"metadata":"x"}`), "parameters.new_entity.metadata", isObject},
		{user(`{"updated_at":1}`), "parameters.new_entity.updated_at", timeMust},
		{user(`{"organization_id":"other"}`), "parameters.new_entity.organization_id", "names another organization than the address"},
		{user(`{},"source":{"created_at":false}`), "parameters.source.created_at", timeMust},
		{user(`{},"source":{"organization_id":"other"}`), "parameters.source.organization_id", "names another organization than the address"},

		{flat(`"user__id":1`), "entity.user__id", isText},
		{flat(`"user__id__x":"1"`), "entity.user__id__x", isText},
		{flat(`"user__metadata":1`), "entity.user__metadata", isObject},
		{flat(`"user":{},"user__id":"1"`), "entity.user", twice},
		{flat(`"consents__purposes":{}`), "entity.consents__purposes", isList},
		{flat(`"consents__purposes":[{"enabled":true}]`), "entity.consents__purposes[0].id", hasID},
		{flat(`"consents__purposes__0__enabled":true`), "entity.consents__purposes__0__id", hasID},
		{flat(`"consents__purposes__0__id":"p","consents__purposes__0__enabled":"yes"`), "entity.consents__purposes__0__enabled", isFlag},
		{flat(`"consents__purposes__p":true`), "entity.consents__purposes__p", isObject},
		{flat(`"consents__purposes__p__enabled__x":true`), "", ""},
		{flat(`"consents__purposes__p__values__q__value__0":1`), "entity.consents__purposes__p__values__q__value", isChosen},
		{`{"type":"event.created","parameters__entity__consents__channels__email__enabled":"no"}`, "parameters__entity__consents__channels__email__enabled", isFlag},
		{`{"type":"event.created","entity__user__organization_user_id":3}`, "entity__user__organization_user_id", isText},
		{`{"type":"event.created","parameters":{"entity__id":3}}`, "parameters.entity__id", isText},
		{`{"type":"event.deleted","entity":{"id":"a"},"entity__user__id":"b"}`, "entity", twice},
	}
	for i, tt := range tests {
		t.Run(fmt.Sprint(i, " ", tt.path), func(t *testing.T) {
			t.Parallel()
			if tt.path == "" { // no fault: the name leads to nothing documented
				if _, err := Decode([]byte(tt.body), organization); err != nil {
					t.Error(err)
				}
				return
			}
			err := refused(t, tt.body)
			if want := map[string]string{tt.path: tt.must}; !maps.Equal(err.Fields, want) {
				t.Errorf("fields %q, want %q", err.Fields, want)
			}
		})
	}
}

func TestFaultsOfPayloads(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"empty", ``, "not JSON"},
		{"cut off", `{"type":"event.created"`, "not JSON"},
		{"not JSON", `{"type":event.created}`, "not JSON: fault at byte 9"},
		{"more than one", `{} {}`, "not JSON: fault at byte 4"},
		{"not UTF-8", "{\"type\":\"\xff\"}", "not UTF-8"},
		{"a list", `[]`, "must be an object"},
		{"null", `null`, "must be an object"},
		{"too deep", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "not JSON"},
		{"too many values", `[` + strings.Repeat("0,", maxValues) + `0]`, "more than 200000 values"},
		{"too many values within", `{"a":[[{"b":"c","d":[` + strings.Repeat("{},", maxValues) + `[]]}],"e"]}`, "more than 200000 values"},
		{"a name twice", `{"type":"event.created","type":"event.deleted"}`, "type is given twice"},
		{"a name twice, spelled differently", `{"a":[0,{"b":1,"\u0062":2}]}`, "a[1].b is given twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := refused(t, tt.body); !strings.Contains(err.Message, tt.want) {
				t.Errorf("message %q, want %q in it", err.Message, tt.want)
			}
		})
	}
}

func TestFaultsAreAllTold(t *testing.T) {
	t.Parallel()
	err := refused(t, `{"type":"event.created","parameters":{"entity":{"id":1,"created_at":"x","user":[]}}}`)
	want := map[string]string{
		"parameters.entity.id":         "must be a text of at most 1024 bytes without a NUL",
		"parameters.entity.created_at": timeMust,
		"parameters.entity.user":       "must be an object",
	}
	if !maps.Equal(err.Fields, want) {
		t.Errorf("fields %q, want %q", err.Fields, want)
	}
	if want := "parameters.entity.created_at " + timeMust + ", and 2 more"; err.Message != want {
		t.Errorf("message %q, want %q", err.Message, want)
	}

	err = refused(t, `{"type":"event.created","parameters":{"entity":{"consents":{"channels":[`+strings.Repeat("1,", 999)+`1]}}}}`)
	if len(err.Fields) != maxFaults {
		t.Errorf("%d fields are told, want %d", len(err.Fields), maxFaults)
	}
}

// TestFaultsKeepSecrets shows that no value gets into an error, and that a
// long name does not blow it up.
func TestFaultsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "ann@example.com"
	for _, body := range []string{
		`{"type":"` + secret + `"}`,
		`{"type":"event.created","parameters":{"entity":{"organization_id":"` + secret + `"}}}`,
		`{"type":"event.created","parameters":{"entity":{"created_at":"` + secret + `"}}}`,
		`{"type":"event.created","parameters":{"entity":{"user":"` + secret + `"}}}`,
		`{"type":"event.created","parameters":{"entity":{"consents":{"purposes":["` + secret + `"]}}}}`,
		`{"type":"event.created",` + secret + `}`,
		`{"type":"event.created","x":"` + secret + `","x":"` + secret + `"}`,
	} {
		err := refused(t, body)
		if text := fmt.Sprint(err, err.Fields); strings.Contains(text, "ann") {
			t.Errorf("the error of %s tells a value: %s", body, text)
		}
	}
	long := strings.Repeat("é", 5000)
	err := refused(t, `{"`+long+`":1,"`+long+`":2}`)
	if len(err.Message) > 400 {
		t.Errorf("message of %d bytes", len(err.Message))
	}
}

func TestLimitOfChoices(t *testing.T) {
	t.Parallel()
	channels := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `{"id":"c%d","enabled":true},`, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	tests := []struct{ name, format, path string }{
		{"channels", `{"type":"event.created","parameters":{"entity":{"consents":{"channels":[%s%s]}}}}`, "parameters.entity.consents"},
		{"flat", `{"type":"event.created","entity__consents__channels":[%s%s]}`, "entity__consents"},
		{"in the cause", `{"type":"user.updated","parameters":{"new_entity":{"consents":{"channels":[%s]}},"source":{"consents":{"channels":[{"id":"a"}%s]}}}}`, "parameters.new_entity.consents"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode(fmt.Appendf(nil, tt.format, channels(maxChoices), ""), organization); err != nil {
				t.Fatal(err)
			}
			err := refused(t, fmt.Sprintf(tt.format, channels(maxChoices), `,{"id":"one more","enabled":false}`))
			if want := map[string]string{tt.path: "must hold at most 10000 choices"}; !maps.Equal(err.Fields, want) {
				t.Errorf("fields %q, want %q", err.Fields, want)
			}
		})
	}
	err := refused(t, `{"type":"event.created","parameters":{"entity":{"consents":{"purposes":[{"id":"p","values":{"v":{"value":"`+
		strings.Repeat("a,", maxChoices)+`"}}}]}}}}`)
	if err.Fields["parameters.entity.consents"] == "" {
		t.Errorf("fields %q", err.Fields)
	}
}

// TestHostilePayloads shows that payloads made to be expensive come to an end:
// each of these takes so long that the test run is stopped where something is
// done for all pairs of its parts.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	const n = 100_000
	many := func(format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	deep := strings.Repeat(`{"consents__purposes":[`, 4000) + strings.Repeat(`]}`, 4000)
	for name, entity := range map[string]string{
		"faults":          `{"consents":{"channels":[` + many(`%d,`) + `]}}`,
		"entries no id":   `{"consents":{"channels":[` + many(`{"enabled":%d},`) + `]}}`,
		"names":           `{` + many(`"n%d":0,`) + `}`,
		"flat names":      `{` + many(`"consents__purposes__%d__enabled":0,`) + `}`,
		"flat ids":        `{` + many(`"consents__purposes__x%d__values__a__value":0,`) + `}`,
		"flat metadata":   `{` + many(`"user__metadata__%d":0,`) + `}`,
		"separators":      `{"consents__purposes__` + strings.Repeat("a__", n) + `enabled":0}`,
		"bare separators": `{"consents__purposes` + strings.Repeat("__", n) + `":0}`,
		"escapes":         `{"id":"` + strings.Repeat(`\u0061`, n) + `"}`,
		"depth":           deep,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode([]byte(`{"type":"event.created","parameters":{"entity":`+entity+`}}`), organization)
			if err != nil && consent.KindOf(err) != consent.Invalid {
				t.Errorf("it is refused with %v", err)
			}
		})
	}
}

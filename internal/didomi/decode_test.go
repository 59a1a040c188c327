package didomi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"consentsync/internal/consent"
)

const organization = "acme"

// The samples are made up by us after the documented shapes: Didomi publishes
// no whole payload.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func samples(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	bodies := make([][]byte, 0, len(files))
	for _, file := range files {
		bodies = append(bodies, sample(t, file[len("testdata/"):len(file)-len(".json")]))
	}
	return bodies
}

func at(s string) consent.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return consent.TimeOf(t)
}

func said(enabled bool, kind consent.ChoiceKind, ids ...string) consent.Said {
	c := consent.Choice{Kind: kind}
	switch kind {
	case consent.OfChannel:
		c.Channel = ids[0]
	case consent.OfPurpose:
		c.Purpose = ids[0]
	case consent.OfPurposePreference:
		c.Purpose, c.Preference = ids[0], ids[1]
	case consent.OfPurposeChannel:
		c.Purpose, c.Channel = ids[0], ids[1]
	case consent.OfPreferenceChannel:
		c.Purpose, c.Preference, c.Channel = ids[0], ids[1], ids[2]
	}
	return consent.Said{Choice: c, Enabled: enabled}
}

func full() *consent.Message {
	return &consent.Message{
		Type:               consent.EventCreated,
		EntityID:           "ev-1",
		DidomiUserID:       "du-1",
		OrganizationUserID: "ann@example.com",
		Regulation:         "gdpr",
		CreatedAt:          at("2024-05-06T07:08:09.123456Z"),
		UpdatedAt:          at("2024-05-06T07:08:10Z"),
		Choices: []consent.Said{
			said(true, consent.OfChannel, "email"),
			said(false, consent.OfChannel, "sms"),
			said(true, consent.OfPurpose, "newsletter"),
			said(false, consent.OfPurpose, "profiling"),
		},
		Selections: []consent.Selection{
			{Purpose: "newsletter", Preference: "frequency", Values: []string{}},
			{Purpose: "newsletter", Preference: "topics", Values: []string{"news", "sport", "art"}},
		},
		Metadata: map[string]json.RawMessage{
			"language": json.RawMessage(`"fr"`),
			"points":   json.RawMessage(`1.50`),
			"nested":   json.RawMessage(`{"a":[true,null],"b":1}`),
			"gone":     json.RawMessage(`null`),
		},
		Country: json.RawMessage(`"BE"`),
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want *consent.Message
	}{
		{"event-created", full()},
		{"flat-index", full()},
		{"event-created-v1", &consent.Message{
			Type: consent.EventCreated, EntityID: "ev-2", OrganizationUserID: "c-2", Regulation: "gdpr",
			CreatedAt: at("2020-06-03T21:28:55Z"),
			Choices: []consent.Said{
				said(true, consent.OfPurposePreference, "marketing", "offers"),
				said(false, consent.OfPreferenceChannel, "marketing", "offers", "email"),
				said(true, consent.OfPreferenceChannel, "marketing", "offers", "sms"),
				said(false, consent.OfPurposeChannel, "marketing", "phone"),
			},
		}},
		{"event-created-bare", &consent.Message{
			Type: consent.EventCreated, OrganizationUserID: "c-3", Regulation: "gdpr", Country: json.RawMessage("null"),
		}},
		{"event-created-other-regulation", &consent.Message{
			Type: consent.EventCreated, EntityID: "ev-4", OrganizationUserID: "c-4",
			Regulation: "cpra", RegulationsDiffer: true, CreatedAt: at("2024-05-06T07:08:09Z"),
			Choices: []consent.Said{said(true, consent.OfPurpose, "p"), said(false, consent.OfPurpose, "p")},
		}},
		{"event-updated-pending", &consent.Message{
			Type: consent.EventUpdated, EntityID: "ev-5", DidomiUserID: "du-5", Regulation: "gdpr", Pending: true,
			CreatedAt: at("2024-05-06T07:08:09Z"), UpdatedAt: at("2024-05-07T00:00:00Z"),
			Choices:    []consent.Said{said(true, consent.OfPurpose, "p")},
			Selections: []consent.Selection{{Purpose: "p", Preference: "topics", Values: []string{"news", "sport"}}},
		}},
		{"event-deleted", &consent.Message{
			Type: consent.EventDeleted, EntityID: "ev-6", Regulation: "cpra", CreatedAt: at("2024-05-06T07:08:09Z"),
		}},
		{"user-created", &consent.Message{
			Type: consent.UserCreated, EntityID: "du-7", DidomiUserID: "du-7", OrganizationUserID: "c-7", Regulation: "gdpr",
			CreatedAt: at("2024-05-06T07:08:09Z"), UpdatedAt: at("2024-05-06T07:08:10Z"),
			Metadata: map[string]json.RawMessage{"language": json.RawMessage(`"nl"`)}, Country: json.RawMessage(`"NL"`),
		}},
		{"user-updated", &consent.Message{
			Type: consent.UserUpdated, EntityID: "du-8", DidomiUserID: "du-8", OrganizationUserID: "c-8", Regulation: "gdpr",
			CreatedAt: at("2024-05-01T00:00:00Z"), UpdatedAt: at("2024-05-06T07:08:10Z"), Country: json.RawMessage(`"FR"`),
			Choices: []consent.Said{said(false, consent.OfChannel, "email"), said(true, consent.OfPurpose, "newsletter")},
			Cause: &consent.Message{
				Type: consent.EventCreated, EntityID: "ev-8", DidomiUserID: "du-8", OrganizationUserID: "c-8", Regulation: "gdpr",
				CreatedAt: at("2024-05-06T07:08:09Z"),
				Choices:   []consent.Said{said(true, consent.OfPurpose, "newsletter")},
			},
		}},
		{"user-deleted", &consent.Message{
			Type: consent.UserDeleted, EntityID: "du-9", DidomiUserID: "du-9", Regulation: "gdpr", CreatedAt: at("2024-05-06T07:08:09Z"),
		}},
		{"flat-id", &consent.Message{
			Type: consent.UserUpdated, EntityID: "du-10", DidomiUserID: "du-10", OrganizationUserID: "c-10", Regulation: "gdpr",
			UpdatedAt: at("2024-05-06T07:08:10Z"),
			Metadata:  map[string]json.RawMessage{"a__b": json.RawMessage(`"kept"`)},
			Choices: []consent.Said{
				said(true, consent.OfChannel, "email"),
				said(true, consent.OfPurpose, "newsletter"),
				said(false, consent.OfPurpose, "shop__offers"),
				said(true, consent.OfPurposePreference, "shop__offers", "weekly"),
				said(false, consent.OfPreferenceChannel, "shop__offers", "weekly", "sms"),
				said(true, consent.OfPurposeChannel, "shop__offers", "post"),
			},
			Selections: []consent.Selection{
				{Purpose: "newsletter", Preference: "my__topics", Values: []string{"news"}},
				{Purpose: "newsletter", Preference: "tags", Values: []string{"x", "y"}},
			},
		}},
		{"flat-lists", &consent.Message{
			Type: consent.EventUpdated, EntityID: "ev-11", OrganizationUserID: "c-11", Regulation: "gdpr",
			UpdatedAt: at("2024-05-06T07:08:10Z"),
			Choices:   []consent.Said{said(true, consent.OfPurpose, "b"), said(false, consent.OfPurpose, "a")},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(sample(t, tt.name), organization)
			if err != nil {
				t.Fatal(err)
			}
			sameMessage(t, got, tt.want)
		})
	}
}

// TestDecodeLenient lists what is no fault, and what it means.
func TestDecodeLenient(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, entity string
		want         consent.Message
	}{
		{"no fields", `{}`, consent.Message{}},
		{"nulls", `{"id":null,"organization_id":null,"created_at":null,"updated_at":null,"status":null,"regulation":null,"user":null,"consents":null}`, consent.Message{}},
		{"nulls deeper", `{"user":{"id":null,"metadata":null},"consents":{"channels":null,"purposes":[null,{"id":"p","enabled":null,"values":null,"preferences":null,"channels":null}]}}`, consent.Message{}},
		{"nulls in values", `{"consents":{"purposes":[{"id":"p","values":{"a":null,"b":{"value":null},"c":{}}}]}}`, consent.Message{}},
		{"empty ids", `{"id":"","organization_id":"","regulation":"","user":{"id":"","organization_user_id":""}}`, consent.Message{}},
		{"unknown fields", `{"x":1,"user":{"y":[]},"consents":{"purposes":[{"id":"p","z":{}}]},"proofs_id":3}`, consent.Message{}},
		{"unknown status", `{"status":"on_hold"}`, consent.Message{Pending: true}},
		{"odd names", `{"my__field":1,"user__":2,"__":3,"":4,"consents__purposes____x":5}`, consent.Message{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(`{"type":"event.created","parameters":{"entity":`+tt.entity+`}}`), organization)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Type, tt.want.Regulation = consent.EventCreated, "gdpr"
			sameMessage(t, got, &tt.want)
		})
	}
}

// TestDecodeEntity shows where the entity may stand, and which one counts.
func TestDecodeEntity(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"created", `{"type":"event.created","parameters":{"entity":{"id":"a"},"new_entity":{"id":"b"}},"entity":{"id":"c"}}`, "a"},
		{"updated", `{"type":"event.updated","parameters":{"entity":{"id":"a"},"new_entity":{"id":"b"}},"entity":{"id":"c"}}`, "b"},
		{"updated, one entity", `{"type":"user.updated","parameters":{"entity":{"id":"a"}}}`, "a"},
		{"created, new_entity", `{"type":"user.created","parameters":{"new_entity":{"id":"b"}}}`, "b"},
		{"at the top", `{"type":"user.deleted","parameters":null,"entity":{"id":"c"}}`, "c"},
		{"null is none", `{"type":"user.deleted","parameters":{"entity":null},"entity":{"id":"c"}}`, "c"},
		{"flat at the top", `{"type":"event.deleted","entity__id":"d"}`, "d"},
		{"flat from the top", `{"type":"event.deleted","parameters__entity__id":"e"}`, "e"},
		{"flat in parameters", `{"type":"event.deleted","parameters":{"entity__id":"f"}}`, "f"},
		{"flat beside the old one", `{"type":"event.updated","parameters":{"old_entity":{"id":"x"},"source":null},"entity":{"id":"g","user__id":"u"}}`, "g"},
		{"flat, partly", `{"type":"event.created","parameters":{"entity":{"id":"h","user":{"metadata__a":1},"consents__purposes":[{"id":"p","values__q__value":"r"}]}}}`, "h"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(tt.body), organization)
			if err != nil {
				t.Fatal(err)
			}
			if got.EntityID != tt.want {
				t.Errorf("entity %q, want %q", got.EntityID, tt.want)
			}
		})
	}
}

func TestDecodeCause(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, entity, source string
		want                 string // "didomi user/organization's user/regulation"
	}{
		{"no user", `{"id":"d","organization_user_id":"o"}`, `{"id":"e"}`, "d/o/gdpr"},
		{"the same user", `{"id":"d","organization_user_id":"o"}`, `{"user":{"id":"d","organization_user_id":"o"}}`, "d/o/gdpr"},
		{"another device", `{"id":"d","organization_user_id":"o"}`, `{"user":{"id":"d2","organization_user_id":"o"}}`, "d2/o/gdpr"},
		{"another person", `{"id":"d","organization_user_id":"o"}`, `{"user":{"id":"d","organization_user_id":"o2"}}`, ""},
		{"another device of we do not know whom", `{"id":"d","organization_user_id":"o"}`, `{"user":{"id":"d2"}}`, ""},
		{"a person for nobody", `{"id":"d"}`, `{"user":{"organization_user_id":"o"}}`, ""},
		{"the user's regulation", `{"id":"d","regulation":"CPRA"}`, `{}`, "d//cpra"},
		{"its own regulation", `{"id":"d","regulation":"cpra"}`, `{"regulation":"gdpr"}`, "d//gdpr"},
		{"null", `{"id":"d"}`, `null`, ""},
		{"not an event", `{"id":"d"}`, `"console"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Decode([]byte(`{"type":"user.updated","parameters":{"source":`+tt.source+`,"new_entity":`+tt.entity+`}}`), organization)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if m.Cause != nil {
				got = m.Cause.DidomiUserID + "/" + m.Cause.OrganizationUserID + "/" + m.Cause.Regulation
				if m.Cause.RegulationsDiffer {
					t.Error("regulations differ")
				}
			}
			if got != tt.want {
				t.Errorf("cause %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMessageSharesNothing shows that a buffer can be used again.
func TestMessageSharesNothing(t *testing.T) {
	t.Parallel()
	body := sample(t, "event-created")
	got, err := Decode(body, organization)
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	sameMessage(t, got, full())
}

func sameMessage(t *testing.T, got, want *consent.Message) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, _ := json.MarshalIndent(got, "", " ")
	w, _ := json.MarshalIndent(want, "", " ")
	t.Errorf("got %s\nwant %s", g, w)
}

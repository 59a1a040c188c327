package mail

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/consent"
)

func TestWhatAnEventCauses(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		o    Occasion
		want []Type
	}{
		"nothing changed":      {Occasion{}, nil},
		"the first, unchanged": {Occasion{First: true}, nil},
		"a change":             {Occasion{Chose: true}, []Type{ConfirmConsentChanged}},
		"the first choice":     {Occasion{Chose: true, First: true}, []Type{ConsentsUserCreated, ConfirmConsentChanged}},
		"it waits":             {Occasion{Pending: true}, []Type{ValidationDoubleOptIn, ValidationApprovalFile, ValidationApprovalSignature}},
	} {
		if got := x.o.Causes(); !slices.Equal(got, x.want) {
			t.Errorf("%s causes %v, want %v", name, got, x.want)
		}
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for typ, known := range map[Type]bool{
		"confirm-consent-changed": true, "validation-double-optin": true, "request-verify": true, "custom-a_1": true,
		"": false, "request-": false, "request-Ä": false, "confirm": false, "validation-other": false,
	} {
		if typ.Known() != known {
			t.Errorf("%q is known: %v", typ, typ.Known())
		}
	}
}

// settings are right, until change makes them wrong.
func settings(change func(*Settings)) *Settings {
	s := &Settings{
		TypeID: "actito", EmailType: ConsentsUserCreated, Enabled: true,
		Properties: Properties{EmailCampaignName: "Welcome", Links: map[string]string{"privacy_center_url": "https://privacy.example.com/{organization_id}?u={organization_user_id}&e={event_id}"}},
	}
	if change != nil {
		change(s)
	}
	s.Complete()
	return s
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	if fields := settings(nil).Check(); len(fields) > 0 {
		t.Errorf("right ones are refused: %v", fields)
	}
	for field, change := range map[string]func(*Settings){
		"type_id":                        func(s *Settings) { s.TypeID = "didomi" },
		"email_type":                     func(s *Settings) { s.EmailType = "welcome" },
		"properties.email_campaign_name": func(s *Settings) { s.Properties.EmailCampaignName = "" },
		"properties.sms_campaign_name":   func(s *Settings) { s.Properties.SMSCampaignName = "Text" },
		"properties.path":                func(s *Settings) { s.Properties.EmailCampaignName, s.Properties.SMSCampaignName = "", "Text" },
		"properties.path ":               func(s *Settings) { s.Properties.Path = "/v4/{entity}" },
		"properties.path  ":              func(s *Settings) { s.Properties.Path = "//elsewhere/{campaign}" },
		"properties.recipient":           func(s *Settings) { s.EmailType = ValidationApprovalFile },
		"properties.max_age_seconds":     func(s *Settings) { s.Properties.MaxAgeSeconds = -1 },
		"properties.attributes[0].id":    func(s *Settings) { s.Properties.Attributes = []consent.Mapping{{Value: "user_country"}} },
		"properties.parameters[1].id": func(s *Settings) {
			s.Properties.Parameters = []consent.Mapping{{ID: "a", Value: "b"}, {ID: "a", Value: "c"}}
		},
		"properties.links.privacy_center_url":     func(s *Settings) { s.Properties.Links = nil },
		"properties.links.privacy_center_url ":    func(s *Settings) { s.Properties.Links["privacy_center_url"] = "javascript:alert(1)" },
		"properties.links.privacy_center_url  ":   func(s *Settings) { s.Properties.Links["privacy_center_url"] = "https://example.com/{token}" },
		"properties.links":                        func(s *Settings) { s.EmailType, s.Properties.Links = ValidationDoubleOptIn, nil },
		"properties.links.validation_approve_url": func(s *Settings) { s.EmailType, s.Properties.Recipient = ValidationApprovalSignature, "r" },
	} {
		name := field
		for name[len(name)-1] == ' ' {
			name = name[:len(name)-1]
		}
		if fields := settings(change).Check(); fields[name] == "" {
			t.Errorf("%s is not refused: %v", field, fields)
		}
	}
}

// person is somebody who granted newsletter, with metadata.
func person(metadata map[string]string) consent.View {
	var s consent.State
	st := consent.Statement{EventID: "e0", Regulation: "gdpr", At: 5, Arrived: 5, Metadata: map[string]json.RawMessage{}}
	st.Choices = []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "newsletter"}, Enabled: true}}
	for key, value := range metadata {
		st.Metadata[key], _ = json.Marshal(value)
	}
	s.Apply(st)
	return consent.Combine("c-17", &s, nil)
}

func rules() consent.Rules {
	r := consent.Rules{Regulations: []string{"gdpr"}, AllMetadata: true, UniqueKey: "customerId"}
	for _, name := range []string{"customerId", "emailAddress", "motherLanguage", "shop"} {
		r.Snapshot.Attributes = append(r.Snapshot.Attributes, consent.Attribute{Name: name, Kind: consent.String})
	}
	return r
}

// A letter has the recipient's key first, the address and language where they are
// known, the links, and what is mapped; nothing else of a person.
func TestCompose(t *testing.T) {
	t.Parallel()
	s := settings(func(s *Settings) {
		s.Properties.Attributes = []consent.Mapping{{ID: "shop", Value: "user_metadata_store"}}
		s.Properties.Parameters = []consent.Mapping{
			{ID: "name", Value: "user_metadata_firstName"}, {ID: "news", Value: "consents_purposes_newsletter_enabled"}, {ID: "none", Value: "user_metadata_nothing"},
		}
	})
	view := person(map[string]string{"emailAddress": "ana@example.com", "motherLanguage": "fr", "store": "Liège", "firstName": "Ana", "secret": "x"})
	got := Compose(s, "acme", view, rules(), Order{UserID: "c-17", EventID: "e/1", At: 7})
	want := Letter{
		Path: DefaultEmailPath, Campaign: "Welcome", Source: "Didomi", Way: "consent event e/1", At: 7,
		Attributes: []Attribute{{"customerId", "c-17"}, {"shop", "Liège"}, {"emailAddress", "ana@example.com"}, {"motherLanguage", "fr"}},
		Parameters: []Parameter{
			{"name", []string{"Ana"}}, {"news", []string{"true"}}, {"privacy_center_url", []string{"https://privacy.example.com/acme?u=c-17&e=e%2F1"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestComposeForOthers(t *testing.T) {
	t.Parallel()
	approval := settings(func(s *Settings) {
		s.EmailType, s.Properties.Recipient = ValidationApprovalFile, "approver-1"
		s.Properties.Links = map[string]string{"validation_approve_url": "https://example.com/approve/{event_id}"}
	})
	view := person(map[string]string{"emailAddress": "ana@example.com"})
	got := Compose(approval, "acme", view, rules(), Order{UserID: "c-17", EventID: "e 1", At: 7})
	if diff := cmp.Diff([]Attribute{{"customerId", "approver-1"}}, got.Attributes); diff != "" {
		t.Errorf("an approval writes to the approver's profile (-want +got):\n%s", diff)
	}
	if got.Parameters[0].Values[0] != "https://example.com/approve/e%201" {
		t.Errorf("it leads to %v", got.Parameters)
	}
	got = Compose(settings(nil), "acme", view, rules(), Order{
		UserID: "mine", Address: "me@example.com", At: 7, Parameters: map[string][]string{"privacy_center_url": {"https://example.com/mine"}, "more": {"a", "b"}},
	})
	want := Letter{
		Path: DefaultEmailPath, Campaign: "Welcome", Source: "Didomi", Way: "request", At: 7,
		Attributes: []Attribute{{"customerId", "mine"}, {"emailAddress", "me@example.com"}},
		Parameters: []Parameter{{"more", []string{"a", "b"}}, {"privacy_center_url", []string{"https://example.com/mine"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was asked for counts first (-want +got):\n%s", diff)
	}
}

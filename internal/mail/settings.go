package mail

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"consentsync/internal/consent"
)

// Settings say how the messages of one type are sent, in the body that Didomi
// documents for Actito
// (https://developers.didomi.io/integrations/emailing/providers/actito-email).
type Settings struct {
	TypeID     string     `json:"type_id"`
	EmailType  Type       `json:"email_type"`
	Properties Properties `json:"properties"`
	Enabled    bool       `json:"enabled"`
}

// Properties name the campaign; all other ones are additions of ours.
type Properties struct {
	EmailCampaignName string `json:"email_campaign_name,omitempty"`
	SMSCampaignName   string `json:"sms_campaign_name,omitempty"`
	// IntegrationID is the integration through which it is sent; it may be left
	// out where one alone has enable_emailing.
	IntegrationID string `json:"integration_id,omitempty"`
	// Path is that of the call, with {entity} and {campaign} in it.
	Path string `json:"path,omitempty"`
	// Recipient is the unique key of the one profile that gets all messages of
	// the type; empty for the person's own.
	Recipient string `json:"recipient,omitempty"`
	// AddressAttribute and LanguageAttribute are those of the profile that are
	// sent along where they are known.
	AddressAttribute  string `json:"address_attribute,omitempty"`
	LanguageAttribute string `json:"language_attribute,omitempty"`
	// Attributes are more of them, Parameters what the content of the campaign
	// is personalised with, and Links addresses among the parameters.
	Attributes []consent.Mapping `json:"attributes,omitempty"`
	Parameters []consent.Mapping `json:"parameters,omitempty"`
	Links      map[string]string `json:"links,omitempty"`
	// MaxAgeSeconds is how old a message may become before it is dropped.
	MaxAgeSeconds int `json:"max_age_seconds,omitempty"`
	// RepeatUnclear sends again what may have been sent already, instead of
	// waiting for somebody to decide.
	RepeatUnclear bool `json:"repeat_unclear,omitempty"`
}

// Defaults of what need not be configured.
const (
	DefaultMaxAge            = time.Hour
	DefaultEmailPath         = "/email-campaigns/v4/entity/{entity}/transactionalmail/{campaign}/contact"
	DefaultAddressAttribute  = "emailAddress"
	DefaultSMSAttribute      = "GSMnumber"
	DefaultLanguageAttribute = "motherLanguage"

	mostAge = 7 * 24 * time.Hour
	mostURL = 2000
)

// Complete fills in what was left out.
func (s *Settings) Complete() {
	p := &s.Properties
	if p.Path == "" && !p.SMS() {
		p.Path = DefaultEmailPath
	}
	if p.AddressAttribute == "" {
		p.AddressAttribute = DefaultAddressAttribute
		if p.SMS() {
			p.AddressAttribute = DefaultSMSAttribute
		}
	}
	if p.LanguageAttribute == "" {
		p.LanguageAttribute = DefaultLanguageAttribute
	}
	if p.MaxAgeSeconds == 0 {
		p.MaxAgeSeconds = int(DefaultMaxAge / time.Second)
	}
}

// SMS tells that it is a text message, and not an e-mail.
func (p *Properties) SMS() bool { return p.EmailCampaignName == "" && p.SMSCampaignName != "" }

// Campaign is the name of the campaign in Actito, or its id.
func (p *Properties) Campaign() string {
	if p.SMS() {
		return p.SMSCampaignName
	}
	return p.EmailCampaignName
}

// MaxAge is how old a message may become before it is dropped.
func (p *Properties) MaxAge() time.Duration { return time.Duration(p.MaxAgeSeconds) * time.Second }

// Check tells by field what is wrong with complete settings, and what to do.
func (s *Settings) Check() map[string]string {
	fields, p := map[string]string{}, &s.Properties
	if s.TypeID != "actito" {
		fields["type_id"] = `must be "actito"`
	}
	if !s.EmailType.Known() {
		fields["email_type"] = fmt.Sprintf("there is no such type: take one of %v, or for what is sent by POST /v1/emails/send one that begins with one of %v", Caused, asked)
	}
	switch {
	case p.EmailCampaignName == "" && p.SMSCampaignName == "":
		fields["properties.email_campaign_name"] = "is required, or sms_campaign_name"
	case p.EmailCampaignName != "" && p.SMSCampaignName != "":
		fields["properties.sms_campaign_name"] = "cannot stand beside email_campaign_name: leave one of them out"
	case slices.Contains([]string{".", ".."}, p.Campaign()):
		fields["properties.email_campaign_name"] = "is not the name of a campaign"
	}
	s.checkPath(fields)
	if p.MaxAgeSeconds < 1 || p.MaxAge() > mostAge {
		fields["properties.max_age_seconds"] = fmt.Sprintf("must be a whole number from 1 to %d", int(mostAge/time.Second))
	}
	if s.EmailType.Approval() && p.Recipient == "" {
		fields["properties.recipient"] = "is required: whoever approves must have a profile in the table, and this is its unique key"
	}
	checkMappings(fields, "properties.attributes", p.Attributes)
	checkMappings(fields, "properties.parameters", p.Parameters)
	s.checkLinks(fields)
	return fields
}

func (s *Settings) checkPath(fields map[string]string) {
	p := &s.Properties
	switch {
	case p.Path == "" && p.SMS():
		fields["properties.path"] = "is required for text messages, for Actito's call is not published; it holds {entity} and {campaign}, such as /sms-campaigns/v4/entity/{entity}/transactionalsms/{campaign}/contact"
	case p.Path == "":
	case !strings.HasPrefix(p.Path, "/") || strings.Contains(p.Path, "//") || strings.Contains(p.Path, "..") || strings.ContainsAny(p.Path, "?# \\"):
		fields["properties.path"] = "must be a path that begins with / and has no query"
	case !strings.Contains(p.Path, "{campaign}"):
		fields["properties.path"] = "must hold {campaign}, and may hold {entity}"
	}
}

func checkMappings(fields map[string]string, name string, list []consent.Mapping) {
	seen := map[string]bool{}
	for i, m := range list {
		switch at := fmt.Sprintf("%s[%d]", name, i); {
		case m.ID == "":
			fields[at+".id"] = "is required"
		case m.Value == "":
			fields[at+".value"] = "is required: the path that feeds it, such as user_metadata_first_name"
		case seen[m.ID]:
			fields[at+".id"] = "is there twice"
		}
		seen[m.ID] = true
	}
}

// LinkOf is the address among the parameters that Didomi documents for a type;
// empty if there is none, or its name could not be read.
func LinkOf(t Type) string {
	switch {
	case t == ConsentsUserCreated:
		return "privacy_center_url"
	case t.Approval():
		return "validation_approve_url"
	}
	return ""
}

func (s *Settings) checkLinks(fields map[string]string) {
	links := s.Properties.Links
	if name := LinkOf(s.EmailType); name != "" && links[name] == "" {
		fields["properties.links."+name] = "is required: the address that the message leads to, with {event_id}, {organization_user_id} or {organization_id} where they belong"
	}
	if s.EmailType == ValidationDoubleOptIn && len(links) == 0 {
		fields["properties.links"] = "at least one is required: by the parameter's name the address that the person confirms with, with {event_id} in it"
	}
	for name, address := range links {
		if why := checkLink(address); why != "" {
			fields["properties.links."+name] = why
		}
	}
}

func checkLink(address string) string {
	u, err := url.Parse(expand(address, Order{EventID: "e", UserID: "u"}, "o"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(address) > mostURL:
		return "must be an http or https address"
	case strings.Contains(u.String(), "%7B") || strings.ContainsAny(expand(address, Order{}, ""), "{}"):
		return "has a placeholder that is none of {event_id}, {organization_user_id} and {organization_id}"
	}
	return ""
}

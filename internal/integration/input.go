// Package integration activates integrations and changes them: what the API, the
// console and the command line share.
//
// An integration that exists has been checked against the live Actito account
// and carries a snapshot of its table; one that was refused has changed
// nothing. Secrets never leave the package unmasked but to the client that
// uses them.
package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"consentsync/internal/actito"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/outbound"
	"consentsync/internal/store"
)

// Authentication is the secret part of an integration.
type Authentication struct {
	PrivateAPIKey   string `json:"private_api_key"`
	DidomiAPIKey    string `json:"didomi_api_key,omitempty"`
	DidomiAPISecret string `json:"didomi_api_secret,omitempty"`
}

func (a Authentication) masked() Authentication {
	mask := func(s string) string {
		if s == "" {
			return ""
		}
		return auth.Mask(s)
	}
	return Authentication{mask(a.PrivateAPIKey), mask(a.DidomiAPIKey), mask(a.DidomiAPISecret)}
}

// unmasked puts back the secrets that were sent back masked.
func (a Authentication) unmasked(current Authentication) Authentication {
	keep := func(sent, held string) string {
		if held != "" && auth.Masked(sent, held) {
			return held
		}
		return sent
	}
	return Authentication{
		keep(a.PrivateAPIKey, current.PrivateAPIKey), keep(a.DidomiAPIKey, current.DidomiAPIKey), keep(a.DidomiAPISecret, current.DidomiAPISecret),
	}
}

// input is what a user sends: the settings with their secrets. The fields that
// an answer has beyond these may be sent back and are ignored.
type input struct {
	store.Settings
	Authentication Authentication `json:"authentication"`
	Enabled        *bool          `json:"enabled"`
	OrganizationID string         `json:"organization_id"`

	ID           json.RawMessage `json:"id"`
	Status       json.RawMessage `json:"status"`
	StatusReason json.RawMessage `json:"status_reason"`
	Snapshot     json.RawMessage `json:"snapshot"`
	LeftOut      json.RawMessage `json:"left_out"`
	Reprojection json.RawMessage `json:"reprojection"`
	Restored     json.RawMessage `json:"restored"`
	Webhook      json.RawMessage `json:"webhook"`
	Revision     json.RawMessage `json:"revision"`
	CreatedAt    json.RawMessage `json:"created_at"`
	UpdatedAt    json.RawMessage `json:"updated_at"`
}

// Defaults of what need not be configured.
const (
	DefaultBaseURL        = "https://api.actito.com"
	DefaultCallsPerMinute = 90
	DefaultConcurrency    = 4
	mostConcurrency       = 100
	mostReadsPerHour      = 3600
)

// decode reads an input.
func decode(body []byte) (*input, error) {
	in := &input{}
	// These stay where the body is silent; a 0 that it says is not silence.
	in.Properties.CallsPerMinute, in.Properties.Concurrency = DefaultCallsPerMinute, DefaultConcurrency
	return in, incoming.Decode(body, in)
}

// complete fills in the other defaults.
func (in *input) complete() {
	p := &in.Properties
	if p.BaseURL == "" {
		p.BaseURL = DefaultBaseURL
	}
	if p.Regulations == nil {
		p.Regulations = []string{consent.DefaultRegulation}
	}
	if in.Mappings == nil {
		in.Mappings = []consent.Mapping{}
	}
}

// validate checks what can be checked without asking Actito, and normalizes
// the base URL and the regulations.
func (in *input) validate(allowPrivate bool) error {
	fields := consent.CheckMappings(in.Mappings, in.attributeMappings())
	if fields == nil {
		fields = make(map[string]string)
	}
	p := &in.Properties
	if in.TypeID != "actito" {
		fields["type_id"] = `must be "actito"`
	}
	for field, value := range map[string]string{
		"authentication.private_api_key": in.Authentication.PrivateAPIKey,
		"properties.entity_id":           p.EntityID,
		"properties.table_name":          p.TableName,
		"properties.user_unique_key":     p.UserUniqueKey,
	} {
		if strings.TrimSpace(value) == "" {
			fields[field] = "is required"
		}
	}
	if u, err := outbound.ValidateBaseURL(p.BaseURL, allowPrivate); err != nil {
		fields["properties.base_url"] = consent.MessageOf(err)
	} else {
		p.BaseURL = u.String()
	}
	if len(in.Mappings) == 0 {
		fields["mappings"] = "at least one subscription has to be mapped"
	}
	in.validateDialect(fields)
	in.validateNumbers(fields)
	in.validateRegulations(fields)
	if in.EnableWebhooks {
		validateDidomi(&in.Authentication, fields)
	}
	if len(fields) > 0 {
		return incoming.Refuse(consent.Invalid, fields)
	}
	return nil
}

// validateDidomi wants both or neither of the credentials for Didomi's API.
func validateDidomi(a *Authentication, fields map[string]string) {
	key, secret := a.DidomiAPIKey, a.DidomiAPISecret
	const together = "didomi_api_key and didomi_api_secret are needed together"
	switch {
	case key == "" && secret != "":
		fields["authentication.didomi_api_key"] = together
	case key != "" && secret == "":
		fields["authentication.didomi_api_secret"] = together
	}
}

func (in *input) validateDialect(fields map[string]string) {
	p := &in.Properties
	if p.Dialect != store.DialectV5 && p.Dialect != store.DialectV4 {
		fields["properties.dialect"] = `must be "v5" or "v4"`
	}
	if !profilesPath.MatchString(p.ProfilesPath) {
		fields["properties.profiles_path"] = "must be where the addresses of profiles begin, such as /profiles/v4 or /v4, without / at its end"
	}
}

// profilesPath fits nothing, or segments that need no encoding and do not lead
// upwards.
var profilesPath = regexp.MustCompile(`^(/[A-Za-z0-9_-]+)*$`)

func (in *input) validateNumbers(fields map[string]string) {
	p := &in.Properties
	if p.CallsPerMinute < 1 {
		fields["properties.calls_per_minute"] = "must be a positive whole number"
	}
	if p.Concurrency < 1 || p.Concurrency > mostConcurrency {
		fields["properties.concurrency"] = fmt.Sprintf("must be a whole number from 1 to %d", mostConcurrency)
	}
	if p.ReservedCallsPerMinute < 0 || p.ReservedCallsPerMinute > 0 && p.ReservedCallsPerMinute >= p.CallsPerMinute {
		fields["properties.reserved_calls_per_minute"] = "must be 0 or more, and less than calls_per_minute, of which it leaves so many to your other tools"
	}
	if p.ReconcileReadsPerHour < 0 || p.ReconcileReadsPerHour > mostReadsPerHour {
		fields["properties.reconcile_reads_per_hour"] = fmt.Sprintf("must be a whole number from 0, for none, to %d", mostReadsPerHour)
	}
	if !slices.Contains([]store.Policy{"", store.PolicyReport, store.PolicyWithdrawals, store.PolicyAll}, p.ReconcilePolicy) {
		fields["properties.reconcile_policy"] = "must be report, withdrawals-only or all"
	}
	for name, seconds := range map[string]int{
		"bulk_after_seconds": p.BulkAfterSeconds, "bulk_withdrawals_after_seconds": p.BulkWithdrawalsAfterSeconds,
	} {
		if seconds < 0 {
			fields["properties."+name] = "must be a positive whole number of seconds, or be left out"
		}
	}
}

func (in *input) validateRegulations(fields map[string]string) {
	p := &in.Properties
	if len(p.Regulations) == 0 {
		fields["properties.regulations"] = `must name at least one regulation, such as "gdpr"`
	}
	for i, r := range p.Regulations {
		p.Regulations[i] = strings.ToLower(strings.TrimSpace(r))
		switch {
		case p.Regulations[i] == "":
			fields[fmt.Sprintf("properties.regulations[%d]", i)] = "is empty"
		case slices.Contains(p.Regulations[:i], p.Regulations[i]):
			fields[fmt.Sprintf("properties.regulations[%d]", i)] = "is listed twice"
		}
	}
}

func (in *input) attributeMappings() []consent.Mapping {
	var list []consent.Mapping
	for _, a := range in.Properties.Attributes {
		list = append(list, a.Mapping)
	}
	return list
}

// licence names whose budget the integration spends: that of the API key at
// its host, or of all keys of the organization under one label (R15).
func (in *input) licence(organization string) string {
	p := in.Properties
	if p.Licence != "" {
		return p.BaseURL + " org " + organization + " licence " + p.Licence
	}
	return p.BaseURL + " key " + actito.Fingerprint(in.Authentication.PrivateAPIKey)
}

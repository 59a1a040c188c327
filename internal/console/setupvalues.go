package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// The fields of the set-up have the names that the API has for them, so that what
// it refuses stands beside the right one. Lines of the mapping are sent as two
// lists of equal length.
const (
	mappingID, mappingValue     = "mapping.id", "mapping.value"
	attributeID, attributeValue = "attribute.id", "attribute.value"
	metadataField               = "metadata" // all, or some
)

// The fields of each step but the secret ones.
var (
	settingsFields = []string{"properties.base_url", "properties.entity_id", "properties.table_name", "properties.user_unique_key"}
	optionFields   = slices.Concat(optionFlags, optionNumbers, optionTexts)
	optionFlags    = []string{"upsert_mode", "enable_webhooks", "enable_emailing", "enabled", "properties.etl_updates_only"}
	optionNumbers  = []string{
		"properties.calls_per_minute", "properties.reserved_calls_per_minute", "properties.concurrency",
		"properties.bulk_after_seconds", "properties.bulk_withdrawals_after_seconds", "properties.reconcile_reads_per_hour",
	}
	optionTexts = []string{
		"properties.regulations", "properties.licence", "properties.etl_id", "properties.dialect", "properties.profiles_path", "properties.reconcile_policy",
	}
	mappingFields = []string{mappingID, mappingValue, metadataField, attributeID, attributeValue}
)

// The secret fields, of which a page only ever tells that they are known.
const (
	actitoKeyField    = "authentication.private_api_key"
	didomiKeyField    = "authentication.didomi_api_key"
	didomiSecretField = "authentication.didomi_api_secret"
)

// newValues are those of an integration that is about to be set up.
func newValues() url.Values {
	return url.Values{
		"properties.base_url": {integration.DefaultBaseURL}, "properties.regulations": {consent.DefaultRegulation}, "enabled": {"true"}, metadataField: {"all"},
		"properties.calls_per_minute": {strconv.Itoa(integration.DefaultCallsPerMinute)}, "properties.concurrency": {strconv.Itoa(integration.DefaultConcurrency)},
	}
}

// valuesOf are those of an integration that is there.
func valuesOf(i *integration.View) url.Values {
	p := i.Properties
	v := url.Values{
		"properties.base_url": {p.BaseURL}, "properties.entity_id": {p.EntityID}, "properties.table_name": {p.TableName}, "properties.user_unique_key": {p.UserUniqueKey},
		"properties.regulations": {strings.Join(p.Regulations, ", ")}, "properties.licence": {p.Licence}, "properties.etl_id": {p.ETLID}, "properties.reconcile_policy": {string(p.ReconcilePolicy)}, metadataField: {"all"},
		"properties.dialect": {textOf(p.Dialect)}, "properties.profiles_path": {p.ProfilesPath},
	}
	for name, on := range map[string]bool{
		"upsert_mode": i.UpsertMode, "enable_webhooks": i.EnableWebhooks, "enable_emailing": i.EnableEmailing, "enabled": i.Enabled,
		"properties.etl_updates_only": p.ETLUpdatesOnly,
	} {
		if on {
			v.Set(name, "true")
		}
	}
	for name, n := range map[string]int{
		"properties.calls_per_minute": p.CallsPerMinute, "properties.reserved_calls_per_minute": p.ReservedCallsPerMinute, "properties.concurrency": p.Concurrency,
		"properties.bulk_after_seconds": p.BulkAfterSeconds, "properties.bulk_withdrawals_after_seconds": p.BulkWithdrawalsAfterSeconds,
		"properties.reconcile_reads_per_hour": p.ReconcileReadsPerHour,
	} {
		if n != 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	for _, m := range i.Mappings {
		v.Add(mappingID, m.ID)
		v.Add(mappingValue, m.Value)
	}
	if p.Attributes != nil {
		v.Set(metadataField, "some")
	}
	for _, a := range p.Attributes {
		v.Add(attributeID, a.ID)
		v.Add(attributeValue, a.Value)
	}
	return v
}

func textOf(d store.Dialect) string {
	text, _ := d.MarshalText() // there always is one
	return string(text)
}

// wrongNumbers says which fields hold none though they have to.
func wrongNumbers(v url.Values) map[string]string {
	wrong := map[string]string{}
	for _, name := range optionNumbers {
		if text := strings.TrimSpace(v.Get(name)); text != "" {
			if _, err := strconv.Atoi(text); err != nil {
				wrong[name] = "must be a whole number"
			}
		}
	}
	return wrong
}

// bodyOf makes what the API takes of what was typed. What is empty has its
// default, in a change too. fields gives for names of the API those of the form,
// where they differ.
func bodyOf(v url.Values) (body []byte, fields map[string]string) {
	properties, whole := map[string]any{}, map[string]any{"type_id": "actito"}
	fields = map[string]string{"mappings": "mapping.0"}
	set := func(name string, value any) {
		if rest, of := strings.CutPrefix(name, "properties."); of {
			properties[rest] = value
			return
		}
		whole[name] = value
	}
	for _, name := range slices.Concat(settingsFields, optionTexts) {
		set(name, nil)
		if text := strings.TrimSpace(v.Get(name)); text != "" {
			set(name, text)
		}
	}
	for _, name := range optionFlags {
		set(name, v.Get(name) == "true")
	}
	for _, name := range optionNumbers {
		set(name, nil)
		if n, err := strconv.Atoi(strings.TrimSpace(v.Get(name))); err == nil {
			set(name, n)
		}
	}
	regulations := strings.FieldsFunc(v.Get("properties.regulations"), func(r rune) bool { return r == ',' || r == ' ' })
	properties["regulations"] = append([]string{}, regulations...)
	for n := range regulations {
		fields[fmt.Sprintf("properties.regulations[%d]", n)] = "properties.regulations"
	}
	mappings := []consent.Mapping{}
	for n, m := range pairs(v[mappingID], v[mappingValue]) {
		if m.Value == "" {
			continue
		}
		for _, part := range []string{"id", "value"} {
			fields[fmt.Sprintf("mappings[%d].%s", len(mappings), part)] = fmt.Sprintf("mapping.%d", n)
		}
		mappings = append(mappings, m)
	}
	whole["mappings"] = mappings
	properties["attributes"] = nil
	if v.Get(metadataField) == "some" {
		properties["attributes"] = attributesOf(v, fields)
	}
	whole["properties"] = properties
	body, _ = json.Marshal(whole) // nothing in it cannot be written
	return body, fields
}

// attributesOf gives the attributes that were chosen, a key of the metadata with
// an attribute of its own name in the short form.
func attributesOf(v url.Values, fields map[string]string) []any {
	list := []any{}
	for n, m := range pairs(v[attributeID], v[attributeValue]) {
		if m.ID == "" || m.Value == "" {
			continue
		}
		for _, part := range []string{"id", "value"} {
			fields[fmt.Sprintf("properties.attributes[%d].%s", len(list), part)] = fmt.Sprintf("attribute.%d", n)
		}
		if m.Value == metadataPrefix+m.ID {
			list = append(list, m.ID)
		} else {
			list = append(list, m)
		}
	}
	return list
}

// metadataPrefix stands before a key of the metadata in its path.
const metadataPrefix = "user_metadata_"

// pairs puts two lists of a form together; what has no other half is left out.
func pairs(ids, values []string) []consent.Mapping {
	list := make([]consent.Mapping, min(len(ids), len(values)))
	for n := range list {
		list[n] = consent.Mapping{ID: strings.TrimSpace(ids[n]), Value: strings.TrimSpace(values[n])}
	}
	return list
}

// take puts what was sent of some fields into the values: what was not sent is
// empty, as a box that is not ticked.
func take(into, sent url.Values, fields []string) {
	for _, name := range fields {
		delete(into, name)
		if values, there := sent[name]; there {
			into[name] = values
		}
	}
}

// stepOf tells in which step a field of the form stands.
func stepOf(field string) string {
	switch {
	case slices.Contains(settingsFields, field), field == actitoKeyField:
		return "settings"
	case strings.HasPrefix(field, "mapping."), strings.HasPrefix(field, "attribute."):
		return "mapping"
	}
	return "options"
}

// firstStep gives the first step in which something is wrong, or the one given.
func firstStep(errors map[string]string, step string) string {
	for _, name := range []string{"settings", "options", "mapping"} {
		for field := range maps.Keys(errors) {
			if stepOf(field) == name {
				return name
			}
		}
	}
	return step
}

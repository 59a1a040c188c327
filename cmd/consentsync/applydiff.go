package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expandSecrets fills in the environment variables that the authentication of an
// integration names, so that the file itself holds no secret. Nothing else in it
// is touched.
func expandSecrets(text []byte) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := incoming.Decode(text, &whole); err != nil {
		return nil, err
	}
	var secrets map[string]any
	if json.Unmarshal(whole["authentication"], &secrets) != nil {
		return text, nil // absent, or of a wrong type, which is said when it is read
	}
	missing := map[string]string{}
	for field, value := range secrets {
		template, ok := value.(string)
		if !ok {
			continue
		}
		secrets[field] = variable.ReplaceAllStringFunc(template, func(name string) string {
			name = strings.Trim(name, "${}")
			value := os.Getenv(name)
			if value == "" {
				missing["authentication."+field] = "the environment variable " + name + " is not set"
			}
			return value
		})
	}
	if len(missing) > 0 {
		return nil, incoming.Refuse(consent.Invalid, missing)
	}
	expanded, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	whole["authentication"] = expanded
	return json.Marshal(whole)
}

// differences tells, a line for each, what the file has otherwise than the
// server. Secrets are compared as far as they are shown, and never written.
func (p *applying) differences() []string {
	before, after := map[string]string{}, flatSettings(p.file.Settings)
	var was []consent.Mapping
	if p.current != nil {
		before, was = flatSettings(p.current.Settings), p.current.Mappings
	}
	var lines []string
	for _, field := range slices.Sorted(maps.Keys(mergedKeys(before, after))) {
		switch {
		case p.current == nil:
			lines = append(lines, field+": "+after[field])
		case before[field] != after[field]:
			lines = append(lines, fmt.Sprintf("%s: %s -> %s", field, shown(before[field]), shown(after[field])))
		}
	}
	if enabled, said := p.body["enabled"].(bool); said && (p.current == nil || p.current.Enabled != enabled) && (p.current != nil || !enabled) {
		lines = append(lines, fmt.Sprintf("enabled: %t -> %t", !enabled, enabled))
	}
	lines = append(lines, p.secretDifferences()...)
	return append(lines, mappingDifferences(was, p.file.Mappings)...)
}

func shown(value string) string {
	if value == "" {
		return "(not set)"
	}
	return value
}

func mergedKeys(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// flatSettings gives the settings but the mappings, each by its path, as JSON.
func flatSettings(s store.Settings) map[string]string {
	s.Mappings = nil
	flat := map[string]string{}
	var whole map[string]any
	if text, err := json.Marshal(s); err != nil || json.Unmarshal(text, &whole) != nil {
		return flat // never: settings are plain data
	}
	delete(whole, "mappings")
	for name, value := range whole {
		if properties, object := value.(map[string]any); object {
			for inner, value := range properties {
				flat[name+"."+inner] = plain(value)
			}
			continue
		}
		flat[name] = plain(value)
	}
	return flat
}

func plain(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

func (p *applying) secretDifferences() []string {
	if p.current == nil {
		return nil
	}
	var lines []string
	given, _ := p.body["authentication"].(map[string]any)
	held, _ := p.current.whole["authentication"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		secret, _ := given[name].(string)
		masked, _ := held[name].(string)
		switch {
		case secret == masked || masked != "" && auth.Mask(secret) == masked || secret != "" && strings.Trim(secret, "*") == "":
		case secret == "" && masked == "":
		default:
			lines = append(lines, fmt.Sprintf("authentication.%s: another one", name))
		}
	}
	return lines
}

// mappingDifferences tells which subscriptions are mapped anew, otherwise, and
// no longer.
func mappingDifferences(was, is []consent.Mapping) []string {
	before := map[string]string{}
	for _, m := range was {
		before[m.ID] = m.Value
	}
	var lines []string
	for _, m := range is {
		path, had := before[m.ID]
		delete(before, m.ID)
		switch {
		case !had:
			lines = append(lines, "+ "+m.ID+" <- "+m.Value)
		case path != m.Value:
			lines = append(lines, "~ "+m.ID+" <- "+m.Value+", was "+path)
		}
	}
	for _, m := range was {
		if _, gone := before[m.ID]; gone {
			lines = append(lines, "- "+m.ID+" <- "+m.Value+": left in Actito as it is")
		}
	}
	return lines
}

// settingFields are those of a file that make a change.
var settingFields = []string{"type_id", "properties", "mappings", "upsert_mode", "enable_webhooks", "enable_emailing", "enabled", "authentication"}

// patch gives the merge patch that makes the server's integration what the file
// says: what the file leaves out has its default again, but for secrets and
// whether it is enabled, which stay.
func (p *applying) patch() map[string]any {
	patch := map[string]any{}
	for _, name := range settingFields {
		if value, said := p.body[name]; said {
			patch[name] = value
		} else if _, has := p.current.whole[name]; has && name != "enabled" && name != "authentication" {
			patch[name] = nil
		}
	}
	properties := map[string]any{}
	held, _ := p.current.whole["properties"].(map[string]any)
	for name := range held {
		properties[name] = nil
	}
	given, _ := p.body["properties"].(map[string]any)
	maps.Copy(properties, given)
	patch["properties"] = properties
	return patch
}

// misuse is the error of a command that was called wrongly in a way that shows
// only when it runs.
type misuse struct{ message string }

func (m *misuse) Error() string { return m.message }

func misused(err error) bool {
	_, ok := errors.AsType[*misuse](err)
	return ok
}

package didomix

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"consentsync/internal/consent"
)

// Bounds on what one message may hold.
const (
	mostIDBytes = 1024
	mostChoices = 10_000
)

// walker reads a tree of JSON and keeps the first error, with its path. Once
// it has one it gives zero values.
type walker struct {
	organization string
	err          *consent.Error
}

func (w *walker) fail(path, problem string) {
	if w.err == nil {
		w.err = &consent.Error{
			Kind: consent.Invalid, Op: "didomi.Decode", Message: path + " " + problem, Fields: map[string]string{path: problem},
		}
	}
}

// text reads a string; "" where it is absent or null.
func (w *walker) text(in map[string]any, path, name string) string {
	switch v := in[name].(type) {
	case nil:
		return ""
	case string:
		if len(v) > mostIDBytes {
			w.fail(path, fmt.Sprintf("is longer than %d bytes", mostIDBytes))
		}
		return v
	}
	w.fail(path, "must be a text")
	return ""
}

// object reads an object; nil where it is absent or null.
func (w *walker) object(in map[string]any, path, name string) map[string]any {
	switch v := in[name].(type) {
	case nil:
		return nil
	case map[string]any:
		return v
	}
	w.fail(path, "must be an object")
	return nil
}

// time reads a moment; 0 where it is absent or null.
func (w *walker) time(in map[string]any, path, name string) consent.Time {
	text := w.text(in, path, name)
	if text == "" || w.err != nil {
		return 0
	}
	t, ok := parseTime(text)
	if !ok {
		w.fail(path, "must be a time such as 2026-01-31T10:00:00Z")
	}
	return t
}

// item is an entry of a list of things with ids.
type item struct {
	id     string
	fields map[string]any
	path   string
}

// items reads a list of objects with ids. In flattened payloads the list may
// have become an object keyed by index or by id.
func (w *walker) items(in map[string]any, path, name string) []item {
	var found []item
	add := func(fields any, path, key string) {
		o, ok := fields.(map[string]any)
		if !ok {
			w.fail(path, "must be an object")
			return
		}
		o = unflatten(o)
		id := w.text(o, path+".id", "id")
		if id == "" {
			id = key
		}
		if id == "" {
			w.fail(path+".id", "is required")
		}
		found = append(found, item{id, o, path})
	}
	switch v := in[name].(type) {
	case nil:
	case []any:
		for i, fields := range v {
			add(fields, fmt.Sprintf("%s[%d]", path, i), "")
		}
	case map[string]any:
		for _, key := range inOrder(v) {
			add(v[key], path+"."+key, key)
		}
	default:
		w.fail(path, "must be a list")
	}
	return found
}

// inOrder sorts keys, as numbers where they are all numbers.
func inOrder(m map[string]any) []string {
	keys := slices.Sorted(maps.Keys(m))
	slices.SortStableFunc(keys, func(a, b string) int {
		x, err1 := strconv.Atoi(a)
		y, err2 := strconv.Atoi(b)
		if err1 != nil || err2 != nil {
			return strings.Compare(a, b)
		}
		return x - y
	})
	return keys
}

func (w *walker) event(m *consent.Message, e map[string]any, path string) {
	m.EntityID = w.text(e, path+".id", "id")
	w.common(m, e, path)
	switch status := w.text(e, path+".status", "status"); status {
	case "", "confirmed":
	default: // only what is known as confirmed counts
		m.Pending = true
	}
	user := unflatten(w.object(e, path+".user", "user"))
	m.DidomiUserID = w.text(user, path+".user.id", "id")
	w.person(m, user, path+".user")
}

func (w *walker) user(m *consent.Message, u map[string]any, path string) {
	m.EntityID = w.text(u, path+".id", "id")
	m.DidomiUserID = m.EntityID
	w.common(m, u, path)
	w.person(m, u, path)
}

// common reads what events and users share.
func (w *walker) common(m *consent.Message, e map[string]any, path string) {
	if named := w.text(e, path+".organization_id", "organization_id"); named != "" && named != w.organization {
		w.fail(path+".organization_id", "names another organization than the address")
	}
	m.CreatedAt = w.time(e, path+".created_at", "created_at")
	m.UpdatedAt = w.time(e, path+".updated_at", "updated_at")
	w.consents(m, unflatten(w.object(e, path+".consents", "consents")), path+".consents")
}

func (w *walker) person(m *consent.Message, u map[string]any, path string) {
	m.OrganizationUserID = w.text(u, path+".organization_user_id", "organization_user_id")
	if _, said := u["country"]; said {
		if country := w.text(u, path+".country", "country"); country != "" {
			m.Country = raw(country)
		}
	}
	for key, value := range w.object(u, path+".metadata", "metadata") {
		if m.Metadata == nil {
			m.Metadata = make(map[string]json.RawMessage)
		}
		m.Metadata[key] = raw(value)
	}
}

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null") // cannot be: it came from JSON
	}
	return b
}

func (w *walker) consents(m *consent.Message, c map[string]any, path string) {
	for _, ch := range w.items(c, path+".channels", "channels") {
		w.said(m, ch, consent.Choice{Kind: consent.OfChannel, Channel: ch.id})
	}
	for _, p := range w.items(c, path+".purposes", "purposes") {
		w.said(m, p, consent.Choice{Kind: consent.OfPurpose, Purpose: p.id})
		for _, ch := range w.items(p.fields, p.path+".channels", "channels") {
			w.said(m, ch, consent.Choice{Kind: consent.OfPurposeChannel, Purpose: p.id, Channel: ch.id})
		}
		for _, f := range w.items(p.fields, p.path+".preferences", "preferences") {
			w.said(m, f, consent.Choice{Kind: consent.OfPurposePreference, Purpose: p.id, Preference: f.id})
			for _, ch := range w.items(f.fields, f.path+".channels", "channels") {
				w.said(m, ch, consent.Choice{Kind: consent.OfPreferenceChannel, Purpose: p.id, Preference: f.id, Channel: ch.id})
			}
		}
		w.selections(m, p)
	}
}

func (w *walker) said(m *consent.Message, at item, c consent.Choice) {
	switch enabled := at.fields["enabled"].(type) {
	case nil:
	case bool:
		if len(m.Choices) >= mostChoices {
			w.fail(at.path, fmt.Sprintf("is one choice too many: a message holds %d at most", mostChoices))
			return
		}
		m.Choices = append(m.Choices, consent.Said{Choice: c, Enabled: enabled})
	default:
		w.fail(at.path+".enabled", "must be true, false or null")
	}
}

// selections reads purposes[].values: for each preference the chosen values, as
// ids in one string, separated by commas.
func (w *walker) selections(m *consent.Message, p item) {
	values := w.object(p.fields, p.path+".values", "values")
	values = unflatten(values)
	for _, preference := range slices.Sorted(maps.Keys(values)) {
		path := p.path + ".values." + preference
		v := w.object(values, path, preference)
		if len(preference) > mostIDBytes {
			w.fail(path, fmt.Sprintf("is longer than %d bytes", mostIDBytes))
		}
		var chosen []string
		switch list := v["value"].(type) {
		case nil:
			continue
		case string:
			chosen = strings.Split(list, ",")
		case []any:
			for i, entry := range list {
				text, ok := entry.(string)
				if !ok {
					w.fail(fmt.Sprintf("%s.value[%d]", path, i), "must be a text")
				}
				chosen = append(chosen, text)
			}
		default:
			w.fail(path+".value", "must be a text")
		}
		for i := range chosen {
			chosen[i] = strings.TrimSpace(chosen[i])
		}
		chosen = slices.DeleteFunc(chosen, func(s string) bool { return s == "" })
		if len(m.Choices)+len(chosen) > mostChoices {
			w.fail(path, fmt.Sprintf("lists too many values: a message holds %d choices at most", mostChoices))
			return
		}
		m.Selections = append(m.Selections, consent.Selection{Purpose: p.id, Preference: preference, Values: chosen})
	}
}

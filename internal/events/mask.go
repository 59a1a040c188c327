package events

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

const dots = "•••"

// MaskID shows that there is an id, and hardly which: its first letter, and of
// an address that of the host too.
func MaskID(id string) string {
	if id == "" {
		return ""
	}
	name, host, address := strings.Cut(id, "@")
	masked := first(name) + dots
	if address {
		masked += "@" + first(host) + dots
	}
	return masked
}

func first(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(r)
}

// MaskPayload masks all of a message but its form and what is known to tell
// nothing of a person: types, dates, regulations, and which purposes,
// preferences and channels were answered with yes or no. Flattened messages,
// whose names are joined with __, are masked alike.
func MaskPayload(body []byte) json.RawMessage {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return json.RawMessage(`null`)
	}
	masked, err := json.Marshal(mask(tree, nil))
	if err != nil {
		return json.RawMessage(`null`)
	}
	return masked
}

func mask(v any, path []string) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = mask(inner, append(slices.Clip(path), strings.Split(strings.ToLower(name), "__")...))
		}
		return v
	case []any:
		for i := range v {
			v[i] = mask(v[i], path)
		}
		return v
	case bool, nil:
		if within(path, "metadata") {
			return dots
		}
		return v
	}
	if harmless(path) {
		return v
	}
	return dots
}

// harmless tells whether the value at a path may be shown to everybody.
func harmless(path []string) bool {
	if len(path) == 0 || within(path, "metadata") || within(path, "user") || within(path, "new_user") {
		return false
	}
	switch last := path[len(path)-1]; last {
	case "type", "regulation", "created_at", "updated_at", "status", "organization_id", "version", "is_consents_subscribed":
		return true
	case "id": // of the event, and of what was answered
		return within(path, "consents") || len(path) == 1 || path[len(path)-2] == "entity" || path[len(path)-2] == "event"
	}
	return false
}

func within(path []string, name string) bool { return slices.Contains(path, name) }

package events

import (
	"bytes"
	"encoding/json"
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
	masked, err := json.Marshal(mask(tree, place{}))
	if err != nil {
		return json.RawMessage(`null`)
	}
	return masked
}

func mask(v any, at place) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			v[name] = mask(inner, at.in(name))
		}
		return v
	case []any:
		for i := range v {
			v[i] = mask(v[i], at)
		}
		return v
	case bool, nil:
		if at.metadata {
			return dots
		}
		return v
	}
	if at.harmless() {
		return v
	}
	return dots
}

// place is where a value stands: what of its path decides. It is not the path
// itself, of which a message can make far more than it has bytes.
type place struct {
	depth                    int
	last, before             string // the last name of the path, and the one before
	metadata, user, consents bool   // it is somewhere within
}

// in gives the place of a member, whose name may be several joined with __.
func (p place) in(name string) place {
	for part := range strings.SplitSeq(strings.ToLower(name), "__") {
		p.depth, p.before, p.last = p.depth+1, p.last, part
		switch part {
		case "metadata":
			p.metadata = true
		case "user", "new_user":
			p.user = true
		case "consents":
			p.consents = true
		}
	}
	return p
}

// harmless tells whether the value there may be shown to everybody.
func (p place) harmless() bool {
	if p.metadata || p.user {
		return false
	}
	switch p.last {
	case "type", "regulation", "created_at", "updated_at", "status", "organization_id", "version", "is_consents_subscribed":
		return true
	case "id": // of the event, and of what was answered
		return p.consents || p.depth == 1 || p.before == "entity" || p.before == "event"
	}
	return false
}

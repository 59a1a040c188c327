package backfill

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Seen is what can be mapped, as people were seen to have it.
type Seen struct {
	Looked int64 `json:"looked"` // people
	// Complete tells that everybody was looked at, and that all paths are there.
	Complete bool         `json:"complete"`
	Choices  []SeenChoice `json:"choices"` // the most frequent first
	Texts    []SeenText   `json:"texts"`   // the most frequent first
}

// SeenChoice is an on/off choice that somebody made.
type SeenChoice struct {
	Path   string `json:"path"`
	People int64  `json:"people"`
	On     int64  `json:"on"` // of them
	// Last is the value of the newest choice, which was made at LastAt.
	Last   bool         `json:"last"`
	LastAt consent.Time `json:"last_at"`
}

// SeenText is a text that somebody has. Its values are personal data and are not
// told; Kinds counts people by the JSON type of theirs.
type SeenText struct {
	Path   string           `json:"path"`
	People int64            `json:"people"`
	Kinds  map[string]int64 `json:"kinds"`
	LastAt consent.Time     `json:"last_at"`
}

// mostPaths bounds how many paths of either sort are kept.
const mostPaths = 1000

// Choices tells which paths a mapping can name, of the people of an organization
// who are looked at before the time that over tells is up.
func Choices(ctx context.Context, people People, organization string, over func() bool) (*Seen, error) {
	choices, texts := map[string]*SeenChoice{}, map[string]*SeenText{}
	s := &Seen{}
	more := false
	complete, err := everybody(ctx, people, store.IntegrationKey{Organization: organization}, over, func(c *store.Compared) {
		s.Looked++
		if c.Err != nil {
			return
		}
		view := c.Person.View()
		for path, held := range choicesOf(&view) {
			x := choices[path]
			if x == nil && len(choices) >= mostPaths {
				more = true
				continue
			}
			if x == nil {
				x = &SeenChoice{Path: path}
				choices[path] = x
			}
			x.People++
			if held.Enabled {
				x.On++
			}
			if held.At >= x.LastAt {
				x.Last, x.LastAt = held.Enabled, held.At
			}
		}
		for path, text := range textsOf(&view) {
			x := texts[path]
			if x == nil && len(texts) >= mostPaths {
				more = true
				continue
			}
			if x == nil {
				x = &SeenText{Path: path, Kinds: map[string]int64{}}
				texts[path] = x
			}
			x.People++
			x.Kinds[jsonKind(text.Value)]++
			x.LastAt = max(x.LastAt, text.At)
		}
	})
	s.Complete = complete && !more
	s.Choices, s.Texts = []SeenChoice{}, []SeenText{}
	for x := range maps.Values(choices) {
		s.Choices = append(s.Choices, *x)
	}
	for x := range maps.Values(texts) {
		s.Texts = append(s.Texts, *x)
	}
	slices.SortFunc(s.Choices, func(a, b SeenChoice) int { return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Path, b.Path)) })
	slices.SortFunc(s.Texts, func(a, b SeenText) int { return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Path, b.Path)) })
	return s, err
}

// choicesOf gives a person's choices by path: of several that build one path,
// the restrictive one (R10), and else the newest.
func choicesOf(v *consent.View) map[string]consent.Verdict {
	all := make(map[string]consent.Verdict, len(v.Choices))
	for _, h := range v.Choices {
		path := h.Path()
		old, had := all[path]
		if !had || old.Enabled && !h.Enabled || old.Enabled == h.Enabled && h.At > old.At {
			all[path] = h.Verdict
		}
	}
	return all
}

// textsOf gives a person's newest text of each path.
func textsOf(v *consent.View) map[string]consent.Text {
	all := map[string]consent.Text{}
	for path, text := range v.Texts() {
		if old, had := all[path]; !had || text.At > old.At {
			all[path] = text
		}
	}
	return all
}

// jsonKind names the type of a JSON value.
func jsonKind(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "null"
	}
	switch raw[0] {
	case '"':
		return "text"
	case 't', 'f':
		return "boolean"
	case '[':
		return "list"
	case '{':
		return "object"
	case 'n':
		return "null"
	}
	return "number"
}

package console

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

// mappingData is the lines of the mapping, and what can be put into them.
type mappingData struct {
	Lines      []mappingLine
	Attributes []attributeLine
	Choices    []knownChoice // that a subscription can follow
	Texts      []string      // that an attribute can take
	Table      *integration.AccountTable
	Notes      []string
	Seen       *backfill.Seen
}

// mappingLine is a subscription of the table and the choice that it follows.
type mappingLine struct {
	ID      string // of the input
	Name    string
	Path    string
	Typed   bool // the name has to be typed
	Missing bool // the table has no such subscription
	Error   string
	Known   *knownChoice
}

// knownChoice is a path that Didomi lists, or that people were seen to choose.
type knownChoice struct {
	Path string
	Name string // in Didomi; empty if that is not known
	Seen *backfill.SeenChoice
}

// attributeLine is a text of Didomi's and the attribute that takes it.
type attributeLine struct {
	ID    string
	Path  string
	Name  string // of the attribute; empty for none
	Typed bool   // the path has to be typed
	Error string
	Seen  string   // of what type the values are, and of how many people
	Notes []string // what does not fit
}

// blankLines are offered for what is not listed.
const blankLines = 2

// mappingOf lays out what was typed beside what the table has and what is known.
func mappingOf(f *Form, x *integration.Setup) *mappingData {
	d := &mappingData{}
	if x.Account != nil {
		d.Table = x.Account.Table
		d.Notes = append(d.Notes, x.Account.Notes...)
	}
	if x.Choices != nil {
		d.Seen = x.Choices.Seen
		d.Notes = append(d.Notes, x.Choices.Notes...)
	}
	d.Choices = choicesOf(x.Choices)
	d.lines(f)
	d.attributes(f)
	return d
}

// choicesOf puts Didomi's purposes and what was seen together: Didomi's first.
func choicesOf(v *integration.ChoicesView) []knownChoice {
	if v == nil {
		return nil
	}
	var list []knownChoice
	for _, p := range v.Purposes {
		list = append(list, knownChoice{Path: p.Path, Name: p.Name})
	}
	if v.Seen == nil {
		return list
	}
	for i := range v.Seen.Choices {
		seen := &v.Seen.Choices[i]
		if at := slices.IndexFunc(list, func(k knownChoice) bool { return k.Path == seen.Path }); at >= 0 {
			list[at].Seen = seen
		} else {
			list = append(list, knownChoice{Path: seen.Path, Seen: seen})
		}
	}
	return list
}

// choice finds what is known of a path.
func (d *mappingData) choice(path string) *knownChoice {
	if at := slices.IndexFunc(d.Choices, func(k knownChoice) bool { return k.Path == path }); at >= 0 {
		return &d.Choices[at]
	}
	return nil
}

func (d *mappingData) lines(f *Form) {
	typed := pairs(f.Values[mappingID], f.Values[mappingValue])
	used := map[int]bool{}
	line := func(at int, m consent.Mapping) mappingLine {
		id := fmt.Sprintf("mapping.%d", at)
		return mappingLine{ID: "field-" + id, Name: m.ID, Path: m.Value, Error: sentence(f.Errors[id]), Known: d.choice(m.Value)}
	}
	var subscriptions []string
	if d.Table != nil {
		subscriptions = d.Table.Subscriptions
	}
	for n, name := range subscriptions {
		at := slices.IndexFunc(typed, func(m consent.Mapping) bool { return m.ID == name })
		if at < 0 || used[at] {
			d.Lines = append(d.Lines, line(len(typed)+n, consent.Mapping{ID: name}))
			continue
		}
		used[at] = true
		d.Lines = append(d.Lines, line(at, typed[at]))
	}
	for at, m := range typed {
		if !used[at] && m != (consent.Mapping{}) {
			l := line(at, m)
			l.Typed, l.Missing = true, len(subscriptions) > 0 && m.ID != ""
			d.Lines = append(d.Lines, l)
		}
	}
	if len(subscriptions) == 0 {
		for n := range blankLines {
			l := line(len(typed)+n, consent.Mapping{})
			l.Typed = true
			d.Lines = append(d.Lines, l)
		}
	}
}

func (d *mappingData) attributes(f *Form) {
	typed := pairs(f.Values[attributeID], f.Values[attributeValue])
	var texts []backfill.SeenText
	if d.Seen != nil {
		texts = d.Seen.Texts
	}
	some := f.Get(metadataField) == "some"
	shown := map[int]bool{}
	for n, t := range texts {
		d.Texts = append(d.Texts, t.Path)
		l := attributeLine{ID: fmt.Sprintf("field-attribute.%d", len(typed)+n), Path: t.Path, Seen: kindsText(t.Kinds)}
		if at := slices.IndexFunc(typed, func(m consent.Mapping) bool { return m.Value == t.Path }); at >= 0 && !shown[at] {
			shown[at] = true
			l.ID, l.Name, l.Error = fmt.Sprintf("field-attribute.%d", at), typed[at].ID, sentence(f.Errors[fmt.Sprintf("attribute.%d", at)])
		}
		l.Notes = d.misfits(l.Name, &texts[n], some)
		d.Attributes = append(d.Attributes, l)
	}
	for at, m := range typed {
		if !shown[at] && m.Value != "" {
			d.Attributes = append(d.Attributes, attributeLine{
				ID: fmt.Sprintf("field-attribute.%d", at), Path: m.Value, Name: m.ID, Typed: true, Error: sentence(f.Errors[fmt.Sprintf("attribute.%d", at)]),
			})
		}
	}
	for n := range blankLines {
		d.Attributes = append(d.Attributes, attributeLine{ID: fmt.Sprintf("field-attribute.%d", len(typed)+len(texts)+n), Typed: true})
	}
}

// misfits says what of a text an attribute does not take, as far as its type
// tells. Where all metadata are attributes under their own names, some being
// false, the attribute is the one of that name.
func (d *mappingData) misfits(name string, t *backfill.SeenText, some bool) []string {
	key, metadata := strings.CutPrefix(t.Path, metadataPrefix)
	switch {
	case d.Table == nil, some && name == "", !some && !metadata:
		return nil
	case !some:
		name = key
	}
	at := slices.IndexFunc(d.Table.Attributes, func(a consent.Attribute) bool { return a.Name == name })
	if at < 0 {
		return []string{fmt.Sprintf("The table has no attribute %q: it is left out.", name)}
	}
	return unfit(d.Table.Attributes[at], t.Kinds)
}

// samples are values of the JSON types, to ask an attribute whether it takes
// them. A text may be a number or a date, so its type tells nothing.
var samples = map[string]json.RawMessage{"number": json.RawMessage("1"), "boolean": json.RawMessage("true"), "list": json.RawMessage("[]"), "object": json.RawMessage("{}")}

func unfit(a consent.Attribute, kinds map[string]int64) []string {
	if a.Generated {
		return []string{"Actito itself writes this attribute: it is left out."}
	}
	var notes []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if kind == "text" && a.Kind != consent.String {
			notes = append(notes, fmt.Sprintf("A text is taken where it reads as %s %s: the simulation counts those that do not.", article(string(a.Kind)), a.Kind))
			continue
		}
		sample, there := samples[kind]
		if !there {
			continue
		}
		if _, err := a.Convert(sample); err != nil {
			notes = append(notes, fmt.Sprintf("Left out for %s: a %s %s.", plural(kinds[kind], "person", "people"), kind, consent.MessageOf(err)))
		}
	}
	return notes
}

func article(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// kindsText says of what type a text was seen to be.
func kindsText(kinds map[string]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, number(kinds[kind])+" "+kind)
	}
	return strings.Join(parts, ", ")
}

// seenPart tells what is known of the path that was just typed.
func (c *Console) seenPart(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.setup(r, v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	m := mappingData{Choices: choicesOf(d.Setup.Choices)}
	path := strings.TrimSpace(r.URL.Query().Get(mappingValue))
	return c.pages["setup-mapping"].part(w, "seen", mappingLine{Path: path, Known: m.choice(path)})
}

package consent

import (
	"cmp"
	"encoding/json"
	"slices"
)

// The stored form of a state. Names are short because a million people each
// have one; lists are sorted so that equal states have equal bytes.
type (
	stateForm struct {
		Choices []choiceForm    `json:"c,omitempty"`
		Lists   []listForm      `json:"l,omitempty"`
		Texts   []textForm      `json:"x,omitempty"`
		Deleted map[string]Time `json:"d,omitempty"`
		Link    *Link           `json:"k,omitempty"`
		Gone    bool            `json:"gone,omitempty"`
	}
	choiceForm struct {
		Regulation string     `json:"r"`
		Kind       ChoiceKind `json:"k"`
		Purpose    string     `json:"p,omitempty"`
		Preference string     `json:"f,omitempty"`
		Channel    string     `json:"c,omitempty"`
		Value      string     `json:"v,omitempty"`
		Record
	}
	listForm struct {
		Regulation string   `json:"r"`
		Purpose    string   `json:"p"`
		Preference string   `json:"f"`
		Rest       Record   `json:"rest"`
		Newest     *Mark    `json:"n"`
		Order      []string `json:"v"`
	}
	textForm struct {
		Regulation string          `json:"r"`
		Name       string          `json:"n"`
		At         Time            `json:"t"`
		EventID    string          `json:"e,omitempty"`
		Value      json.RawMessage `json:"v"`
	}
)

// MarshalJSON writes the canonical form.
func (s *State) MarshalJSON() ([]byte, error) {
	f := stateForm{Deleted: s.deleted, Link: s.link, Gone: s.gone}
	for _, k := range sortedKeys(s.choices) {
		f.Choices = append(f.Choices, choiceForm{
			k.Regulation, k.Kind, k.Purpose, k.Preference, k.Channel, k.Value, s.choices[k],
		})
	}
	for k, l := range s.lists {
		f.Lists = append(f.Lists, listForm{k.Regulation, k.Purpose, k.Preference, l.Rest, l.Newest, l.Order})
	}
	slices.SortFunc(f.Lists, func(a, b listForm) int {
		return cmp.Or(cmp.Compare(a.Regulation, b.Regulation), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Preference, b.Preference))
	})
	for k, t := range s.texts {
		f.Texts = append(f.Texts, textForm{k.Regulation, k.Name, t.At, t.EventID, t.Value})
	}
	slices.SortFunc(f.Texts, func(a, b textForm) int {
		return cmp.Or(cmp.Compare(a.Regulation, b.Regulation), cmp.Compare(a.Name, b.Name))
	})
	return json.Marshal(f)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *State) UnmarshalJSON(b []byte) error {
	var f stateForm
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	*s = State{deleted: f.Deleted, link: f.Link, gone: f.Gone}
	if len(f.Choices) > 0 {
		s.choices = make(map[Key]Record, len(f.Choices))
	}
	for _, c := range f.Choices {
		k := Key{c.Regulation, Choice{c.Kind, c.Purpose, c.Preference, c.Channel, c.Value}}
		s.choices[k] = c.Record
	}
	if len(f.Lists) > 0 {
		s.lists = make(map[listKey]list, len(f.Lists))
	}
	for _, l := range f.Lists {
		s.lists[listKey{l.Regulation, l.Purpose, l.Preference}] = list{l.Rest, l.Newest, l.Order}
	}
	if len(f.Texts) > 0 {
		s.texts = make(map[textKey]Text, len(f.Texts))
	}
	for _, t := range f.Texts {
		s.texts[textKey{t.Regulation, t.Name}] = Text{t.At, t.EventID, t.Value}
	}
	return nil
}

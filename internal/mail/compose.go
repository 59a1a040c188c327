package mail

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"consentsync/internal/consent"
)

// Order is what is stored of a message until it is sent.
type Order struct {
	// UserID is the organization user id of whom it is about.
	UserID string `json:"user_id"`
	// Address, if set, counts instead of the one that is known.
	Address string `json:"address,omitempty"`
	// EventID is Didomi's id of the event that caused it, and At its time.
	EventID string       `json:"event_id,omitempty"`
	At      consent.Time `json:"at"`
	// Parameters count before those of the configuration.
	Parameters map[string][]string `json:"parameters,omitempty"`
}

// Encode writes an order as it is stored.
func (o Order) Encode() ([]byte, error) { return json.Marshal(o) }

// DecodeOrder reads what Encode wrote.
func DecodeOrder(b []byte) (o Order, err error) {
	err = json.Unmarshal(b, &o)
	return o, err
}

// Letter is a message as it is handed to Actito.
type Letter struct {
	Path, Campaign string
	// Attributes are those of the profile, the unique key first.
	Attributes []Attribute
	Parameters []Parameter
	// Source, Way and At say where the data come from.
	Source, Way string
	At          consent.Time
}

// Attribute is one of the profile.
type Attribute struct{ Name, Value string }

// Parameter is one of those that the content is personalised with.
type Parameter struct {
	Key    string
	Values []string
}

// source is what is told as the source of the data.
const source = "Didomi"

// Compose makes the letter: what the settings ask for of what is known of the
// person. What is not known is left out.
func Compose(s *Settings, organization string, view consent.View, rules consent.Rules, o Order) Letter {
	l := Letter{Path: s.Properties.Path, Campaign: s.Properties.Campaign(), Source: source, Way: "consent event " + o.EventID, At: o.At}
	if o.EventID == "" {
		l.Way = "request"
	}
	l.Attributes = attributes(&s.Properties, view, rules, o)
	l.Parameters = parameters(&s.Properties, organization, view, rules.Regulations, o)
	return l
}

// attributes gives those of the recipient's profile. Of somebody who gets the
// messages about others nothing is known but the key.
func attributes(p *Properties, view consent.View, rules consent.Rules, o Order) []Attribute {
	if p.Recipient != "" {
		return []Attribute{{rules.UniqueKey, p.Recipient}}
	}
	list := []Attribute{{rules.UniqueKey, o.UserID}}
	add := func(name, value string) {
		if value != "" && !slices.ContainsFunc(list, func(a Attribute) bool { return a.Name == name }) {
			list = append(list, Attribute{name, value})
		}
	}
	add(p.AddressAttribute, o.Address)
	own := rules
	own.AllMetadata, own.Attributes, own.Subscriptions = false, p.Attributes, nil
	for _, m := range p.Attributes {
		if a, known := consent.Project(view, own).Attributes[m.ID]; known {
			add(m.ID, consent.TextOf(a.Value))
		}
	}
	whole := consent.Project(view, rules).Attributes
	for _, name := range []string{p.AddressAttribute, p.LanguageAttribute} {
		if a, known := whole[name]; known {
			add(name, consent.TextOf(a.Value))
		}
	}
	return list
}

func parameters(p *Properties, organization string, view consent.View, regulations []string, o Order) []Parameter {
	all := map[string][]string{}
	for _, m := range p.Parameters {
		if text, said := view.Say(regulations, m.Value); said {
			all[m.ID] = []string{text}
		}
	}
	for name, address := range p.Links {
		all[name] = []string{expand(address, o, organization)}
	}
	maps.Copy(all, o.Parameters)
	list := make([]Parameter, 0, len(all))
	for name, values := range all {
		list = append(list, Parameter{name, values})
	}
	slices.SortFunc(list, func(a, b Parameter) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// expand fills the placeholders of an address, encoded so that they stand in a
// path and in a query alike.
func expand(address string, o Order, organization string) string {
	encode := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
	return strings.NewReplacer(
		"{event_id}", encode(o.EventID), "{organization_user_id}", encode(o.UserID), "{organization_id}", encode(organization),
	).Replace(address)
}

package simulator

import (
	"slices"
)

// The attributes that Actito itself keeps in every table and lets nobody write
// (https://cdn.actito.be/fe/actito-documentation-client/campaign/en/Creating_or_Updating_a_Single_Profile.html).
const (
	attrProfileID = "profileId"
	attrCreated   = "creationMoment"
	attrUpdated   = "updateMoment"
)

func isTechnical(attr string) bool {
	return attr == attrProfileID || attr == attrCreated || attr == attrUpdated
}

// Table is the structure of a profile table.
type Table struct {
	// ID is what stands in URLs, a number written as a string.
	ID, Name      string
	Attributes    []Attribute
	Subscriptions []string
}

// Attribute is a column of a profile table
// (https://developers.actito.com/docs/use-cases/data-model-management/profile-tables).
type Attribute struct {
	// Type is CUSTOM (also when empty) or a predefined one: LASTNAME, FIRSTNAME,
	// BIRTHDATE, SEX, MOTHER_LANGUAGE, EMAIL_ADDRESS.
	Type string
	Name string
	// ValueType of a CUSTOM attribute: STRING (also when empty), INTEGER,
	// DECIMAL, BOOLEAN, DATE or TIMESTAMP.
	ValueType   string
	Unique      bool
	Mandatory   bool
	MultiValued bool
	// MinLength and MaxLength bound a text. A MaxLength of 0 means 255.
	MinLength, MaxLength int
}

// SampleTable gives a realistic table with the id [SampleTableID].
func SampleTable() Table {
	return Table{
		ID:   SampleTableID,
		Name: "Profiles",
		Attributes: append(technicalAttributes(),
			Attribute{Type: "LASTNAME", Name: "lastName"},
			Attribute{Type: "FIRSTNAME", Name: "firstName"},
			Attribute{Type: "BIRTHDATE", Name: "birthDate"},
			Attribute{Type: "SEX", Name: "sex"},
			Attribute{Type: "MOTHER_LANGUAGE", Name: "motherLanguage"},
			Attribute{Type: "EMAIL_ADDRESS", Name: "emailAddress", Unique: true},
			Attribute{Name: "customerId", ValueType: "STRING", Unique: true, MaxLength: 255},
			Attribute{Name: "shop", ValueType: "STRING", MaxLength: 255},
			Attribute{Name: "age", ValueType: "INTEGER"},
			Attribute{Name: "vip", ValueType: "BOOLEAN"},
			Attribute{Name: "lastVisit", ValueType: "TIMESTAMP"},
		),
		Subscriptions: []string{"Newsletter", "Promotions", "SmsAlerts", "PartnerOffers"},
	}
}

func technicalAttributes() []Attribute {
	return []Attribute{
		{Name: attrProfileID, ValueType: "INTEGER", Unique: true, Mandatory: true},
		{Name: attrCreated, ValueType: "TIMESTAMP", Mandatory: true},
		{Name: attrUpdated, ValueType: "TIMESTAMP", Mandatory: true},
	}
}

// complete adds what every table has and fills in what was left empty.
func (t Table) complete() Table {
	t.Subscriptions = slices.Clone(t.Subscriptions)
	attrs := slices.Clone(t.Attributes)
	for i, technical := range technicalAttributes() {
		if !slices.ContainsFunc(attrs, func(a Attribute) bool { return a.Name == technical.Name }) {
			attrs = slices.Insert(attrs, min(i, len(attrs)), technical)
		}
	}
	for i, a := range attrs {
		if a.Type == "" {
			attrs[i].Type = "CUSTOM"
		}
		if attrs[i].Type == "CUSTOM" && a.ValueType == "" {
			attrs[i].ValueType = "STRING"
		}
	}
	t.Attributes = attrs
	return t
}

func (t *Table) attribute(name string) (Attribute, bool) {
	for _, a := range t.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// structure writes a table as the API shows it.
func (t *Table) structure(shape SubscriptionsShape) map[string]any {
	attrs := make([]map[string]any, 0, len(t.Attributes))
	shown := []map[string]any{}
	for _, a := range t.Attributes {
		attrs = append(attrs, a.structure())
		if a.Type != "CUSTOM" {
			shown = append(shown, map[string]any{"name": a.Name, "description": a.Name})
		}
	}
	subs := make([]any, 0, len(t.Subscriptions))
	for _, name := range t.Subscriptions {
		if shape == SubscriptionNames {
			subs = append(subs, name)
		} else {
			subs = append(subs, map[string]any{"name": name})
		}
	}
	return map[string]any{
		"id":             t.ID,
		"name":           t.Name,
		"attributes":     attrs,
		"subscriptions":  subs,
		"segmentations":  []any{},
		"displayOptions": map[string]any{"forAttributes": shown},
	}
}

func (a Attribute) structure() map[string]any {
	out := map[string]any{
		"type": a.Type, "name": a.Name, "unique": a.Unique, "mandatory": a.Mandatory,
	}
	if a.Type != "CUSTOM" {
		return out
	}
	out["valueType"] = a.ValueType
	out["multiValued"] = a.MultiValued
	if a.MinLength > 0 || a.MaxLength > 0 {
		out["valueRestriction"] = map[string]any{"minLength": a.MinLength, "maxLength": a.maxLength()}
	}
	return out
}

func (a Attribute) maxLength() int {
	if a.MaxLength == 0 {
		return 255
	}
	return a.MaxLength
}

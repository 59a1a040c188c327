package actito

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// v5 is version 5 of Actito's API: where things are, how they are written, and
// how answers are read. The package comment says what of it is documented and
// what is guessed.
type v5 struct{}

// ProfileID is the attribute that every table has and Actito fills.
const ProfileID = "profileId"

func (d v5) path(category string, segments ...string) string {
	path := []string{"", category, "v5"}
	for _, s := range segments {
		path = append(path, segment(s))
	}
	return strings.Join(path, "/")
}

func (d v5) entities() call {
	return call{op: "actito.Entities", method: http.MethodGet, path: d.path("entities", "entities")}
}

func (d v5) tables(entity string) call {
	return call{
		op: "actito.Tables", method: http.MethodGet,
		path: d.path("profile-table-structure", "entities", entity, "profile-tables"),
	}
}

func (d v5) structure(entity, tableID string) call {
	return call{
		op: "actito.Structure", method: http.MethodGet,
		path: d.path("profile-table-structure", "entities", entity, "profile-tables", tableID),
	}
}

func (d v5) parseEntities(body []byte) ([]Entity, error) {
	list, err := d.list(body, "entit")
	entities := make([]Entity, len(list))
	for i, object := range list {
		entities[i] = Entity{ID: text(field(object, "id")), Name: text(field(object, "name"))}
	}
	return entities, err
}

func (d v5) parseTables(body []byte) ([]TableRef, error) {
	list, err := d.list(body, "table")
	tables := make([]TableRef, len(list))
	for i, object := range list {
		t := TableRef{ID: text(field(object, "id")), Name: text(field(object, "name"))}
		if t.ID == "" {
			return nil, errors.New("a table in the answer has no id")
		}
		tables[i] = t
	}
	return tables, err
}

func (d v5) list(body []byte, hint string) ([]map[string]any, error) {
	v, err := decode(body)
	if err != nil {
		return nil, err
	}
	return listIn(v, hint)
}

// inside gives the object that holds one of the keys: the answer itself, or
// the one object in it that does.
func inside(answer map[string]any, keys ...string) (map[string]any, bool) {
	if field(answer, keys...) != nil {
		return answer, true
	}
	for _, key := range sortedKeys(answer) {
		if inner, ok := answer[key].(map[string]any); ok && field(inner, keys...) != nil {
			return inner, true
		}
	}
	return nil, false
}

func (d v5) parseStructure(body []byte) (Table, error) {
	answer, err := decodeObject(body)
	if err != nil {
		return Table{}, err
	}
	object, ok := inside(answer, "attributes")
	if !ok {
		return Table{}, errors.New("the answer holds no attributes")
	}
	table := Table{ID: text(field(object, "id")), Name: text(field(object, "name"))}
	list, ok := objects(field(object, "attributes"))
	if !ok {
		return Table{}, errors.New("the attributes are not a list of objects with a name")
	}
	for _, a := range list {
		attribute := Attribute{
			Name: text(field(a, "name")), Type: text(field(a, "type")), ValueType: text(field(a, "valueType")),
			Unique: flag(field(a, "unique")), Mandatory: flag(field(a, "mandatory")),
			MultiValued: flag(field(a, "multiValued")),
		}
		if limits, ok := field(a, "valueRestriction").(map[string]any); ok {
			attribute.MinLength = number(field(limits, "minLength"))
			attribute.MaxLength = number(field(limits, "maxLength"))
		}
		table.Attributes = append(table.Attributes, attribute)
	}
	table.Subscriptions = subscriptionNames(answer)
	return table, nil
}

// subscriptionNames looks for the names level by level: where they stand in a
// structure is not published. A key that is just "subscriptions" goes before
// one that only contains the word, and a level before the ones below.
func subscriptionNames(answer map[string]any) []string {
	for level := []map[string]any{answer}; len(level) > 0; {
		var next []map[string]any
		for _, object := range level {
			if found := namesUnder(field(object, "subscriptions")); len(found) > 0 {
				return found
			}
			for _, key := range keysLike(object, "subscription") {
				if rank(key, "subscription") == 0 {
					if found := namesUnder(object[key]); len(found) > 0 {
						return found
					}
				}
				if inner, ok := object[key].(map[string]any); ok {
					next = append(next, inner)
				}
			}
		}
		level = next
	}
	return nil
}

// namesUnder reads names from an array of strings or objects, from the arrays
// in an object, or from the keys of an object without arrays and numbers.
func namesUnder(v any) []string {
	var found []string
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			if name := nameOf(element); name != "" {
				found = append(found, name)
			}
		}
	case map[string]any:
		keysAreNames := true
		for _, key := range sortedKeys(v) {
			switch v[key].(type) {
			case []any:
				found = append(found, namesUnder(v[key])...)
				keysAreNames = false
			case json.Number:
				keysAreNames = false
			}
		}
		if keysAreNames {
			found = sortedKeys(v)
		}
	}
	return found
}

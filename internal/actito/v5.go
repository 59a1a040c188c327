package actito

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

func (d v5) profiles(ref Ref) string {
	return d.path("profiles", "entities", ref.Entity, "profile-tables", ref.TableID, "profiles")
}

func (d v5) profile(ref Ref) string {
	return d.profiles(ref) + "/" + segment(ref.KeyAttribute) + "=" + segment(ref.Key)
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

func (d v5) read(ref Ref) call {
	return call{
		op: "actito.Read", method: http.MethodGet, path: d.profile(ref), private: []string{ref.Key},
	}
}

// v5Body is the body of every write. Of an update only what it holds changes.
type v5Body struct {
	Key           map[string]any  `json:"key,omitempty"`
	Attributes    map[string]any  `json:"attributes,omitempty"`
	Subscriptions map[string]bool `json:"subscriptions,omitempty"`
}

func (d v5) update(ref Ref, change Change) (call, error) {
	return d.write("actito.Update", http.MethodPatch, d.profile(ref), ref,
		v5Body{Attributes: change.Attributes, Subscriptions: change.Subscriptions})
}

func (d v5) create(ref Ref, change Change) (call, error) {
	return d.write("actito.Create", http.MethodPost, d.profiles(ref), ref, whole(ref, change))
}

func (d v5) replace(ref Ref, change Change) (call, error) {
	return d.write("actito.Create", http.MethodPut, d.profiles(ref), ref, whole(ref, change))
}

// whole is the body that makes a profile: the key stands beside the attributes
// and among them.
func whole(ref Ref, change Change) v5Body {
	attributes := map[string]any{}
	maps.Copy(attributes, change.Attributes)
	// A number given for the key stays a number.
	if given, ok := attributes[ref.KeyAttribute]; !ok || fmt.Sprint(given) != ref.Key {
		attributes[ref.KeyAttribute] = ref.Key
	}
	return v5Body{
		Key:        map[string]any{ref.KeyAttribute: attributes[ref.KeyAttribute]},
		Attributes: attributes, Subscriptions: change.Subscriptions,
	}
}

func (d v5) write(op, method, path string, ref Ref, body v5Body) (call, error) {
	req := call{op: op, method: method, path: path, private: []string{ref.Key}}
	var err error
	if req.body, err = json.Marshal(body); err != nil {
		return req, err
	}
	// What was sent is read from the JSON, so that types of any kind count.
	sent, err := decodeObject(req.body)
	if err == nil {
		req.private = append(req.private, leaves(sent["attributes"])...)
	}
	return req, err
}

// leaves lists the strings and numbers in a value.
func leaves(v any) []string {
	switch v := v.(type) {
	case map[string]any:
		var all []string
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	case []any:
		var all []string
		for _, inner := range v {
			all = append(all, leaves(inner)...)
		}
		return all
	}
	if s := text(v); s != "" {
		return []string{s}
	}
	return nil
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

// The keys under which a subscription's value may stand.
var subscriptionValue = []string{"subscribe", "subscribed", "value", "belongs"}

// parseProfile reads a profile. An answer with neither attributes nor
// subscriptions, or with a subscription that is neither on nor off, is refused:
// taken for an answer it would confirm a withdrawal that nobody applied.
func (d v5) parseProfile(body []byte) (Profile, error) {
	answer, err := decodeObject(body)
	if err != nil {
		return Profile{}, err
	}
	object, ok := inside(answer, "attributes", "subscriptions")
	if !ok {
		return Profile{}, errors.New("the answer holds neither attributes nor subscriptions")
	}
	attributes, ok := pairs(field(object, "attributes"), nil, "value", "values")
	if !ok {
		return Profile{}, errors.New("the attributes are in no known form")
	}
	profile := Profile{Subscriptions: map[string]bool{}, Attributes: map[string]any{}}
	for name, value := range attributes {
		profile.Attributes[name] = plain(value)
	}
	told := field(object, "subscriptions")
	subscriptions, ok := pairs(told, true, subscriptionValue...)
	if !ok {
		return Profile{}, errors.New("the subscriptions are in no known form")
	}
	if told == nil {
		profile.Subscriptions = nil
	}
	for name, value := range subscriptions {
		if value == nil {
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			value = field(inner, subscriptionValue...)
		}
		on, ok := truth(value)
		if !ok {
			return Profile{}, errors.New("a subscription is neither on nor off")
		}
		profile.Subscriptions[name] = on
	}
	for _, v := range []any{field(attributes, ProfileID), field(object, ProfileID, "id"), field(answer, ProfileID, "id")} {
		if profile.ProfileID = text(v); profile.ProfileID != "" {
			break
		}
	}
	return profile, nil
}

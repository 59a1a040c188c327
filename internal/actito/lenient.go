package actito

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The readers in this file take a value in any of the forms in which Actito's
// APIs have been seen to write it. Their errors name no value.

func decode(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errors.New("the answer is not JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the answer is more than one JSON value")
	}
	return v, nil
}

func decodeObject(body []byte) (map[string]any, error) {
	v, err := decode(body)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("the answer is not a JSON object")
	}
	return object, nil
}

// field gives the first of the keys that the object holds, as written or, for
// want of that, in other letter case; nil if none.
func field(object map[string]any, keys ...string) any {
	for _, key := range keys {
		if v, ok := object[key]; ok {
			return v
		}
	}
	for _, key := range keys {
		first, found := "", false // as they would stand in order
		for k := range object {
			if strings.EqualFold(k, key) && (!found || k < first) {
				first, found = k, true
			}
		}
		if found {
			return object[first]
		}
	}
	return nil
}

func sortedKeys[V any](object map[string]V) []string {
	return slices.Sorted(maps.Keys(object))
}

// text reads a string or a number; empty for anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func number(v any) int {
	n, err := strconv.Atoi(text(v))
	if err != nil {
		return 0
	}
	return n
}

// truth reads yes or no; ok is false for what is neither.
func truth(v any) (yes, ok bool) {
	if b, isBool := v.(bool); isBool {
		return b, true
	}
	switch strings.ToLower(strings.TrimSpace(text(v))) {
	case "true", "1", "y", "yes", "on", "subscribed":
		return true, true
	case "false", "0", "n", "no", "off", "unsubscribed":
		return false, true
	}
	return false, false
}

func flag(v any) bool {
	yes, _ := truth(v)
	return yes
}

// plain turns the numbers in a value into int64 or float64. One that fits
// neither stays a json.Number.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if !strings.ContainsAny(v.String(), ".eE") {
			return v
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// objects reads an array of objects that have a name. An empty array is one.
func objects(v any) ([]map[string]any, bool) {
	array, ok := v.([]any)
	if !ok {
		return nil, false
	}
	list := make([]map[string]any, 0, len(array))
	for _, element := range array {
		object, ok := element.(map[string]any)
		if !ok || text(field(object, "name")) == "" {
			return nil, false
		}
		list = append(list, object)
	}
	return list, true
}

// listIn finds the array of named objects in an answer: the answer itself, or
// under a key that contains the hint, or under any key, or deeper. An empty
// array counts only where it stands first or under such a key.
func listIn(v any, hint string) ([]map[string]any, error) {
	type place struct {
		key string
		v   any
	}
	for level := []place{{hint, v}}; len(level) > 0; {
		var next []place
		for _, p := range level {
			hinted := strings.Contains(strings.ToLower(p.key), hint)
			if list, ok := objects(p.v); ok && (hinted || len(list) > 0) {
				return list, nil
			}
			if object, ok := p.v.(map[string]any); ok {
				for _, key := range keysLike(object, hint) {
					next = append(next, place{key, object[key]})
				}
			}
		}
		level = next
	}
	return nil, errors.New("the answer holds no list of objects with a name")
}

// keysLike gives an object's keys, those that contain the hint first.
func keysLike(object map[string]any, hint string) []string {
	keys := sortedKeys(object)
	slices.SortStableFunc(keys, func(a, b string) int {
		return rank(a, hint) - rank(b, hint)
	})
	return keys
}

func rank(key, hint string) int {
	if strings.Contains(strings.ToLower(key), hint) {
		return 0
	}
	return 1
}

// nameOf reads a name written as a string, in an object, or one object deeper.
func nameOf(v any) string {
	object, ok := v.(map[string]any)
	if !ok {
		s, _ := v.(string)
		return s
	}
	if name := text(field(object, "name")); name != "" {
		return name
	}
	for _, key := range sortedKeys(object) {
		if inner, ok := object[key].(map[string]any); ok {
			if name := text(field(inner, "name")); name != "" {
				return name
			}
		}
	}
	return ""
}

// pairs reads {"name": value, ...} or [{"name": ..., "value": ...}, ...], the
// value under the first of the keys that is there. In an array, a name without
// a value has the value bare. A nil gives no pairs; ok is false for any other
// form.
func pairs(v, bare any, valueKeys ...string) (found map[string]any, ok bool) {
	found = map[string]any{}
	switch v := v.(type) {
	case nil:
		return found, true
	case map[string]any:
		return v, true
	case []any:
		for _, element := range v {
			name := nameOf(element)
			if name == "" {
				return nil, false
			}
			found[name] = bare
			if object, ok := element.(map[string]any); ok && has(object, valueKeys...) {
				found[name] = field(object, valueKeys...)
			}
		}
		return found, true
	}
	return nil, false
}

// has says whether the object has one of the keys, be it with null.
func has(object map[string]any, keys ...string) bool {
	for k := range object {
		if slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(k, key) }) {
			return true
		}
	}
	return false
}

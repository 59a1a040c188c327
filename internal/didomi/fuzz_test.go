package didomi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"consentsync/internal/consent"
)

// How a flattener may name the members of lists.
type naming int

const (
	keepLists naming = iota
	byIndex
	byID
)

// flatten is the other way round of expand, written against the format and
// not against the shapes. Metadata stays whole below its keys.
func flatten(entity map[string]any, lists naming) map[string]any {
	out := map[string]any{}
	var put func(name string, v any)
	put = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if len(v) == 0 {
				break
			}
			for key, below := range v {
				if strings.HasSuffix(name, "__metadata") {
					out[name+flatSeparator+key] = below
				} else {
					put(name+flatSeparator+key, below)
				}
			}
			return
		case []any:
			if len(v) == 0 || lists == keepLists {
				break
			}
			for i, below := range v {
				key := strconv.Itoa(i)
				if o, ok := below.(map[string]any); ok && lists == byID {
					if id, ok := o["id"].(string); ok {
						key = id
					}
				}
				put(name+flatSeparator+key, below)
			}
			return
		}
		out[name] = v
	}
	for key, v := range entity {
		// At the top a user's record has its metadata too.
		if o, ok := v.(map[string]any); ok && key == "metadata" && len(o) > 0 {
			for k, below := range o {
				out["metadata"+flatSeparator+k] = below
			}
			continue
		}
		put(key, v)
	}
	return out
}

// flatForms gives the flattened forms of a plain payload, nil if it has none
// of which all is known.
func flatForms(root map[string]any, lists naming) []map[string]any {
	t, _ := root["type"].(string)
	parameters, _ := root["parameters"].(map[string]any)
	names := []string{"entity", "new_entity"}
	if strings.HasSuffix(t, ".updated") {
		slices.Reverse(names)
	}
	if parameters[names[0]] == nil {
		slices.Reverse(names)
	}
	entity, _ := parameters[names[0]].(map[string]any)
	if entity == nil || entity["id"] == nil {
		return nil
	}
	flat := flatten(entity, lists)
	envelope := func() map[string]any {
		e := map[string]any{"type": t, "parameters": map[string]any{"source": parameters["source"]}}
		if root["regulation"] != nil {
			e["regulation"] = root["regulation"]
		}
		return e
	}
	underEntity, underParameters, atTop, fromTop := envelope(), envelope(), envelope(), envelope()
	underEntity["entity"] = flat
	underParameters["parameters"].(map[string]any)["entity"] = flat
	fromTop["parameters__source"] = parameters["source"]
	delete(fromTop, "parameters")
	for name, v := range flat {
		atTop["entity__"+name] = v
		fromTop["parameters__new_entity__"+name] = v
	}
	return []map[string]any{underEntity, underParameters, atTop, fromTop}
}

// sortMessage takes away the order that a list keyed by ids cannot keep.
func sortMessage(m *consent.Message) *consent.Message {
	if m == nil {
		return nil
	}
	c := *m
	c.Choices = slices.Clone(c.Choices)
	slices.SortFunc(c.Choices, func(a, b consent.Said) int {
		return cmp.Or(cmp.Compare(fmt.Sprint(a.Choice), fmt.Sprint(b.Choice)), cmp.Compare(fmt.Sprint(a.Enabled), fmt.Sprint(b.Enabled)))
	})
	c.Selections = slices.Clone(c.Selections)
	slices.SortFunc(c.Selections, func(a, b consent.Selection) int {
		return cmp.Compare(fmt.Sprint(a.Purpose, "\x00", a.Preference), fmt.Sprint(b.Purpose, "\x00", b.Preference))
	})
	return &c
}

// unambiguous tells whether flattening loses nothing: no name holds or touches
// the separator, and below "values" there is nothing but what is documented.
// With ids in place of lists, ids must be unique and no numbers or fields.
func unambiguous(v any, in string, lists naming) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			switch {
			case in == "metadata":
				return true
			case strings.Contains(key, "_") && (strings.Contains(key, "__") || key[0] == '_' || key[len(key)-1] == '_'):
				return false
			case in == "a value" && key != "value":
				return false
			case lists == byID && in == "an entry" && !slices.Contains([]string{"id", "enabled", "values", "preferences", "channels"}, key):
				return false
			}
			name := key
			if in == "values" {
				name = "a value"
			}
			if !unambiguous(below, name, lists) {
				return false
			}
		}
	case []any:
		if lists != byID {
			break
		}
		seen := map[string]bool{}
		for _, entry := range v {
			o, ok := entry.(map[string]any)
			if !ok {
				continue
			}
			id, _ := o["id"].(string)
			if id == "" || seen[id] || isPlace(id) || strings.Contains(id, "_") {
				return false
			}
			seen[id] = true
			if !unambiguous(o, "an entry", lists) {
				return false
			}
		}
	}
	return true
}

func decodeAny(body []byte) (map[string]any, bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v map[string]any
	return v, d.Decode(&v) == nil
}

// checkFlat decodes each flattened form of a payload to what it decodes to.
func checkFlat(t *testing.T, body []byte, want *consent.Message) (checked int) {
	t.Helper()
	for _, lists := range []naming{keepLists, byIndex, byID} {
		root, ok := decodeAny(body)
		if !ok || !unambiguous(root, "", lists) {
			continue
		}
		for i, form := range flatForms(root, lists) {
			flat, err := json.Marshal(form)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(flat, organization)
			if err != nil {
				t.Fatalf("%s\nflattened (%d, %d) %s\n%v", body, lists, i, flat, err)
			}
			if lists == byID {
				got, want = sortMessage(got), sortMessage(want)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s\ngives %+v\nflattened (%d, %d) %s\ngives %+v", body, want, lists, i, flat, got)
			}
			checked++
		}
	}
	return checked
}

// TestFlatSamples shows that the plain samples mean the same when flattened,
// and that the check is no empty one.
func TestFlatSamples(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, body := range samples(t) {
		want, err := Decode(body, organization)
		if err != nil {
			t.Fatal(err)
		}
		checked += checkFlat(t, body, want)
	}
	if checked < 60 {
		t.Errorf("only %d flattened forms were checked", checked)
	}
}

// checkMessage holds a message to what every message must be.
func checkMessage(t *testing.T, m *consent.Message) {
	t.Helper()
	if !slices.Contains(consent.MessageTypes, m.Type) || m.Regulation == "" || m.Regulation != strings.ToLower(m.Regulation) {
		t.Fatalf("type %q, regulation %q", m.Type, m.Regulation)
	}
	if choices(m) > maxChoices {
		t.Fatalf("%d choices", choices(m))
	}
	for _, s := range m.Choices {
		if s.Choice.Path() == "" || s.Choice.Purpose+s.Choice.Channel == "" {
			t.Fatalf("a choice without a name: %+v", s)
		}
	}
	for _, s := range m.Selections {
		if s.Purpose == "" || s.Preference == "" || s.Values == nil || slices.Contains(s.Values, "") {
			t.Fatalf("selection %+v", s)
		}
	}
	for key, value := range m.Metadata {
		if again, err := Canonical(value); err != nil || !bytes.Equal(again, value) {
			t.Fatalf("metadata %q: %s, %v", key, value, err)
		}
	}
	if m.Cause == nil {
		return
	}
	if m.Type != consent.UserUpdated || m.Cause.Type != consent.EventCreated || m.Cause.Cause != nil ||
		m.Cause.OrganizationUserID != m.OrganizationUserID {
		t.Fatalf("%+v has the cause %+v", m, m.Cause)
	}
	checkMessage(t, m.Cause)
}

func FuzzDecode(f *testing.F) {
	for _, body := range samples(f) {
		f.Add(body)
	}
	f.Add([]byte(`{"type":"event.created","entity":{"consents__purposes__p__enabled":"no","consents__purposes__1":{},"user":{},"user__id":1}}`))
	f.Add([]byte(`{"type":"user.updated","parameters":{"source":{"id":""},"new_entity":{"id":"1","consents":{"purposes":[null,{"id":"value","values":{"value":{"value":["\u0061,"]}}}]}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		canonical, err := Canonical(body)
		if err != nil {
			if m, err := Decode(body, organization); err == nil {
				t.Fatalf("has no canonical form, but is decoded to %+v", m)
			}
			return
		}
		again, err := Canonical(canonical)
		if err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("canonical form %s has the canonical form %s, %v", canonical, again, err)
		}
		sameJSON(t, body, canonical)

		m, err := Decode(body, organization)
		for range 3 { // whatever is random must not show
			m2, err2 := Decode(body, organization)
			if !reflect.DeepEqual(m, m2) || !reflect.DeepEqual(err, err2) {
				t.Fatalf("decoded to %+v, %v, then to %+v, %v", m, err, m2, err2)
			}
		}
		// The canonical form says the same.
		m2, err2 := Decode(canonical, organization)
		if !reflect.DeepEqual(m, m2) || (err == nil) != (err2 == nil) {
			t.Fatalf("decoded to %+v, %v; its canonical form to %+v, %v", m, err, m2, err2)
		}
		if err != nil {
			var e *consent.Error
			if !errors.As(err, &e) || e.Kind != consent.Invalid || e.Message == "" || m != nil {
				t.Fatalf("error %#v, with %+v", err, m)
			}
			return
		}
		checkMessage(t, m)
		if !bytes.Contains(canonical, []byte("__")) {
			checkFlat(t, body, m)
		}
	})
}

// sameJSON compares with what encoding/json understands.
func sameJSON(t *testing.T, a, b []byte) {
	t.Helper()
	var values [2]any
	for i, body := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		t.Fatalf("%s is not the same as %s", a, b)
	}
}

// takesTheSame wants JSON to be what encoding/json says is JSON.
func takesTheSame(t *testing.T, body []byte) {
	t.Helper()
	_, err := parse(body)
	if err != nil && strings.Contains(err.Error(), "is given twice") || bytes.Count(body, []byte(","))+bytes.Count(body, []byte("[")) > maxValues/2 {
		return // encoding/json takes more of these
	}
	if want := json.Valid(body) && utf8.Valid(body); want != (err == nil) {
		t.Fatalf("encoding/json takes %.200q: %t; %v", body, want, err)
	}
}

func FuzzTree(f *testing.F) {
	for _, body := range samples(f) {
		f.Add(body)
	}
	f.Add([]byte(` [ -0.5e+1 , 0 , "\u00e9\ud83d\n" , {"a":[ ],"b":{ }} , null ] `))
	f.Fuzz(takesTheSame)
}

// What is nearly JSON is refused as encoding/json refuses it, wherever it is cut off
// and whatever one byte of it becomes.
func TestNearlyJSON(t *testing.T) {
	t.Parallel()
	whole := `{"a":[-0.5e+1,0,12.25E-3,true,false,null,"t\u00e9\\\"x"],"b":{},"c":[],"d":{"e":[[1],{"f":""}]}}`
	for at := range len(whole) + 1 {
		takesTheSame(t, []byte(whole[:at]))
		for _, odd := range "\x00\t {}[],:\"\\0-+.eEtnux\x7f" {
			takesTheSame(t, []byte(whole[:at]+string(odd)+whole[at:]))
			if at < len(whole) {
				takesTheSame(t, []byte(whole[:at]+string(odd)+whole[at+1:]))
			}
		}
	}
	for _, depth := range []int{maxDepth - 1, maxDepth, maxDepth + 1} {
		takesTheSame(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		takesTheSame(t, []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
	for _, body := range []string{"", " ", "1 2", "{}{}", "01", "1.", ".5", "-", "+1", "1e", "1e+", "tru", "truee", "nul", `"`, `"\`, `"\x"`, `"\u12g4"`, "\"\n\"", "[1,]", "[,1]", `{"a":1,}`, `{a:1}`, `{"a"}`, `{"a":}`, "\xef\xbb\xbf1"} {
		takesTheSame(t, []byte(body))
	}
}

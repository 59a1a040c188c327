package docs

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const schemasPrefix = "#/components/schemas/"

// schemas describes schemas; home is the page that has a section for each, or
// "" on that page itself.
type schemas struct{ home string }

// named gives the name of the schema that a reference is to, or "" if it is to
// none, or to a part of one.
func named(ref *openapi3.SchemaRef) string {
	name, ok := strings.CutPrefix(ref.Ref, schemasPrefix)
	if !ok || strings.Contains(name, "/") {
		return ""
	}
	return name
}

func (s schemas) link(name string) string {
	return fmt.Sprintf("[%s](%s#%s)", name, s.home, strings.ToLower(name))
}

// kind tells in words what a value of the schema is.
func (s schemas) kind(ref *openapi3.SchemaRef) string {
	v := ref.Value
	text := s.plainKind(ref)
	if v.Nullable && named(ref) == "" {
		text += " or null"
	}
	if v.Default != nil {
		text += ", otherwise " + code(literal(v.Default))
	}
	return text
}

func (s schemas) plainKind(ref *openapi3.SchemaRef) string {
	if name := named(ref); name != "" {
		return s.link(name)
	}
	v := ref.Value
	switch {
	case len(v.Enum) > 0:
		var words []string
		for _, w := range v.Enum {
			words = append(words, code(literal(w)))
		}
		return alternatives(words)
	case len(v.AllOf) > 0:
		return s.kinds(v.AllOf, " and ")
	case len(v.OneOf) > 0:
		return s.kinds(v.OneOf, " or ")
	case len(v.AnyOf) > 0:
		return s.kinds(v.AnyOf, " or ")
	case v.Type.Is("array"):
		return "list of " + s.kind(v.Items) + between("entries", number(float64(v.MinItems)), most(v.MaxItems))
	case v.Type.Is("integer"):
		return "whole number" + bounds(v)
	case v.Type.Is("number"):
		return "number" + bounds(v)
	case v.Type.Is("boolean"):
		return "true or false"
	case v.Type.Is("string"):
		return "text" + between("characters", number(float64(v.MinLength)), most(v.MaxLength)) + form(v)
	case v.AdditionalProperties.Schema != nil:
		return "object of " + s.kind(v.AdditionalProperties.Schema)
	case v.Type.Is("object"):
		return "object"
	}
	return "anything"
}

func (s schemas) kinds(refs openapi3.SchemaRefs, with string) string {
	var all []string
	for _, r := range refs {
		if k := s.kind(r); k != "anything" && !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return strings.Join(all, with)
}

func form(v *openapi3.Schema) string {
	switch {
	case v.Format == "date-time":
		return ", a time"
	case v.Pattern != "":
		return ", like " + code(v.Pattern)
	}
	return ""
}

func bounds(v *openapi3.Schema) string {
	least, greatest := "", ""
	if v.Min != nil {
		least = number(*v.Min)
	}
	if v.Max != nil {
		greatest = number(*v.Max)
	}
	return between("", least, greatest)
}

func most(n *uint64) string {
	if n == nil {
		return ""
	}
	return number(float64(*n))
}

// between tells the bounds of a number, or of how many there are. That there may
// be none, or is one at least, is not worth a word for what is counted.
func between(what, least, greatest string) string {
	if what != "" {
		what = " " + what
		if least == "0" || least == "1" {
			least = ""
		}
	}
	switch {
	case least != "" && greatest != "":
		return fmt.Sprintf(", %s to %s%s", least, greatest, what)
	case least != "":
		return fmt.Sprintf(", at least %s%s", least, what)
	case greatest != "":
		return fmt.Sprintf(", at most %s%s", greatest, what)
	}
	return ""
}

func number(f float64) string { return literal(f) }

// literal writes a value as JSON does, but a text without its quotes.
func literal(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// fields gives a row for each field of an object, those that have to be there
// first; what stands within an object that has no name has its path.
func (s schemas) fields(prefix string, ref *openapi3.SchemaRef) [][]string {
	v := ref.Value
	var rows [][]string
	for _, part := range v.AllOf {
		rows = append(rows, s.fields(prefix, part)...)
	}
	for _, name := range fieldNames(v) {
		field := v.Properties[name]
		rows = append(rows, []string{code(prefix + name), s.kind(field), yes(slices.Contains(v.Required, name)), description(field.Value)})
		if inner, below := within(field); inner != nil {
			rows = append(rows, s.fields(prefix+name+below, inner)...)
		}
	}
	return rows
}

func fieldNames(v *openapi3.Schema) []string {
	names := slices.Clone(v.Required)
	names = slices.DeleteFunc(names, func(name string) bool { return v.Properties[name] == nil })
	for _, name := range slices.Sorted(maps.Keys(v.Properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// within gives the object without a name that a field is, or is a list of, and
// how the path of what it holds goes on.
func within(ref *openapi3.SchemaRef) (inner *openapi3.SchemaRef, below string) {
	switch {
	case named(ref) != "":
		return nil, ""
	case len(ref.Value.Properties) > 0:
		return ref, "."
	case ref.Value.Type.Is("array"):
		inner, below = within(ref.Value.Items)
		return inner, "[]" + below
	}
	return nil, ""
}

// description is that of the schema, or of the one that an allOf adds to.
func description(v *openapi3.Schema) string {
	if v.Description == "" && len(v.AllOf) > 0 {
		return description(v.AllOf[0].Value)
	}
	return v.Description
}

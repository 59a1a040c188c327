package assumption

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	mostKeys  = 12 // of an object that are named
	mostDepth = 3
)

// Form describes a decoded JSON value by the names of its fields and the types of
// what they hold, without any value: {data: [{id: text}], total: number}.
func Form(v any) string { return form(v, mostDepth) }

func form(v any, depth int) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "yes or no"
	case string:
		return "text"
	case map[string]any:
		return formOfObject(v, depth)
	case []any:
		switch {
		case len(v) == 0:
			return "[]"
		case depth == 0:
			return "[…]"
		}
		return "[" + form(v[0], depth) + "]"
	}
	return "number"
}

func formOfObject(v map[string]any, depth int) string {
	if depth == 0 {
		return "{…}"
	}
	var fields []string
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if len(fields) == mostKeys {
			fields = append(fields, fmt.Sprintf("%d more", len(v)-mostKeys))
			break
		}
		fields = append(fields, key+": "+form(v[key], depth-1))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

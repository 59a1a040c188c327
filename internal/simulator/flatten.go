package simulator

import "strconv"

// Flatten gives the flat form that Didomi sends when a webhook's "Flatten" box
// is ticked: of the parameters only entity or new_entity is kept, as one "entity"
// whose property paths are joined by two underscores.
//
//	{"type": "event.created", "regulation": "gdpr",
//	 "entity": {"id": "...", "user__organization_user_id": "...",
//	            "consents__purposes__0__id": "newsletter"}}
//
// The separator and the single "entity" are told of
// (https://github.com/api-evangelist/didomi, asyncapi/didomi-webhooks.yml), no
// sample is published. That "entity" stands beside "type" and holds an object,
// that list items go by their index and that empty lists and objects vanish is
// our guess. [FlattenFully] makes the other reading.
func Flatten(payload map[string]any) map[string]any {
	out := rest(payload)
	entity := map[string]any{}
	flattenInto(entity, "", changedEntity(payload))
	out["entity"] = entity
	return out
}

// FlattenFully reads "flat" to the letter: nothing is nested, and the entity's
// paths begin with "entity__".
func FlattenFully(payload map[string]any) map[string]any {
	out := rest(payload)
	flattenInto(out, "entity", changedEntity(payload))
	return out
}

func rest(payload map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range payload {
		if name != "parameters" {
			out[name] = v
		}
	}
	return out
}

func changedEntity(payload map[string]any) any {
	parameters, _ := payload["parameters"].(map[string]any)
	if entity, ok := parameters["new_entity"]; ok {
		return entity
	}
	return parameters["entity"]
}

func flattenInto(out map[string]any, path string, v any) {
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + "__" + name
	}
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			flattenInto(out, below(name), one)
		}
	case []any:
		for i, one := range v {
			flattenInto(out, below(strconv.Itoa(i)), one)
		}
	default:
		if path != "" {
			out[path] = v
		}
	}
}

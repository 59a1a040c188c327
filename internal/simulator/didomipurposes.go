package simulator

import (
	"net/http"
	"strconv"
)

// listPurposes gives a page of the purposes, each with an id of its own beside
// that of the SDK (https://api.didomi.io/openapi.json, GET /metadata/purposes).
func (d *DidomiAPI) listPurposes(q *didomiRequest) outcome {
	number := func(name string, absent, most int) int {
		n, err := strconv.Atoi(q.query.Get(name))
		if err != nil {
			n = absent
		}
		return min(n, most)
	}
	limit, skip := number("$limit", 10, 100), number("$skip", 0, len(d.opts.Purposes))
	data := []any{}
	for _, id := range d.opts.Purposes[skip:min(skip+limit, len(d.opts.Purposes))] {
		data = append(data, map[string]any{
			"id": "purpose-" + id, "organization_id": d.opts.Organization, "type": "purpose",
			"description": map[string]any{"fr": "Le " + id, "en": "The " + id}, "namespaces": map[string]any{"didomi": id},
		})
	}
	return answer(http.StatusOK, map[string]any{"total": len(d.opts.Purposes), "limit": limit, "skip": skip, "data": data})
}

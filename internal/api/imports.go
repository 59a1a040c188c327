package api

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"consentsync/internal/backfill"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// mostPart bounds a part of a file.
const mostPart = 16 << 20

func (a *API) openImport(r *http.Request, organization string) (int, any, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	v, err := a.Imports.Open(r.Context(), organization, in.Name)
	return http.StatusOK, v, err
}

func (a *API) listImports(r *http.Request, organization string) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Imports.List(r.Context(), organization, r.URL.Query().Get("cursor"), limit))
}

// ofImport makes a handler of one that is about the import of the path.
func (a *API) ofImport(h func(r *http.Request, k store.ImportKey) (int, any, error)) handler {
	return a.in(func(r *http.Request, organization string) (int, any, error) {
		return h(r, store.ImportKey{Organization: organization, ID: r.PathValue("import_id")})
	})
}

// readPart gives a part of a file, and how many of its rows come before.
func readPart(r *http.Request) (from int64, body []byte, err error) {
	if from, err = strconv.ParseInt(r.URL.Query().Get("from"), 10, 64); err != nil || from < 0 {
		return 0, nil, incoming.RefuseField("from", "must be how many rows come before this part, 0 for none")
	}
	body, err = incoming.Body(nil, r, mostPart)
	return from, body, err
}

func (a *API) getImport(r *http.Request, k store.ImportKey) (int, any, error) {
	v, err := a.Imports.Get(r.Context(), k)
	return http.StatusOK, v, err
}

func (a *API) takeRows(r *http.Request, k store.ImportKey) (int, any, error) {
	from, body, err := readPart(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	v, err := a.Imports.Take(r.Context(), k, backfill.Part{File: q.Get("file"), Fingerprint: q.Get("fingerprint"), From: from, Body: body})
	return http.StatusOK, v, err
}

func (a *API) endImport(r *http.Request, k store.ImportKey) (int, any, error) {
	v, err := a.Imports.End(r.Context(), k)
	return http.StatusOK, v, err
}

func (a *API) listImportRefusals(r *http.Request, k store.ImportKey) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	var after store.RefusalCursor
	if text := r.URL.Query().Get("cursor"); text != "" {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(b, &after) != nil {
			return 0, nil, incoming.RefuseField("cursor", "must be the next of the page before")
		}
	}
	found, err := a.Imports.Refusals(r.Context(), k, after, limit)
	next := ""
	if len(found) == limit {
		last := found[len(found)-1]
		b, err := json.Marshal(store.RefusalCursor{File: last.File, Row: last.Row})
		if err != nil {
			return 0, nil, err
		}
		next = base64.RawURLEncoding.EncodeToString(b)
	}
	return page(found, next, err)
}

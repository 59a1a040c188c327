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

func (a *API) openImport(r *http.Request) (int, any, error) {
	organization, err := a.organization(r)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Name string `json:"name"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	v, err := a.Imports.Open(r.Context(), organization, in.Name)
	return http.StatusOK, v, err
}

func (a *API) listImports(r *http.Request) (int, any, error) {
	organization, err := a.organization(r)
	if err != nil {
		return 0, nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Imports.List(r.Context(), organization, r.URL.Query().Get("cursor"), limit))
}

// importKey gives the import of the path.
func (a *API) importKey(r *http.Request) (store.ImportKey, error) {
	organization, err := a.organization(r)
	return store.ImportKey{Organization: organization, ID: r.PathValue("import_id")}, err
}

func (a *API) getImport(r *http.Request) (int, any, error) {
	k, err := a.importKey(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Imports.Get(r.Context(), k)
	return http.StatusOK, v, err
}

func (a *API) takeRows(r *http.Request) (int, any, error) {
	k, err := a.importKey(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	p := backfill.Part{File: q.Get("file"), Fingerprint: q.Get("fingerprint")}
	if p.From, err = strconv.ParseInt(q.Get("from"), 10, 64); err != nil {
		return 0, nil, incoming.RefuseField("from", "must be how many rows of the file come before this part, 0 for none")
	}
	if p.Body, err = incoming.Body(nil, r, mostPart); err != nil {
		return 0, nil, err
	}
	v, err := a.Imports.Take(r.Context(), k, p)
	return http.StatusOK, v, err
}

func (a *API) endImport(r *http.Request) (int, any, error) {
	k, err := a.importKey(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Imports.End(r.Context(), k)
	return http.StatusOK, v, err
}

func (a *API) listImportRefusals(r *http.Request) (int, any, error) {
	k, err := a.importKey(r)
	if err != nil {
		return 0, nil, err
	}
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

package api

import (
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// LicenceHolder tells which node delivers for a licence.
type LicenceHolder struct {
	Licence      string        `json:"licence"`
	Node         *string       `json:"node"`
	HeldSince    *consent.Time `json:"held_since"`
	ExpiresAt    *consent.Time `json:"expires_at"`
	Integrations int64         `json:"integrations"`
}

func (a *API) listLicences(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := a.Store.Holdings(r.Context(), r.URL.Query().Get("cursor"), limit+1)
	if err != nil {
		return 0, nil, err
	}
	var next *string
	if len(found) > limit {
		found, next = found[:limit], &found[limit-1].Licence
	}
	holders := make([]LicenceHolder, len(found))
	for i, h := range found {
		holders[i] = holder(h)
	}
	return http.StatusOK, map[string]any{"data": holders, "next": next}, nil
}

func holder(h store.Holding) LicenceHolder {
	v := LicenceHolder{Licence: h.Licence, Integrations: h.Integrations}
	if h.Node != "" {
		v.Node, v.HeldSince, v.ExpiresAt = &h.Node, &h.Since, &h.ExpiresAt
	}
	return v
}

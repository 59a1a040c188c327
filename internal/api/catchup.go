package api

import (
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/incoming"
)

func (a *API) getCatchUp(r *http.Request) (int, any, error) {
	v, err := a.CatchUps.Get(r.Context(), r.PathValue("organization_id"))
	return http.StatusOK, v, err
}

func (a *API) askCatchUp(r *http.Request) (int, any, error) {
	var in struct {
		Since string `json:"since"`
		All   bool   `json:"all"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	var since *consent.Time
	if in.Since != "" || in.All {
		since = new(consent.Time)
	}
	if in.Since != "" {
		if in.All {
			return 0, nil, incoming.RefuseField("all", "stands alone: leave out since, or this")
		}
		if err := since.UnmarshalText([]byte(in.Since)); err != nil {
			return 0, nil, incoming.RefuseField("since", "must be a time such as 2026-11-02T09:00:00Z")
		}
	}
	v, err := a.CatchUps.Ask(r.Context(), r.PathValue("organization_id"), since)
	return http.StatusAccepted, v, err
}

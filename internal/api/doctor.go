package api

import (
	"net/http"

	"consentsync/internal/doctor"
)

func (a *API) examine(r *http.Request) (int, any, error) {
	var ask doctor.Ask
	if err := readFields(r, &ask); err != nil {
		return 0, nil, err
	}
	report, err := a.Doctor(r.Context(), ask)
	return http.StatusOK, report, err
}

package api

import (
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/events"
	"consentsync/internal/incoming"
)

func (a *API) listEvents(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	query := events.Query{OrganizationUserID: q.Get("organization_user_id"), Type: q.Get("type"), Outcome: q.Get("outcome")}
	for name, to := range map[string]*consent.Time{"from": &query.From, "to": &query.To} {
		if err := to.UnmarshalText([]byte(q.Get(name))); err != nil {
			return 0, nil, incoming.RefuseField(name, "must be a time such as 2026-11-02T09:30:00Z")
		}
	}
	return page(a.Events.List(r.Context(), r.PathValue("organization_id"), query, q.Get("cursor"), limit, personal(r.Context())))
}

func (a *API) getEvent(r *http.Request) (int, any, error) {
	e, err := a.Events.Get(r.Context(), r.PathValue("organization_id"), r.PathValue("event_id"), personal(r.Context()))
	return http.StatusOK, e, err
}

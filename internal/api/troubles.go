package api

import (
	"net/http"

	"consentsync/internal/integration"
	"consentsync/internal/store"
)

func (a *API) getOverview(r *http.Request, k store.IntegrationKey) (int, any, error) {
	v, err := a.Integrations.Overview(r.Context(), k)
	return http.StatusOK, v, err
}

func (a *API) listTroubles(r *http.Request, k store.IntegrationKey) (int, any, error) {
	found, err := a.Integrations.Troubles(r.Context(), k)
	return page(found, "", err)
}

func (a *API) listTroubled(r *http.Request, k store.IntegrationKey) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	return page(a.Integrations.Troubled(r.Context(), k, integration.Whom{Target: q.Get("target"), Status: q.Get("status"), Reason: q.Get("reason")}, q.Get("cursor"), limit))
}

func (a *API) retryIntegration(r *http.Request, k store.IntegrationKey) (int, any, error) {
	var in integration.RetryInput
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	v, err := a.Integrations.Retry(r.Context(), k, in)
	return http.StatusAccepted, v, err
}

package api

import (
	"net/http"

	"consentsync/internal/backfill"
	"consentsync/internal/store"
)

func (a *API) startReconciliation(r *http.Request, k store.IntegrationKey) (int, any, error) {
	var in backfill.ReconcileInput
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.Start(r.Context(), k, in)
	return http.StatusCreated, v, err
}

func (a *API) listReconciliations(r *http.Request, k store.IntegrationKey) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := a.Reconciler.List(r.Context(), k, limit)
	return page(found, "", err)
}

func (a *API) getReconciliation(r *http.Request, k store.IntegrationKey) (int, any, error) {
	v, err := a.Reconciler.Get(r.Context(), k, r.PathValue("run_id"))
	return http.StatusOK, v, err
}

func (a *API) takeHeldRows(r *http.Request, k store.IntegrationKey) (int, any, error) {
	from, body, err := readPart(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.Take(r.Context(), k, r.PathValue("run_id"), backfill.HeldPart{Fingerprint: r.URL.Query().Get("fingerprint"), From: from, Body: body})
	return http.StatusOK, v, err
}

func (a *API) endReconciliation(r *http.Request, k store.IntegrationKey) (int, any, error) {
	v, err := a.Reconciler.End(r.Context(), k, r.PathValue("run_id"))
	return http.StatusAccepted, v, err
}

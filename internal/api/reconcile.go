package api

import (
	"net/http"
	"strconv"

	"consentsync/internal/backfill"
	"consentsync/internal/incoming"
)

func (a *API) startReconciliation(r *http.Request) (int, any, error) {
	var in backfill.ReconcileInput
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.Start(r.Context(), k, in)
	return http.StatusCreated, v, err
}

func (a *API) listReconciliations(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	found, err := a.Reconciler.List(r.Context(), k, limit)
	return page(found, "", err)
}

func (a *API) getReconciliation(r *http.Request) (int, any, error) {
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.Get(r.Context(), k, r.PathValue("run_id"))
	return http.StatusOK, v, err
}

func (a *API) takeHeldRows(r *http.Request) (int, any, error) {
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	p := backfill.HeldPart{Fingerprint: q.Get("fingerprint")}
	if p.From, err = strconv.ParseInt(q.Get("from"), 10, 64); err != nil || p.From < 0 {
		return 0, nil, incoming.RefuseField("from", "must be how many rows come before this part, 0 for none")
	}
	if p.Body, err = incoming.Body(nil, r, mostPart); err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.Take(r.Context(), k, r.PathValue("run_id"), p)
	return http.StatusOK, v, err
}

func (a *API) endReconciliation(r *http.Request) (int, any, error) {
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	v, err := a.Reconciler.End(r.Context(), k, r.PathValue("run_id"))
	return http.StatusAccepted, v, err
}

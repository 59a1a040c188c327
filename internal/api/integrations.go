package api

import (
	"context"
	"net/http"

	"consentsync/internal/incoming"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

func (a *API) createIntegration(r *http.Request, organization string) (int, any, error) {
	dryRun, err := flag(r, "dry_run", false)
	if err != nil {
		return 0, nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	view, err := a.Integrations.Create(r.Context(), organization, body, dryRun)
	if dryRun {
		return http.StatusOK, view, err
	}
	return http.StatusCreated, view, err
}

func (a *API) listIntegrations(r *http.Request, organization string) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Integrations.List(r.Context(), organization, r.URL.Query().Get("cursor"), limit))
}

// key gives the integration of the path. Its id alone names it; an
// organization in the query has to be its own.
func (a *API) key(r *http.Request) (store.IntegrationKey, error) {
	id := r.PathValue("id")
	organization, err := a.Store.OrganizationOf(r.Context(), id)
	if err != nil {
		return store.IntegrationKey{}, err
	}
	if asked := r.URL.Query().Get("organization_id"); asked != "" && asked != organization {
		return store.IntegrationKey{}, errNoIntegration
	}
	return store.IntegrationKey{Organization: organization, ID: id}, nil
}

// on makes a handler of what is done with one integration.
func (a *API) on(r *http.Request, f func(store.IntegrationKey) (*integration.View, error)) (int, any, error) {
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	view, err := f(k)
	return http.StatusOK, view, err
}

func (a *API) getIntegration(r *http.Request) (int, any, error) {
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) { return a.Integrations.Get(r.Context(), k) })
}

func (a *API) getPlan(r *http.Request, k store.IntegrationKey) (int, any, error) {
	plan, err := a.Integrations.Plan(r.Context(), k)
	return http.StatusOK, plan, err
}

func (a *API) changeIntegration(r *http.Request) (int, any, error) {
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) {
		return a.Integrations.Change(r.Context(), k, body)
	})
}

func (a *API) deleteIntegration(r *http.Request, k store.IntegrationKey) (int, any, error) {
	return http.StatusNoContent, nil, a.Integrations.Delete(r.Context(), k)
}

func (a *API) pauseIntegration(r *http.Request) (int, any, error) {
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) { return a.Integrations.Pause(r.Context(), k) })
}

func (a *API) resumeIntegration(r *http.Request) (int, any, error) {
	var in struct {
		ApproveGrants bool `json:"approve_grants"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) {
		return a.Integrations.Resume(r.Context(), k, in.ApproveGrants)
	})
}

func (a *API) refreshIntegration(r *http.Request) (int, any, error) {
	dryRun, err := flag(r, "dry_run", false)
	if err != nil {
		return 0, nil, err
	}
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) {
		if dryRun {
			return a.Integrations.Look(r.Context(), k)
		}
		return a.Integrations.Refresh(r.Context(), k)
	})
}

func (a *API) rotateWebhookSecret(r *http.Request) (int, any, error) {
	return a.on(r, func(k store.IntegrationKey) (*integration.View, error) {
		return a.Integrations.RotateWebhookSecret(r.Context(), k)
	})
}

func (a *API) testWebhook(r *http.Request, k store.IntegrationKey) (int, any, error) {
	t, err := a.Integrations.TestWebhook(r.Context(), k)
	return http.StatusOK, t, err
}

func (a *API) replayIntegration(r *http.Request, k store.IntegrationKey) (int, any, error) {
	var in struct {
		OrganizationUserID string `json:"organization_user_id"`
		integration.RetryInput
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	filter := in.RetryInput != (integration.RetryInput{Target: in.Target})
	if filter && in.OrganizationUserID != "" {
		return 0, nil, incoming.RefuseField("organization_user_id", "stands alone: leave out status, reason, from and to, or this")
	}
	if !filter {
		replay := a.Integrations.Replay
		switch store.Target(in.Target) {
		case "", store.TargetActito:
		case store.TargetDidomi:
			replay = a.Integrations.Retell
		default:
			return 0, nil, incoming.RefuseField("target", "must be actito or didomi")
		}
		err := replay(r.Context(), k, in.OrganizationUserID)
		return http.StatusAccepted, map[string]any{"people": 1}, err
	}
	v, err := a.Integrations.Retry(r.Context(), k, in.RetryInput)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, map[string]any{"people": 0, "reprojection": v.Reprojection}, nil
}

func (a *API) rereadIntegration(r *http.Request) (int, any, error) {
	return a.withPerson(r, a.Integrations.Reread)
}

// withPerson makes a handler of what is done with one person in an integration.
func (a *API) withPerson(r *http.Request, do func(ctx context.Context, k store.IntegrationKey, userID string) error) (int, any, error) {
	var in struct {
		OrganizationUserID string `json:"organization_user_id"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	k, err := a.key(r)
	if err != nil {
		return 0, nil, err
	}
	if err := do(r.Context(), k, in.OrganizationUserID); err != nil {
		return 0, nil, err
	}
	return http.StatusAccepted, map[string]any{"people": 1}, nil
}

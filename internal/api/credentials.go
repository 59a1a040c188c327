package api

import (
	"encoding/json"
	"net/http"

	"consentsync/internal/accounts"
)

// addWebhookClient reads no more of a body than which kind is asked for: for
// long it read none.
func (a *API) addWebhookClient(r *http.Request) (int, any, error) {
	body, err := readBody(r)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Kind string `json:"kind"`
	}
	_ = json.Unmarshal(body, &in) // no kind, then
	c, err := a.Accounts.AddWebhookClient(r.Context(), r.PathValue("organization_id"), in.Kind)
	return http.StatusCreated, c, err
}

func (a *API) listWebhookClients(r *http.Request) (int, any, error) {
	found, err := a.Accounts.WebhookClients(r.Context(), r.PathValue("organization_id"))
	return page(found, "", err)
}

func (a *API) rotateWebhookClient(r *http.Request) (int, any, error) {
	var in struct {
		Hours *int `json:"previous_for_hours"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	c, err := a.Accounts.RotateWebhookClient(r.Context(), r.PathValue("organization_id"), r.PathValue("client_id"), in.Hours)
	return http.StatusOK, c, err
}

func (a *API) removeWebhookClient(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, a.Accounts.RemoveWebhookClient(r.Context(), r.PathValue("organization_id"), r.PathValue("client_id"))
}

func (a *API) addAPIKey(r *http.Request) (int, any, error) {
	var in accounts.NewAPIKey
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	k, err := a.Accounts.AddAPIKey(r.Context(), r.PathValue("organization_id"), in)
	return http.StatusCreated, k, err
}

func (a *API) listAPIKeys(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Accounts.APIKeys(r.Context(), r.PathValue("organization_id"), r.URL.Query().Get("cursor"), limit))
}

func (a *API) revokeAPIKey(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, a.Accounts.RevokeAPIKey(r.Context(), r.PathValue("organization_id"), r.PathValue("key_id"))
}

func (a *API) getKeys(r *http.Request) (int, any, error) {
	v, err := a.Keys.View(r.Context())
	return http.StatusOK, v, err
}

func (a *API) rotateKeys(r *http.Request) (int, any, error) {
	var in struct {
		Master bool `json:"master"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	rotate := a.Keys.Rotate
	if in.Master {
		rotate = a.Keys.RotateMaster
	}
	if err := rotate(r.Context()); err != nil {
		return 0, nil, err
	}
	v, err := a.Keys.View(r.Context())
	return http.StatusAccepted, v, err
}

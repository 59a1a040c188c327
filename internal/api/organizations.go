package api

import (
	"cmp"
	"net/http"

	"consentsync/internal/changes"
	"consentsync/internal/incoming"
)

func (a *API) setFeature(r *http.Request) (int, any, error) {
	id := r.PathValue("organization_id")
	var in struct {
		Actito *bool `json:"actito"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Actito == nil {
		return 0, nil, incoming.RefuseField("actito", "is required: true or false")
	}
	if err := a.Accounts.SetFeature(r.Context(), id, *in.Actito); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"organization_id": id, "actito": *in.Actito}, nil
}

// page answers with a page of a list; next is empty at its end.
func page(data any, next string, err error) (int, any, error) {
	var cursor any
	if next != "" {
		cursor = next
	}
	return http.StatusOK, map[string]any{"data": data, "next": cursor}, err
}

func (a *API) listOrganizations(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Accounts.Organizations(r.Context(), r.URL.Query().Get("cursor"), limit))
}

func (a *API) listUsers(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	return page(a.Accounts.Members(r.Context(), r.PathValue("organization_id"), r.URL.Query().Get("cursor"), limit))
}

func (a *API) changeUser(r *http.Request) (int, any, error) {
	var in struct {
		Role string `json:"role"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, a.Accounts.SetRole(r.Context(), r.PathValue("organization_id"), r.PathValue("user_id"), in.Role)
}

func (a *API) removeUser(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, a.Accounts.Remove(r.Context(), r.PathValue("organization_id"), r.PathValue("user_id"))
}

// invite makes an invitation. Its link is below the public address, if that is
// known, otherwise below the one that was asked.
func (a *API) invite(r *http.Request) (int, any, error) {
	var in struct {
		Role string `json:"role"`
		Note string `json:"note"`
	}
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	v, err := a.Accounts.Invite(r.Context(), cmp.Or(a.PublicURL, "http://"+r.Host), r.PathValue("organization_id"), in.Role, in.Note)
	return http.StatusCreated, v, err
}

func (a *API) listInvitations(r *http.Request) (int, any, error) {
	found, err := a.Accounts.Invitations(r.Context(), r.PathValue("organization_id"))
	return page(found, "", err)
}

func (a *API) uninvite(r *http.Request) (int, any, error) {
	return http.StatusNoContent, nil, a.Accounts.Uninvite(r.Context(), r.PathValue("organization_id"), r.PathValue("invitation_id"))
}

func (a *API) listChanges(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	q := r.URL.Query()
	return page(changes.List(r.Context(), a.Store, r.PathValue("organization_id"), q.Get("integration_id"), q.Get("cursor"), limit))
}

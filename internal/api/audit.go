package api

import (
	"net/http"

	"consentsync/internal/audit"
	"consentsync/internal/incoming"
)

// mostLinks bounds the links of one page of the audit, each of which has up to
// 256 records.
const mostLinks = 20

func (a *API) exportAudit(r *http.Request) (int, any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return 0, nil, err
	}
	page, err := a.Audit.Export(r.Context(), r.PathValue("organization_id"), r.URL.Query().Get("cursor"), min(limit, mostLinks))
	return http.StatusOK, page, err
}

func (a *API) getPrivacy(r *http.Request) (int, any, error) {
	p, err := a.Audit.Privacy(r.Context(), r.PathValue("organization_id"))
	return http.StatusOK, p, err
}

func (a *API) changePrivacy(r *http.Request) (int, any, error) {
	var in audit.PrivacyChange
	if err := readFields(r, &in); err != nil {
		return 0, nil, err
	}
	p, err := a.Audit.ChangePrivacy(r.Context(), r.PathValue("organization_id"), in)
	return http.StatusOK, p, err
}

func (a *API) getProof(r *http.Request, organization string) (int, any, error) {
	p, err := a.Audit.Prove(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, p, err
}

func (a *API) exportUser(r *http.Request, organization string) (int, any, error) {
	p, err := a.Audit.Personal(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, p, err
}

func (a *API) eraseUser(r *http.Request, organization string) (int, any, error) {
	q := r.URL.Query()
	force := q.Get("force")
	if force != "" && force != "true" && force != "false" {
		return 0, nil, incoming.RefuseField("force", "must be true or false")
	}
	erased, err := a.Audit.Erase(r.Context(), organization, r.PathValue("organization_user_id"), q.Get("confirm"), force == "true")
	return http.StatusOK, erased, err
}

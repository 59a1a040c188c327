package api

import (
	"context"
	"net/http"
	"strings"

	"consentsync/internal/accounts"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// least is the role that a route takes in the organization that it is about. A
// route that is not listed takes an administrator.
var least = map[string]accounts.Role{
	"GET /v1/marketplace/integrations":                          accounts.Viewer,
	"GET /v1/marketplace/integrations/{id}":                     accounts.Viewer,
	"GET /v1/marketplace/integrations/{id}/plan":                accounts.Viewer,
	"GET /v1/marketplace/integrations/{id}/overview":            accounts.Viewer,
	"GET /v1/marketplace/integrations/{id}/troubles":            accounts.Viewer,
	"GET /v1/users/{organization_user_id}":                      accounts.Viewer,
	"GET /v1/users/{organization_user_id}/trace":                accounts.Viewer,
	"GET /v1/organizations/{organization_id}/events":            accounts.Viewer,
	"GET /v1/organizations/{organization_id}/events/{event_id}": accounts.Viewer,
	"GET /v1/organizations/{organization_id}/changes":           accounts.Viewer,
	"GET /v1/organizations/{organization_id}/catch-up":          accounts.Viewer,
	"GET /v1/organizations/{organization_id}/privacy":           accounts.Viewer,
	"GET /v1/marketplace/emails":                                accounts.Viewer,
	"GET /v1/marketplace/emails/{id}":                           accounts.Viewer,
	"GET /v1/emails/messages/counts":                            accounts.Viewer,
	"GET /v1/imports":                                           accounts.Viewer,
	"GET /v1/imports/{import_id}":                               accounts.Viewer,

	"GET /v1/marketplace/integrations/{id}/troubled":      accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/pause":        accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/resume":       accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/replay":       accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/retry":        accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/reread":       accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/webhook-test": accounts.Operator,
	"GET /v1/users/{organization_user_id}/proof":          accounts.Operator,
	"GET /v1/emails/messages":                             accounts.Operator,
	"GET /v1/emails/messages/{id}":                        accounts.Operator,
	"POST /v1/emails/messages/{id}/repeat":                accounts.Operator,
	"POST /v1/emails/send":                                accounts.Operator,
	"GET /v1/imports/{import_id}/refusals":                accounts.Operator,
	"POST /v1/organizations/{organization_id}/catch-up":   accounts.Operator,

	"GET /v1/marketplace/integrations/{id}/reconciliations":                accounts.Operator,
	"GET /v1/marketplace/integrations/{id}/reconciliations/{run_id}":       accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/reconciliations":               accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/rows": accounts.Operator,
	"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/end":  accounts.Operator,
}

// everywhere is the role in all organizations that a route takes which is about
// all of them.
var everywhere = map[string]accounts.Role{
	"PUT /v1/premium-features/{organization_id}": accounts.Administrator,
	"GET /v1/organizations":                      accounts.Viewer,
	"GET /v1/licences":                           accounts.Viewer,
	"GET /v1/keys":                               accounts.Administrator,
	"POST /v1/keys/rotate":                       accounts.Administrator,
	"POST /v1/doctor":                            accounts.Administrator,
}

// Takes gives the role that a route takes, and whether it has to be one in all
// organizations.
func Takes(pattern string) (needed accounts.Role, overAll bool) {
	if needed, ok := everywhere[pattern]; ok {
		return needed, true
	}
	if needed, ok := least[pattern]; ok {
		return needed, false
	}
	return accounts.Administrator, false
}

// admit tells who calls, if they may: Unauthorized for who is nobody, NotFound
// for who must not know whether there is such a thing, Forbidden for who has
// too small a role in the organization.
func (a *API) admit(r *http.Request) (*accounts.Actor, accounts.Role, error) {
	who, err := a.identify(r)
	if err != nil {
		return nil, "", err
	}
	needed, overAll := Takes(r.Pattern)
	if overAll {
		if role := who.Role(store.Everywhere); !role.Includes(needed) {
			return nil, "", consent.Errorf(consent.Forbidden, "api", "this takes the role %s in all organizations", needed)
		}
		return who, who.Role(store.Everywhere), nil
	}
	organization, missing, err := a.about(r, who)
	if err != nil {
		return nil, "", err
	}
	role := who.Role(organization)
	if role == "" {
		return nil, "", missing
	}
	if !role.Includes(needed) {
		return nil, "", consent.Errorf(consent.Forbidden, "api", "this takes the role %s; the key has the role %s", needed, role)
	}
	return who, role, nil
}

// identify tells who calls: the platform administrator, or a program with a key.
func (a *API) identify(r *http.Request) (*accounts.Actor, error) {
	err := a.Admin.Check(r)
	if err == nil {
		return accounts.Owner(), nil
	}
	key, ok := auth.Bearer(r)
	if !ok {
		return nil, err
	}
	return a.Accounts.Program(r.Context(), key, incoming.Source(r))
}

// about gives the organization that a request is about, and what is answered to
// who has no role there: the same as if it, or the integration, were not there.
func (a *API) about(r *http.Request, who *accounts.Actor) (organization string, missing, err error) {
	missing = consent.Errorf(consent.NotFound, "api", "there is no such organization, or the key is for another")
	if organization = r.PathValue("organization_id"); organization != "" {
		return organization, missing, nil
	}
	if strings.Contains(r.Pattern, " /v1/marketplace/integrations/{id}") {
		organization, err = a.Store.OrganizationOf(r.Context(), r.PathValue("id"))
		if err != nil && consent.KindOf(err) == consent.NotFound {
			err = errNoIntegration
		}
		return organization, errNoIntegration, err
	}
	if organization = r.URL.Query().Get("organization_id"); organization == "" {
		if who.Everywhere() {
			return store.Everywhere, missing, nil // the handler says what is missing
		}
		return "", missing, incoming.RefuseField("organization_id", "is required in the query")
	}
	return organization, missing, nil
}

var errNoIntegration = consent.Errorf(consent.NotFound, "api", "no such integration")

type roleKey struct{}

// personal tells whether who calls may see people's data without asking for
// the person by name.
func personal(ctx context.Context) bool {
	role, _ := ctx.Value(roleKey{}).(accounts.Role)
	return role.Includes(accounts.Operator)
}

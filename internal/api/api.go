// Package api is the administration interface under /v1.
//
// Every route needs the platform administrator's token, or a key with the role
// that it takes in the organization that it is about. About what is not there and
// what belongs to another organization the answer is the same. Answers and errors
// have the forms that openapi.yaml describes, and nothing else.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/audit"
	"consentsync/internal/auth"
	"consentsync/internal/backfill"
	"consentsync/internal/changes"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/incoming"
	"consentsync/internal/integration"
	"consentsync/internal/people"
	"consentsync/internal/reply"
	"consentsync/internal/routes"
	"consentsync/internal/store"
	"consentsync/internal/telemetry"
)

// Store is what the API needs of the database beside its services.
type Store interface {
	changes.Store
	OrganizationOf(ctx context.Context, integration string) (string, error)
	Holdings(ctx context.Context, after string, limit int) ([]store.Holding, error)
}

// API serves the routes under /v1.
type API struct {
	Store        Store
	Admin        *auth.Admin
	Accounts     *accounts.Service
	Integrations *integration.Service
	People       *people.Service
	Events       *events.Service
	Emails       *emailing.Service
	Imports      *backfill.Importer
	CatchUps     *backfill.CatchUps
	Reconciler   *backfill.Reconciler
	Audit        *audit.Service
	Keys         *auth.Rotator
	// PublicURL is where the server is reached; empty if that is not known.
	PublicURL string
	Log       *slog.Logger
	Now       func() time.Time
}

// handler answers with a status and a body, or with an error.
type handler func(r *http.Request) (status int, body any, err error)

// Register adds the routes to a mux.
func (a *API) Register(mux routes.Registrar) {
	for pattern, h := range map[string]handler{
		"PUT /v1/premium-features/{organization_id}":               a.setFeature,
		"POST /v1/organizations/{organization_id}/webhook-clients": a.addWebhookClient,
		"GET /v1/organizations/{organization_id}/webhook-clients":  a.listWebhookClients,
		"POST /v1/marketplace/integrations":                        a.createIntegration,
		"GET /v1/marketplace/integrations":                         a.listIntegrations,
		"GET /v1/marketplace/integrations/{id}":                    a.getIntegration,
		"PATCH /v1/marketplace/integrations/{id}":                  a.changeIntegration,
		"DELETE /v1/marketplace/integrations/{id}":                 a.deleteIntegration,
		"GET /v1/marketplace/integrations/{id}/plan":               a.getPlan,
		"POST /v1/marketplace/integrations/account":                a.listAccount,
		"POST /v1/marketplace/integrations/choices":                a.listChoices,
		"POST /v1/marketplace/integrations/simulate":               a.simulateNewIntegration,
		"POST /v1/marketplace/integrations/{id}/simulate":          a.simulateIntegration,
		"POST /v1/marketplace/integrations/{id}/pause":             a.pauseIntegration,
		"POST /v1/marketplace/integrations/{id}/resume":            a.resumeIntegration,
		"POST /v1/marketplace/integrations/{id}/refresh":           a.refreshIntegration,
		"POST /v1/marketplace/integrations/{id}/webhook-secret":    a.rotateWebhookSecret,
		"POST /v1/marketplace/integrations/{id}/webhook-test":      a.testWebhook,
		"POST /v1/marketplace/integrations/{id}/replay":            a.replayIntegration,
		"GET /v1/licences":                           a.listLicences,
		"GET /v1/keys":                               a.getKeys,
		"POST /v1/keys/rotate":                       a.rotateKeys,
		"GET /v1/users/{organization_user_id}":       a.getUser,
		"GET /v1/users/{organization_user_id}/trace": a.getTrace,

		"POST /v1/marketplace/emails":           a.createEmail,
		"GET /v1/marketplace/emails":            a.listEmails,
		"GET /v1/marketplace/emails/{id}":       a.getEmail,
		"PATCH /v1/marketplace/emails/{id}":     a.changeEmail,
		"DELETE /v1/marketplace/emails/{id}":    a.deleteEmail,
		"POST /v1/marketplace/emails/{id}/test": a.testEmail,
		"POST /v1/emails/send":                  a.sendEmail,
		"GET /v1/emails/messages":               a.listMessages,
		"GET /v1/emails/messages/counts":        a.countMessages,
		"GET /v1/emails/messages/{id}":          a.getMessage,
		"POST /v1/emails/messages/{id}/repeat":  a.repeatMessage,

		"GET /v1/organizations":                                                  a.listOrganizations,
		"GET /v1/organizations/{organization_id}/users":                          a.listUsers,
		"PATCH /v1/organizations/{organization_id}/users/{user_id}":              a.changeUser,
		"DELETE /v1/organizations/{organization_id}/users/{user_id}":             a.removeUser,
		"POST /v1/organizations/{organization_id}/invitations":                   a.invite,
		"GET /v1/organizations/{organization_id}/invitations":                    a.listInvitations,
		"DELETE /v1/organizations/{organization_id}/invitations/{invitation_id}": a.uninvite,
		"GET /v1/organizations/{organization_id}/events":                         a.listEvents,
		"GET /v1/organizations/{organization_id}/events/{event_id}":              a.getEvent,
		"GET /v1/marketplace/integrations/{id}/overview":                         a.getOverview,
		"GET /v1/marketplace/integrations/{id}/troubles":                         a.listTroubles,
		"GET /v1/marketplace/integrations/{id}/troubled":                         a.listTroubled,
		"POST /v1/marketplace/integrations/{id}/retry":                           a.retryIntegration,
		"POST /v1/marketplace/integrations/{id}/reread":                          a.rereadIntegration,
		"GET /v1/organizations/{organization_id}/changes":                        a.listChanges,

		"POST /v1/marketplace/integrations/{id}/reconciliations":               a.startReconciliation,
		"GET /v1/marketplace/integrations/{id}/reconciliations":                a.listReconciliations,
		"GET /v1/marketplace/integrations/{id}/reconciliations/{run_id}":       a.getReconciliation,
		"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/rows": a.takeHeldRows,
		"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/end":  a.endReconciliation,

		"GET /v1/organizations/{organization_id}/catch-up":  a.getCatchUp,
		"POST /v1/organizations/{organization_id}/catch-up": a.askCatchUp,

		"POST /v1/imports":                                                            a.openImport,
		"GET /v1/imports":                                                             a.listImports,
		"GET /v1/imports/{import_id}":                                                 a.getImport,
		"POST /v1/imports/{import_id}/rows":                                           a.takeRows,
		"POST /v1/imports/{import_id}/end":                                            a.endImport,
		"GET /v1/imports/{import_id}/refusals":                                        a.listImportRefusals,
		"GET /v1/organizations/{organization_id}/audit":                               a.exportAudit,
		"GET /v1/organizations/{organization_id}/privacy":                             a.getPrivacy,
		"PATCH /v1/organizations/{organization_id}/privacy":                           a.changePrivacy,
		"DELETE /v1/users/{organization_user_id}":                                     a.eraseUser,
		"GET /v1/users/{organization_user_id}/proof":                                  a.getProof,
		"GET /v1/users/{organization_user_id}/export":                                 a.exportUser,
		"POST /v1/organizations/{organization_id}/webhook-clients/{client_id}/rotate": a.rotateWebhookClient,
		"DELETE /v1/organizations/{organization_id}/webhook-clients/{client_id}":      a.removeWebhookClient,
		"POST /v1/organizations/{organization_id}/api-keys":                           a.addAPIKey,
		"GET /v1/organizations/{organization_id}/api-keys":                            a.listAPIKeys,
		"DELETE /v1/organizations/{organization_id}/api-keys/{key_id}":                a.revokeAPIKey,
	} {
		mux.Handle(pattern, a.serve(h))
	}
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(document)
	})
}

func (a *API) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := 0, any(nil)
		who, role, err := a.admit(r)
		if err == nil {
			ctx := context.WithValue(changes.WithActor(r.Context(), who.Email), roleKey{}, role)
			status, body, err = h(r.WithContext(ctx))
		}
		switch {
		case err != nil:
			status = reply.Describe(err).Code
			if status >= http.StatusInternalServerError {
				a.Log.ErrorContext(r.Context(), "a request failed", "pattern", r.Pattern, "error", err)
			}
			reply.Error(w, err)
		case body == nil:
			w.WriteHeader(status)
		default:
			reply.JSON(w, status, body)
		}
		if organization := cmp.Or(r.PathValue("organization_id"), r.URL.Query().Get("organization_id")); organization != "" {
			telemetry.Note(r.Context(), slog.String("organization", organization))
		}
	})
}

const mostBody = 1 << 20

func readBody(r *http.Request) ([]byte, error) { return incoming.Body(nil, r, mostBody) }

// readFields reads a small JSON object; an empty body leaves v as it is.
func readFields(r *http.Request, v any) error {
	body, err := readBody(r)
	if err != nil || len(body) == 0 {
		return err
	}
	return incoming.Decode(body, v)
}

// organization gives the organization of the query.
func (a *API) organization(r *http.Request) (string, error) {
	id := r.URL.Query().Get("organization_id")
	if id == "" {
		return "", incoming.RefuseField("organization_id", "is required in the query")
	}
	return id, nil
}

func (a *API) getUser(r *http.Request) (int, any, error) {
	organization, err := a.organization(r)
	if err != nil {
		return 0, nil, err
	}
	person, err := a.People.Explain(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, person, err
}

func (a *API) getTrace(r *http.Request) (int, any, error) {
	organization, err := a.organization(r)
	if err != nil {
		return 0, nil, err
	}
	entries, err := a.People.Trace(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, map[string]any{"data": entries}, err
}

// limitOf reads the page size of a list.
func limitOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 100, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return 0, incoming.RefuseField("limit", "must be a whole number from 1 to 1000")
	}
	return n, nil
}

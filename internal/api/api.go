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
	"consentsync/internal/doctor"
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
	// Doctor looks at the whole installation.
	Doctor func(ctx context.Context, ask doctor.Ask) (*doctor.Report, error)
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
		"POST /v1/marketplace/integrations":                        a.in(a.createIntegration),
		"GET /v1/marketplace/integrations":                         a.in(a.listIntegrations),
		"GET /v1/marketplace/integrations/{id}":                    a.getIntegration,
		"PATCH /v1/marketplace/integrations/{id}":                  a.changeIntegration,
		"DELETE /v1/marketplace/integrations/{id}":                 a.of(a.deleteIntegration),
		"GET /v1/marketplace/integrations/{id}/plan":               a.of(a.getPlan),
		"POST /v1/marketplace/integrations/account":                a.listAccount,
		"POST /v1/marketplace/integrations/choices":                a.listChoices,
		"POST /v1/marketplace/integrations/simulate":               a.in(a.simulateNewIntegration),
		"POST /v1/marketplace/integrations/{id}/simulate":          a.of(a.simulateIntegration),
		"POST /v1/marketplace/integrations/{id}/pause":             a.pauseIntegration,
		"POST /v1/marketplace/integrations/{id}/resume":            a.resumeIntegration,
		"POST /v1/marketplace/integrations/{id}/refresh":           a.refreshIntegration,
		"POST /v1/marketplace/integrations/{id}/webhook-secret":    a.rotateWebhookSecret,
		"POST /v1/marketplace/integrations/{id}/webhook-test":      a.of(a.testWebhook),
		"POST /v1/marketplace/integrations/{id}/replay":            a.of(a.replayIntegration),
		"GET /v1/licences":                           a.listLicences,
		"GET /v1/keys":                               a.getKeys,
		"POST /v1/keys/rotate":                       a.rotateKeys,
		"POST /v1/doctor":                            a.examine,
		"GET /v1/users/{organization_user_id}":       a.in(a.getUser),
		"GET /v1/users/{organization_user_id}/trace": a.in(a.getTrace),

		"POST /v1/marketplace/emails":           a.createEmail,
		"GET /v1/marketplace/emails":            a.in(a.listEmails),
		"GET /v1/marketplace/emails/{id}":       a.in(a.getEmail),
		"PATCH /v1/marketplace/emails/{id}":     a.changeEmail,
		"DELETE /v1/marketplace/emails/{id}":    a.in(a.deleteEmail),
		"POST /v1/marketplace/emails/{id}/test": a.in(a.testEmail),
		"POST /v1/emails/send":                  a.in(a.sendEmail),
		"GET /v1/emails/messages":               a.in(a.listMessages),
		"GET /v1/emails/messages/counts":        a.in(a.countMessages),
		"GET /v1/emails/messages/{id}":          a.in(a.getMessage),
		"POST /v1/emails/messages/{id}/repeat":  a.in(a.repeatMessage),

		"GET /v1/organizations":                                                  a.listOrganizations,
		"GET /v1/organizations/{organization_id}/users":                          a.listUsers,
		"PATCH /v1/organizations/{organization_id}/users/{user_id}":              a.changeUser,
		"DELETE /v1/organizations/{organization_id}/users/{user_id}":             a.removeUser,
		"POST /v1/organizations/{organization_id}/invitations":                   a.invite,
		"GET /v1/organizations/{organization_id}/invitations":                    a.listInvitations,
		"DELETE /v1/organizations/{organization_id}/invitations/{invitation_id}": a.uninvite,
		"GET /v1/organizations/{organization_id}/events":                         a.listEvents,
		"GET /v1/organizations/{organization_id}/events/{event_id}":              a.getEvent,
		"GET /v1/marketplace/integrations/{id}/overview":                         a.of(a.getOverview),
		"GET /v1/marketplace/integrations/{id}/troubles":                         a.of(a.listTroubles),
		"GET /v1/marketplace/integrations/{id}/troubled":                         a.of(a.listTroubled),
		"POST /v1/marketplace/integrations/{id}/retry":                           a.of(a.retryIntegration),
		"POST /v1/marketplace/integrations/{id}/reread":                          a.rereadIntegration,
		"GET /v1/organizations/{organization_id}/changes":                        a.listChanges,

		"POST /v1/marketplace/integrations/{id}/reconciliations":               a.of(a.startReconciliation),
		"GET /v1/marketplace/integrations/{id}/reconciliations":                a.of(a.listReconciliations),
		"GET /v1/marketplace/integrations/{id}/reconciliations/{run_id}":       a.of(a.getReconciliation),
		"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/rows": a.of(a.takeHeldRows),
		"POST /v1/marketplace/integrations/{id}/reconciliations/{run_id}/end":  a.of(a.endReconciliation),

		"GET /v1/organizations/{organization_id}/catch-up":  a.getCatchUp,
		"POST /v1/organizations/{organization_id}/catch-up": a.askCatchUp,

		"POST /v1/imports":                                                            a.in(a.openImport),
		"GET /v1/imports":                                                             a.in(a.listImports),
		"GET /v1/imports/{import_id}":                                                 a.ofImport(a.getImport),
		"POST /v1/imports/{import_id}/rows":                                           a.ofImport(a.takeRows),
		"POST /v1/imports/{import_id}/end":                                            a.ofImport(a.endImport),
		"GET /v1/imports/{import_id}/refusals":                                        a.ofImport(a.listImportRefusals),
		"GET /v1/organizations/{organization_id}/audit":                               a.exportAudit,
		"GET /v1/organizations/{organization_id}/privacy":                             a.getPrivacy,
		"PATCH /v1/organizations/{organization_id}/privacy":                           a.changePrivacy,
		"DELETE /v1/users/{organization_user_id}":                                     a.in(a.eraseUser),
		"GET /v1/users/{organization_user_id}/proof":                                  a.in(a.getProof),
		"GET /v1/users/{organization_user_id}/export":                                 a.in(a.exportUser),
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

// in makes a handler of one that is about an organization, which the query names.
func (a *API) in(h func(r *http.Request, organization string) (int, any, error)) handler {
	return func(r *http.Request) (int, any, error) {
		organization, err := a.organization(r)
		if err != nil {
			return 0, nil, err
		}
		return h(r, organization)
	}
}

// of makes a handler of one that is about the integration of the path.
func (a *API) of(h func(r *http.Request, k store.IntegrationKey) (int, any, error)) handler {
	return func(r *http.Request) (int, any, error) {
		k, err := a.key(r)
		if err != nil {
			return 0, nil, err
		}
		return h(r, k)
	}
}

func (a *API) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := 0, any(nil)
		who, role, err := a.admit(r)
		if err == nil {
			if organization := cmp.Or(r.PathValue("organization_id"), r.URL.Query().Get("organization_id")); organization != "" {
				telemetry.Note(r.Context(), slog.String("organization", organization)) // of who may know it: it is no longer whatever was typed
			}
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

func (a *API) getUser(r *http.Request, organization string) (int, any, error) {
	person, err := a.People.Explain(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, person, err
}

func (a *API) getTrace(r *http.Request, organization string) (int, any, error) {
	trace, err := a.People.Trace(r.Context(), organization, r.PathValue("organization_user_id"))
	return http.StatusOK, trace, err
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

// Package console is what people see in a browser: pages drawn on the server.
//
// Every page can be read without JavaScript, by keyboard and by a screen
// reader; scripts only keep what is on the screen up to date. A page shows
// nothing that the role of its reader in the organization does not allow, and
// whatever it changes goes through the services that the API uses, with the
// reader's name. Nothing is loaded from elsewhere, and no script or style
// stands in a page.
package console

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/audit"
	"consentsync/internal/changes"
	"consentsync/internal/consent"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/integration"
	"consentsync/internal/people"
	"consentsync/internal/reply"
	"consentsync/internal/routes"
	"consentsync/internal/signon"
)

// Options are the services behind the pages.
type Options struct {
	Accounts     *accounts.Service
	Changes      changes.Store
	Integrations *integration.Service
	People       *people.Service
	Events       *events.Service
	Emails       *emailing.Service
	Audit        *audit.Service
	// SignOn is the provider through which people may sign in; nil for none.
	SignOn *signon.Provider
	// PublicURL is where browsers reach us; empty if that is not known.
	PublicURL string
	Log       *slog.Logger
	Now       func() time.Time
}

// Console serves the pages.
type Console struct {
	Options
	pages   map[string]*page
	assets  *assets
	mux     routes.Mux
	handler http.Handler
	streams streams
	// closing is closed when streams have to end, by close.
	closing chan struct{}
	close   func()
}

// New makes the console.
func New(o Options) (*Console, error) {
	c := &Console{Options: o, assets: newAssets(), closing: make(chan struct{})}
	c.close = sync.OnceFunc(func() { close(c.closing) })
	var err error
	if c.pages, err = c.parse(); err != nil {
		return nil, err
	}
	c.routes(&c.mux)
	protection := http.NewCrossOriginProtection()
	if o.PublicURL != "" {
		if err := protection.AddTrustedOrigin(origin(o.PublicURL)); err != nil {
			return nil, err
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, nil, consent.Errorf(consent.Forbidden, "console", "this form was sent from another site, and was not taken"))
	}))
	c.handler = protection.Handler(&c.mux)
	return c, nil
}

// origin cuts an address down to scheme and host.
func origin(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// Register adds the console to a mux, which keeps all other addresses.
func (c *Console) Register(mux *routes.Mux) {
	mux.Mount(c, "/{$}", "/login", "/login/", "/logout", "/account", "/account/", accounts.InvitationPath, "/organizations", "/organizations/", "/o/", "/static/")
}

// Routes lists the addresses of the console.
func (c *Console) Routes() []string { return c.mux.Routes() }

// policy lets a page load from this server alone, and nothing that stands in
// the page itself: what somebody smuggles into a text stays a text.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	c.handler.ServeHTTP(w, r)
}

// routes are the addresses of the console. Those below /o/{org} are for who has
// at least the role in the organization; all others say what they need.
func (c *Console) routes(mux *routes.Mux) {
	mux.Handle("GET /static/{version}/{name}", c.assets)
	mux.Handle("/", c.open(c.notFound))
	mux.Handle("GET /login", c.open(c.signInPage))
	mux.Handle("POST /login", c.open(c.signIn))
	mux.Handle("GET "+signOnPath, c.open(c.signOn))
	mux.Handle("GET "+SignOnCallback, c.open(c.signedOn))
	mux.Handle("POST /logout", c.open(c.signOut))
	mux.Handle("GET /invitations/{secret}", c.open(c.invitationPage))
	mux.Handle("POST /invitations/{secret}", c.open(c.join))

	mux.Handle("GET /{$}", c.signedIn(c.home))
	mux.Handle("GET /account", c.signedIn(c.accountPage))
	mux.Handle("GET /account/password", c.signedIn(back("../account")))
	mux.Handle("POST /account/password", c.signedIn(c.changePassword))
	mux.Handle("GET /organizations", c.signedIn(c.organizationsPage))
	mux.Handle("POST /organizations", c.signedIn(c.setFeature))

	mux.Handle("GET /o/{org}", c.within(accounts.Viewer, c.overviewPage))
	mux.Handle("GET /o/{org}/live", c.stream("overview", "live", c.overviewLive))
	mux.Handle("GET /o/{org}/troubles", c.within(accounts.Viewer, c.troublesHome))
	mux.Handle("GET /o/{org}/integrations/{id}/troubles", c.within(accounts.Viewer, c.troublesPage))
	mux.Handle("GET /o/{org}/integrations/{id}/troubles/live", c.stream("troubles", "groups", c.troublesLive))
	mux.Handle("GET /o/{org}/integrations/{id}/troubles/export", c.within(accounts.Operator, c.exportTroubles))
	mux.Handle("POST /o/{org}/integrations/{id}/troubles/retry", c.within(accounts.Operator, c.retry))
	mux.Handle("GET /o/{org}/people", c.within(accounts.Viewer, c.personPage))
	mux.Handle("GET /o/{org}/people/proof", c.within(accounts.Operator, c.proofPage))
	mux.Handle("GET /o/{org}/people/erase", c.within(accounts.Administrator, c.erasePage))
	mux.Handle("POST /o/{org}/people/erase", c.within(accounts.Administrator, c.erase))
	mux.Handle("GET /o/{org}/events", c.within(accounts.Viewer, c.eventsPage))
	mux.Handle("GET /o/{org}/events/{event}", c.within(accounts.Viewer, c.eventPage))
	mux.Handle("GET /o/{org}/integrations/{id}", c.within(accounts.Viewer, c.integrationPage))
	mux.Handle("POST /o/{org}/integrations/{id}/pause", c.within(accounts.Operator, c.act(c.Integrations.Pause, "paused")))
	mux.Handle("POST /o/{org}/integrations/{id}/resume", c.within(accounts.Operator, c.act(c.resume(false), "resumed")))
	mux.Handle("POST /o/{org}/integrations/{id}/approve", c.within(accounts.Administrator, c.act(c.resume(true), "approved")))
	mux.Handle("POST /o/{org}/integrations/{id}/refresh", c.within(accounts.Administrator, c.act(c.Integrations.Refresh, "refreshed")))
	mux.Handle("POST /o/{org}/integrations/{id}/look", c.within(accounts.Operator, c.act(c.Integrations.Look, "looked")))
	mux.Handle("POST /o/{org}/integrations/{id}/replay", c.within(accounts.Operator, c.repairPerson(c.Integrations.Replay, "replayed")))
	mux.Handle("POST /o/{org}/integrations/{id}/retell", c.within(accounts.Operator, c.repairPerson(c.Integrations.Retell, "retold")))
	mux.Handle("POST /o/{org}/integrations/{id}/reread", c.within(accounts.Operator, c.repairPerson(c.Integrations.Reread, "reread")))
	mux.Handle("GET /o/{org}/emails", c.within(accounts.Viewer, c.emailsPage))
	mux.Handle("POST /o/{org}/emails", c.within(accounts.Administrator, c.createEmail))
	mux.Handle("GET /o/{org}/emails/{email}", c.within(accounts.Viewer, c.emailPage))
	mux.Handle("POST /o/{org}/emails/{email}", c.within(accounts.Administrator, c.changeEmail))
	mux.Handle("POST /o/{org}/emails/{email}/test", c.within(accounts.Administrator, c.testEmail))
	mux.Handle("POST /o/{org}/emails/{email}/delete", c.within(accounts.Administrator, c.deleteEmail))
	mux.Handle("POST /o/{org}/messages/{message}/repeat", c.within(accounts.Operator, c.repeatMessage))
	mux.Handle("POST /o/{org}/setups", c.within(accounts.Administrator, c.beginSetup))
	mux.Handle("POST /o/{org}/setups/{setup}/drop", c.within(accounts.Administrator, c.dropSetup))
	for _, step := range []string{"settings", "options", "mapping", "simulation"} {
		mux.Handle("GET /o/{org}/setups/{setup}/"+step, c.within(accounts.Administrator, c.setupPage(step)))
	}
	mux.Handle("GET /o/{org}/setups/{setup}/seen", c.within(accounts.Administrator, c.seenPart))
	mux.Handle("POST /o/{org}/setups/{setup}/settings", c.within(accounts.Administrator, c.keepSettings))
	mux.Handle("POST /o/{org}/setups/{setup}/options", c.within(accounts.Administrator, c.keepOptions))
	mux.Handle("POST /o/{org}/setups/{setup}/mapping", c.within(accounts.Administrator, c.keepMapping))
	mux.Handle("POST /o/{org}/setups/{setup}/simulation", c.within(accounts.Administrator, c.simulateAgain))
	mux.Handle("POST /o/{org}/setups/{setup}/activate", c.within(accounts.Administrator, c.activate))
	mux.Handle("GET /o/{org}/changes", c.within(accounts.Viewer, c.changesPage))
	mux.Handle("GET /o/{org}/users", c.within(accounts.Administrator, c.usersPage))
	mux.Handle("POST /o/{org}/invitations", c.within(accounts.Administrator, c.invite))
	mux.Handle("POST /o/{org}/invitations/{invitation}/remove", c.within(accounts.Administrator, c.uninvite))
	mux.Handle("GET /o/{org}/access", c.within(accounts.Administrator, c.accessPage))
	mux.Handle("POST /o/{org}/access/keys", c.within(accounts.Administrator, c.addKey))
	mux.Handle("POST /o/{org}/access/keys/{key_id}/revoke", c.within(accounts.Administrator, c.revokeKey))
	mux.Handle("POST /o/{org}/access/clients", c.within(accounts.Administrator, c.addClient))
	mux.Handle("POST /o/{org}/access/clients/{client_id}/rotate", c.within(accounts.Administrator, c.rotateClient))
	mux.Handle("POST /o/{org}/access/clients/{client_id}/remove", c.within(accounts.Administrator, c.removeClient))
	for form, page := range formsElsewhere {
		mux.Handle("GET "+form, c.within(accounts.Administrator, back(page)))
	}
	mux.Handle("POST /o/{org}/users/{user}/role", c.within(accounts.Administrator, c.changeRole))
	mux.Handle("POST /o/{org}/users/{user}/remove", c.within(accounts.Administrator, c.removeUser))
}

// formsElsewhere are the addresses to which forms are sent whose answer may be a
// page, and which are no page themselves, with that of the form, relative to
// them. Whoever reloads such an answer, or has to sign in on it, comes to the form.
var formsElsewhere = map[string]string{
	"/o/{org}/access/keys":                       "../access",
	"/o/{org}/access/clients":                    "../access",
	"/o/{org}/access/clients/{client_id}/rotate": "../../../access",
	"/o/{org}/invitations":                       "users",
	"/o/{org}/emails/{email}/test":               ".",
	"/o/{org}/setups/{setup}/activate":           "../..", // where it stands if it is not finished
}

// back leads to a page beside the one asked for.
func back(page string) handler {
	return func(w http.ResponseWriter, r *http.Request, _ *visit) error {
		http.Redirect(w, r, page, http.StatusSeeOther)
		return nil
	}
}

// fail answers with a page that tells what went wrong, and with nothing of the
// cause.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	e := reply.Describe(err)
	if e.Code >= http.StatusInternalServerError {
		c.Log.ErrorContext(r.Context(), "a page failed", "pattern", r.Pattern, "error", err)
	}
	if v == nil {
		v = &visit{}
	}
	c.show(w, r, v, e.Code, "error", "Error", errorData{e, cameFrom(r)})
}

// errorData is what the page of an error is drawn from.
type errorData struct {
	reply.Envelope
	Back string // the page of ours before it; empty if there is none
}

func (c *Console) notFound(_ http.ResponseWriter, _ *http.Request, _ *visit) error {
	return consent.Errorf(consent.NotFound, "console", "there is no page at this address")
}

// show writes a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, v *visit, status int, name, title string, data any) {
	p := c.pages[name]
	var b bytes.Buffer
	if err := p.execute(&b, shown{visit: v, Title: title, Page: name, Path: r.URL.Path, Done: doneTexts[r.URL.Query().Get("done")], Data: data}); err != nil {
		c.Log.ErrorContext(r.Context(), "a page cannot be drawn", "page", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// doneTexts are what the page after a change says of it, by the word that the
// address carries.
var doneTexts = map[string]string{
	"invited": "The invitation is taken back.", "role": "The role is changed.", "removed": "The user is removed.",
	"password": "The password is changed, and you are signed out everywhere else.", "joined": "Welcome.",
	"enabled": "The Actito integration is switched on.", "disabled": "The Actito integration is switched off.",
	"signed-out": "You are signed out.",
	"paused":     "Deliveries are paused. What becomes due is kept.", "resumed": "Deliveries go on.",
	"approved": "The grants go out.", "refreshed": "A new snapshot of the table is taken.",
	"replayed": "The person is due: what differs is sent now.", "retried": "They are being tried again.",
	"configured": "The message is configured.", "email-deleted": "No more messages of that type are sent.",
	"tested": "The test is on its way, and stands below.", "repeated": "The message is sent again.",
	"not-repeated": "The message cannot be sent again: it is not failed, unclear or dropped, or what it says is forgotten.",
	"erased":       "The person is erased.",
	"activated":    "The integration is active, with the snapshot below.", "changed": "The change is made, with a new snapshot of the table.",
	"looked":  "The table was looked at just now.",
	"revoked": "The key is revoked: it is worth nothing now.", "client-removed": "The credentials are removed: webhooks with them are refused.",
	"dropped": "The set-up is given up, and what was typed is forgotten.",
	"retold":  "Didomi is told again what the person chose in Actito.",
	"reread":  "The profile is read soon, and what differs is sent again.",
}

// done goes to a page that says what was done.
func done(w http.ResponseWriter, r *http.Request, to, word string) {
	if word != "" {
		to += "?done=" + word
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // to is ours, or has been through local
}

// acting gives the context under which a visit changes something.
func (v *visit) acting(r *http.Request) context.Context {
	return changes.WithActor(r.Context(), v.Actor.Email)
}

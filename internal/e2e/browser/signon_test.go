package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"consentsync/internal/app"
	"consentsync/internal/signon/signontest"
)

// Whom a provider knows signs in without a password: a user by their address, and
// somebody new by an invitation. Nobody else comes in.
func TestSignOn(t *testing.T) {
	t.Parallel()
	provider := signontest.New(t)
	// Browsers come back to an address that is known before the program starts.
	var leads atomic.Pointer[url.URL]
	public := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		httputil.NewSingleHostReverseProxy(leads.Load()).ServeHTTP(rw, r)
	}))
	t.Cleanup(public.Close)
	s := startWith(t, func(cfg *app.Config) {
		cfg.PublicURL, cfg.OIDCIssuer, cfg.OIDCClientID, cfg.OIDCClientSecret, cfg.OIDCName =
			public.URL, provider.URL, signontest.ClientID, signontest.ClientSecret, "Acme's directory"
	})
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	leads.Store(to)
	s.url = public.URL
	s.administrator() // ada@example.com, with a password
	s.ask(http.MethodPut, "/v1/premium-features/acme-org", map[string]bool{"actito": true}, nil)

	w := s.window()
	w.open("/o/acme-org/changes")
	w.looksGood("sign-in-provider")
	w.press("Sign in with Acme's directory")
	w.says("Who changed what")
	if at := w.at(); at != "/o/acme-org/changes" {
		t.Errorf("signing in leads to %s", at)
	}
	w.press("Ada Admin")

	provider.Says(map[string]any{"email": "Grace@example.com", "name": "Grace"})
	other := s.window()
	other.open("/login")
	other.press("Sign in with Acme's directory")
	other.says("Not allowed", "Nobody here has the address grace@example.com")
	var invitation struct{ URL string }
	s.ask(http.MethodPost, "/v1/organizations/acme-org/invitations", map[string]string{"role": "viewer"}, &invitation)
	other.open(invitation.URL)
	other.press("Join with Acme's directory")
	other.says("Welcome.", "Overview")
	other.press("Grace")
	other.says("Overview")
	other.open("/account")
	other.says("You sign in through Acme's directory")
	again := s.window()
	again.open("/login")
	again.press("Sign in with Acme's directory")
	again.says("Overview")
	again.open("/login/provider/callback?state=x&code=y")
	again.says("That did not work", "began in another browser")
	// Whoever has no password does not come in with any.
	third := s.window()
	third.open("/login")
	third.fill("E-mail address", "grace@example.com", "Password", "correct horse battery")
	third.press("Sign in")
	third.says("The e-mail address or the password is wrong.")
}

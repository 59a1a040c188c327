package browser_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
)

// program asks the API with a key, and gives the status.
func (s *site) program(key, path string) int {
	s.Helper()
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// worth tells whether credentials of Didomi's are worth a token.
func (s *site) worth(id, secret string) bool {
	s.Helper()
	resp, err := http.Post(s.url+"/oauth/token", "application/json",
		strings.NewReader(`{"grant_type":"client_credentials","client_id":"`+id+`","client_secret":"`+secret+`"}`))
	if err != nil {
		s.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// secrets gives what the page shows once.
func (w *window) secrets() []string {
	w.Helper()
	return script[[]string](w, `[...document.querySelectorAll(".secret")].map(e => e.textContent)`)
}

// An administrator lets Didomi and programs in, with secrets that are shown once,
// and locks them out again; all of it stands among the changes, without secrets.
// Nobody else sees any of it.
func TestAccess(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := s.administrator()
	w.scripts(false)
	s.ask(http.MethodPut, "/v1/premium-features/"+organization, map[string]bool{"actito": true}, nil)
	w.open("/o/acme-org")
	w.says("Didomi has no credentials to call with")
	w.press("make them, and its webhook")
	w.says("no choice can arrive", s.url+"/webhooks/didomi/acme-org", s.url+"/oauth/token")
	w.press("Make credentials")
	first := w.secrets()
	if len(first) != 2 || !s.worth(first[0], first[1]) {
		t.Fatalf("the credentials %q are worth nothing", first)
	}
	w.open("/o/acme-org")
	w.saysNothingOf("no credentials to call with")
	w.press("Access")
	w.saysNothingOf(first[1])
	w.press("Change the secret of " + first[0])
	w.fill("The one before stays good for", "no time")
	w.press("Make another for " + first[0])
	w.says("The credentials have another secret")
	second := w.secrets()
	if s.worth(first[0], first[1]) || !s.worth(second[0], second[1]) || first[0] != second[0] {
		t.Error("the secret is not another")
	}

	w.fill("What it is for", "", "Good for (days)", "400")
	script[bool](w, `document.querySelectorAll("[required]").forEach(e => e.required = false) ?? true`)
	w.press("Make the key")
	w.says("Is required, in at most 100 letters")
	w.fill("What it is for", "Reporting", "Role", "operator")
	w.press("Make the key")
	w.says("Must be a whole number from 1 to 366.")
	if name, days := w.value("name"), w.value("expires_in_days"); name != "Reporting" || days != "400" || w.value("role") != "operator" {
		t.Errorf("what was typed has become %q and %q", name, days)
	}
	if !script[bool](w, `document.querySelector("[role=alert]").getBoundingClientRect().bottom < innerHeight`) {
		t.Error("what is wrong stands below what the screen shows")
	}
	w.looksGood("access-refused")
	w.fill("Good for (days)", "30")
	w.press("Make the key")
	w.says("The key “Reporting” is made.", "by ada@example.com")
	key := w.secrets()[0]
	if status := s.program(key, "/v1/organizations/acme-org/events"); status != http.StatusOK {
		t.Errorf("the key is answered %d", status)
	}
	w.looksGood("access")
	// Whoever has to sign in on such an answer comes back to the page, and has made
	// nothing more.
	call(w, network.ClearBrowserCookies, cdp.Empty{})
	w.press("Make credentials")
	w.fill("E-mail address", "ada@example.com", "Password", "correct horse battery")
	w.press("Sign in")
	if at := w.at(); at != "/o/acme-org/access" {
		t.Errorf("signing in leads to %s", at)
	}
	w.says("Reporting")
	w.saysNothingOf(key)
	if n := script[float64](w, `document.querySelectorAll("tbody tr").length`); n != 2 {
		t.Errorf("there are %v rows", n)
	}
	w.press("Revoke Reporting")
	w.press("Really revoke Reporting")
	w.says("The key is revoked")
	if status := s.program(key, "/v1/organizations/acme-org/events"); status != http.StatusUnauthorized {
		t.Errorf("the revoked key is answered %d", status)
	}
	w.press("Remove " + first[0])
	w.press("Really remove " + first[0])
	w.says("The credentials are removed")
	if s.worth(second[0], second[1]) {
		t.Error("what was removed is worth a token")
	}
	w.press("Changes")
	w.says("ada@example.com made credentials for Didomi", "gave Didomi's credentials a new secret", "removed credentials of Didomi", "made a key of the API", "revoked a key of the API")
	w.saysNothingOf(key, first[1], second[1])

	w.open("/o/*/access")
	w.says("in all organizations")
	w.saysNothingOf("Make credentials")
	if status, _ := w.fetch(http.MethodPost, "/o/*/access/clients"); status != http.StatusNotFound {
		t.Errorf("credentials for all organizations are answered %d", status)
	}
	o := s.member(organization, "operator", "Olga")
	o.saysNothingOf("/access")
	for path, method := range map[string]string{"": http.MethodGet, "/keys": http.MethodPost, "/clients": http.MethodPost} {
		if status, _ := o.fetch(method, "/o/acme-org/access"+path, "name=x", "role=administrator", "expires_in_days=1"); status != http.StatusForbidden {
			t.Errorf("an operator at %s is answered %d", path, status)
		}
	}
}

package browser_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
)

// The first link makes an administrator, once; an organization is made and
// somebody is invited.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.app.FirstInvitation()
	w := s.window()
	w.open("/")
	w.says("Sign in")
	w.looksGood("sign-in")
	w.open(first)
	w.looksGood("invitation")
	w.fill("Your name", "Ada", "E-mail address", "ada@example.com", "Password", "short")
	w.press("Create the account")
	w.says("Must have at least 12 characters")
	w.looksGood("invitation-refused")
	if kept := w.value("email"); kept != "ada@example.com" {
		t.Errorf("what was typed is gone: %q", kept)
	}
	w.fill("Password", "correct horse battery")
	w.press("Create the account")
	w.says("Welcome.", "There is no organization yet")
	w.looksGood("organizations-none")
	w.fill("Its id in Didomi", "not an id")
	w.press("Create it")
	w.says("Must be 1 to 128 letters")
	w.fill("Its id in Didomi", "acme-org")
	w.press("Create it")
	w.says("The Actito integration is switched on.", "There is no integration yet")
	w.press("Users")
	w.fill("For whom", "Vera", "Role", "viewer")
	w.press("Make a link")
	w.says("The invitation is made.")
	w.looksGood("users")
	link := script[string](w, `document.querySelector(".secret").textContent`)

	other := s.window()
	other.open(first)
	other.says("Not here", "has been used")
	other.open(link)
	other.says("You are invited to acme-org, as viewer")
	other.fill("Your name", "Vera", "E-mail address", "vera@example.com", "Password", "correct horse battery")
	other.press("Create the account")
	other.says("Overview")
	other.saysNothingOf("/users")
	other.open("/o/acme-org/users")
	other.says("Not allowed", "This takes the role administrator")
	other.looksGood("not-allowed")
	other.open("/o/globex")
	other.says("Not here")
	other.open("/organizations")
	other.says("acme-org")
	other.saysNothingOf("Another organization")
	other.looksGood("organizations")
	other.open("/account")
	other.looksGood("account")

	w.open("/o/acme-org/users")
	w.says("vera@example.com")
	w.fill("Role of Vera", "operator")
	w.press("Change the role of Vera")
	w.says("The role is changed.")
	w.press("Changes")
	w.says("vera@example.com joined", "ada@example.com changed a role", "ada@example.com invited somebody")
	w.press("2 details")
	w.looksGood("changes")
	w.press("Ada")
	w.press("Sign out")
	w.says("You are signed out.")
	w.open("/o/acme-org")
	w.says("Sign in")
}

// A wrong password keeps the address; a lost session comes back to where one
// was; whoever goes on guessing waits.
func TestSigningIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.administrator()
	s.ask(http.MethodPut, "/v1/premium-features/acme-org", map[string]bool{"actito": true}, nil)
	w := s.window()
	w.open("/o/acme-org/changes?integration=none")
	w.fill("E-mail address", "Ada@Example.com ", "Password", "wrong horse battery")
	w.press("Sign in")
	w.says("The e-mail address or the password is wrong.")
	if kept, password := w.value("email"), w.value("password"); !strings.HasPrefix(kept, "Ada@Example.com") || password != "" {
		t.Errorf("the fields hold %q and %q", kept, password)
	}
	w.fill("Password", "correct horse battery")
	w.press("Sign in")
	if at := w.at(); at != "/o/acme-org/changes?integration=none" {
		t.Errorf("signing in leads to %s", at)
	}
	call(w, network.ClearBrowserCookies, cdp.Empty{})
	w.open("/account")
	w.says("Sign in")
	for range 15 { // each wait is twice as long: in the end one is longer than what the page takes
		w.fill("E-mail address", "nobody@example.com", "Password", "wrong horse battery")
		w.press("Sign in")
		if strings.Contains(w.text(), "Too many") {
			break
		}
	}
	w.says("Too many attempts: try again in")
}

// The browser is told to take nothing from elsewhere and nothing that stands in
// a page, and a cookie is for the server alone.
func TestWhatBrowsersAreTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	w := s.administrator()
	cookies := call(w, network.GetCookies, network.GetCookiesParams{}).Cookies
	if len(cookies) != 1 || !cookies[0].HTTPOnly || cookies[0].SameSite != network.CookieSameSiteLax {
		t.Errorf("the cookies are %+v", cookies)
	}
	resp, err := http.Get(s.url + "/login")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if p := resp.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
		t.Errorf("the policy is %q", p)
	}
	r, _ := http.NewRequest(http.MethodPost, s.url+"/login", strings.NewReader("email=a"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://elsewhere.example")
	resp, err = http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form from another site was answered %d", resp.StatusCode)
	}
}

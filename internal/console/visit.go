package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// visit is who looks at a page, and at which organization.
type visit struct {
	Actor        *accounts.Actor // nil for who is not signed in
	Organization string          // empty outside of any
	Role         accounts.Role   // in it
	secret       string          // of the session
}

// May tells whether the reader has at least a role in the organization.
func (v *visit) May(role string) bool { return v.Role.Includes(accounts.Role(role)) }

// Base is where the organization's pages are.
func (v *visit) Base() string { return "/o/" + url.PathEscape(v.Organization) }

// handler draws a page or makes a change. What it returns becomes an error page.
type handler func(w http.ResponseWriter, r *http.Request, v *visit) error

// open serves everybody, and knows who is signed in.
func (c *Console) open(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := c.visit(r, c.Accounts.Actor)
		if err == nil {
			err = h(w, r, v)
		}
		if err != nil {
			c.fail(w, r, v, err)
		}
	})
}

// signedIn serves who is signed in; everybody else comes back after signing in.
func (c *Console) signedIn(h handler) http.Handler {
	return c.open(func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if v.Actor == nil {
			askToSignIn(w, r)
			return nil
		}
		return h(w, r, v)
	})
}

// within serves who has at least a role in the organization of the address.
// Whoever has none is told that there is no such organization, whether there is
// or not.
func (c *Console) within(least accounts.Role, h handler) http.Handler {
	return c.signedIn(func(w http.ResponseWriter, r *http.Request, v *visit) error {
		if err := c.enter(r, v, least); err != nil {
			return err
		}
		return h(w, r.WithContext(v.acting(r)), v)
	})
}

// enter takes a visit to the organization of the address, or says why not.
func (c *Console) enter(r *http.Request, v *visit, least accounts.Role) error {
	organization := r.PathValue("org")
	role := v.Actor.Role(organization)
	if role == "" {
		return consent.Errorf(consent.NotFound, "console", "there is no organization %q that you may see", organization)
	}
	// The platform itself has users and changes, and no other page.
	exists := organization == store.Everywhere && v.Actor.Platform() && r.Pattern != "GET /o/{org}"
	if !exists {
		var err error
		if exists, _, err = c.Accounts.Organization(r.Context(), organization); err != nil {
			return err
		}
	}
	if !exists {
		return consent.Errorf(consent.NotFound, "console", "there is no organization %q that you may see", organization)
	}
	v.Organization, v.Role = organization, role
	if !role.Includes(least) {
		return consent.Errorf(consent.Forbidden, "console", "this takes the role %s; you are %s here. An administrator of %s can change that.", least, role, organization)
	}
	return nil
}

// visit reads who makes a request; who finds whom a session belongs to.
func (c *Console) visit(r *http.Request, who func(ctx context.Context, secret string) (*accounts.Actor, error)) (*visit, error) {
	v := &visit{}
	cookie, err := r.Cookie(c.cookieName())
	if err != nil {
		return v, nil //nolint:nilerr // no cookie is no fault
	}
	actor, err := who(r.Context(), cookie.Value)
	if consent.KindOf(err) == consent.Unauthorized && err != nil {
		return v, nil
	}
	v.Actor, v.secret = actor, cookie.Value
	return v, err
}

// secure tells whether browsers reach us by https.
func (c *Console) secure() bool { return strings.HasPrefix(c.PublicURL, "https://") }

// cookieName has the prefix that keeps other hosts of the domain from setting
// it, which browsers take with https alone.
func (c *Console) cookieName() string {
	if c.secure() {
		return "__Host-consentsync"
	}
	return "consentsync"
}

// keep gives the browser the secret of its session; an empty one takes it away.
// It stays until the browser is closed: how long it is worth something is for
// the session to say.
func (c *Console) keep(w http.ResponseWriter, secret string) {
	cookie := &http.Cookie{ //nolint:gosec // Secure wherever browsers reach us by https
		Name: c.cookieName(), Value: secret, Path: "/", HttpOnly: true, Secure: c.secure(), SameSite: http.SameSiteLaxMode,
	}
	if secret == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// askToSignIn sends to the sign-in page, and from there back to where one was. A
// form that was sent meanwhile is not made anew, so one comes back to its page.
func askToSignIn(w http.ResponseWriter, r *http.Request) {
	back := r.URL.RequestURI()
	if r.Method != http.MethodGet || isPart(r) {
		back = cameFrom(r)
	}
	to := "/login"
	if back = local(back); back != "/" {
		to += "?next=" + url.QueryEscape(back)
	}
	if isPart(r) {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// cameFrom gives the address on this server from which a request was made; empty
// if that is not known.
func cameFrom(r *http.Request) string {
	for _, from := range []string{r.Header.Get("HX-Current-URL"), r.Header.Get("Referer")} {
		if u, err := url.Parse(from); err == nil && u.Host == r.Host {
			return u.RequestURI()
		}
	}
	return ""
}

// isPart tells that a script asks for a part of a page.
func isPart(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }

// local gives an address on this server: the one asked for, or the beginning.
func local(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(address, "//") || strings.Contains(address, `\`) || strings.ContainsFunc(address, unicode.IsControl) {
		return "/"
	}
	return address
}

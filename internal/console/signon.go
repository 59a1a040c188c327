package console

import (
	"net/http"

	"consentsync/internal/consent"
	"consentsync/internal/signon"
	"consentsync/internal/store"
)

// Where somebody signs in through a provider, and where that sends them back to.
const (
	signOnPath     = "/login/provider"
	SignOnCallback = signOnPath + "/callback"
)

func (c *Console) signOnCookie() string { return c.cookieName() + "-signon" }

// signOn sends the browser to the provider.
func (c *Console) signOn(w http.ResponseWriter, r *http.Request, _ *visit) error {
	if c.SignOn == nil {
		return consent.Errorf(consent.NotFound, "console", "nobody signs in through a provider here")
	}
	address, keep, err := c.SignOn.Begin(r.Context(), local(r.URL.Query().Get("next")), r.URL.Query().Get("invitation"))
	if err != nil {
		return err
	}
	http.SetCookie(w, c.signOnKept(keep, int(signon.Life.Seconds())))
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // to the provider that the operator chose
	return nil
}

func (c *Console) signOnKept(keep string, age int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever browsers reach us by https
		Name: c.signOnCookie(), Value: keep, Path: "/", MaxAge: age, HttpOnly: true, Secure: c.secure(), SameSite: http.SameSiteLaxMode,
	}
}

// signedOn is where the provider sends the browser back to: whoever it says is
// there is signed in if there is such a user, or uses the invitation.
func (c *Console) signedOn(w http.ResponseWriter, r *http.Request, v *visit) error {
	if c.SignOn == nil {
		return c.notFound(w, r, v)
	}
	keep := ""
	if cookie, err := r.Cookie(c.signOnCookie()); err == nil {
		keep = cookie.Value
	}
	http.SetCookie(w, c.signOnKept("", -1)) // it is good for one answer
	who, err := c.SignOn.Finish(r.Context(), keep, r.URL.Query())
	if err != nil {
		if consent.KindOf(err) == consent.Unauthorized {
			c.Log.WarnContext(r.Context(), "a sign-in through the provider was refused", "error", err)
		}
		return err
	}
	if who.Invitation == "" {
		secret, err := c.Accounts.SignInAs(r.Context(), who.Email)
		if err != nil {
			return err
		}
		c.keep(w, secret)
		done(w, r, local(who.Next), "")
		return nil
	}
	organization, _, err := c.Accounts.Invited(r.Context(), who.Invitation)
	if err != nil {
		return err
	}
	secret, err := c.Accounts.JoinVerified(r.Context(), who.Invitation, who.Email, who.Name)
	if err != nil {
		return err
	}
	c.keep(w, secret)
	to := "/organizations"
	if organization != store.Everywhere {
		to = (&visit{Organization: organization}).Base()
	}
	done(w, r, to, "joined")
	return nil
}

// provider is what people call the provider; empty if there is none.
func (c *Console) provider() string {
	if c.SignOn == nil {
		return ""
	}
	return c.SignOn.Name
}

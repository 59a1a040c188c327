package console

import (
	"net/http"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/incoming"
	"consentsync/internal/store"
)

// signInData is what the sign-in page is drawn from.
type signInData struct {
	*Form
	Next string
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	next := local(r.URL.Query().Get("next"))
	if v.Actor != nil {
		done(w, r, next, "")
		return nil
	}
	c.show(w, r, v, http.StatusOK, "login", "Sign in", signInData{newForm(), next})
	return nil
}

func (c *Console) signIn(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	next := local(f.Get("next"))
	secret, err := c.Accounts.SignIn(r.Context(), f.Get("email"), f.Get("password"), incoming.Source(r))
	if err != nil {
		if !f.refused(err) {
			return err
		}
		status := http.StatusUnauthorized
		if consent.KindOf(err) == consent.RateLimited {
			status = http.StatusTooManyRequests
		}
		c.show(w, r, v, status, "login", "Sign in", signInData{f, next})
		return nil
	}
	c.keep(w, secret)
	done(w, r, next, "")
	return nil
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.Actor != nil {
		if err := c.Accounts.SignOut(r.Context(), v.secret); err != nil {
			return err
		}
	}
	c.keep(w, "")
	done(w, r, "/login", "signed-out")
	return nil
}

// home goes to the only organization that one sees, or lists them.
func (c *Console) home(w http.ResponseWriter, r *http.Request, v *visit) error {
	to := "/organizations"
	if own := v.Actor.Organizations(); len(own) == 1 && !v.Actor.Everywhere() {
		to = (&visit{Organization: own[0]}).Base()
	}
	done(w, r, to, "")
	return nil
}

// invitationData is what the page of an invitation is drawn from.
type invitationData struct {
	*Form
	Secret, Invited string
	Role            accounts.Role
	Platform        bool
}

func (c *Console) invited(r *http.Request, f *Form) (*invitationData, error) {
	organization, role, err := c.Accounts.Invited(r.Context(), r.PathValue("secret"))
	return &invitationData{f, r.PathValue("secret"), organization, role, organization == store.Everywhere}, err
}

func (c *Console) invitationPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	data, err := c.invited(r, newForm())
	if err != nil {
		return err
	}
	c.show(w, r, v, http.StatusOK, "invitation", "Invitation", data)
	return nil
}

// join uses an invitation: as who is signed in, or as somebody new.
func (c *Console) join(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	data, err := c.invited(r, f)
	if err != nil {
		return err
	}
	if v.Actor != nil {
		err = c.Accounts.JoinAs(r.Context(), data.Secret, v.Actor)
	} else {
		var secret string
		if secret, err = c.Accounts.Join(r.Context(), data.Secret, accounts.Newcomer{
			Email: f.Get("email"), Name: f.Get("name"), Password: f.Get("password"),
		}); err == nil {
			c.keep(w, secret)
		}
	}
	if err != nil {
		if !f.refused(err) {
			return err
		}
		c.show(w, r, v, f.status(), "invitation", "Invitation", data)
		return nil
	}
	to := "/organizations"
	if !data.Platform {
		to = (&visit{Organization: data.Invited}).Base()
	}
	done(w, r, to, "joined")
	return nil
}

func (c *Console) accountPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	c.show(w, r, v, http.StatusOK, "account", "Your account", newForm())
	return nil
}

func (c *Console) changePassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	if err := c.Accounts.ChangePassword(r.Context(), v.Actor, v.secret, f.Get("old_password"), f.Get("password"), incoming.Source(r)); err != nil {
		if !f.refused(err) {
			return err
		}
		c.show(w, r, v, f.status(), "account", "Your account", f)
		return nil
	}
	done(w, r, "/account", "password")
	return nil
}

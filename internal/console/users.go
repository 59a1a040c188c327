package console

import (
	"net/http"

	"consentsync/internal/accounts"
)

// usersData is what the page of an organization's users is drawn from.
type usersData struct {
	*Form
	Users       []accounts.MemberView
	Next        string
	Invitations []accounts.InvitationView
	Made        *accounts.InvitationView // just now, with its address
}

func (c *Console) usersPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showUsers(w, r, v, newForm("role", string(accounts.Viewer)), nil)
}

func (c *Console) showUsers(w http.ResponseWriter, r *http.Request, v *visit, f *Form, made *accounts.InvitationView) error {
	data := usersData{Form: f, Made: made}
	var err error
	if data.Users, data.Next, err = c.Accounts.Members(r.Context(), v.Organization, r.URL.Query().Get("after"), listed); err != nil {
		return err
	}
	if data.Invitations, err = c.Accounts.Invitations(r.Context(), v.Organization); err != nil {
		return err
	}
	c.show(w, r, v, f.status(), "users", "Users", data)
	return nil
}

// invite makes an invitation. Its address is shown in this answer alone.
func (c *Console) invite(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	made, err := c.Accounts.Invite(v.acting(r), c.reached(r), v.Organization, f.Get("role"), f.Get("note"))
	if err != nil && !f.refused(err) {
		return err
	}
	if err == nil {
		f = newForm("role", f.Get("role"))
	}
	return c.showUsers(w, r, v, f, made)
}

func (c *Console) uninvite(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Accounts.Uninvite(v.acting(r), v.Organization, r.PathValue("invitation")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/users", "invited")
	return nil
}

func (c *Console) changeRole(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	if err := c.Accounts.SetRole(v.acting(r), v.Organization, r.PathValue("user"), f.Get("role")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/users", "role")
	return nil
}

func (c *Console) removeUser(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Accounts.Remove(v.acting(r), v.Organization, r.PathValue("user")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/users", "removed")
	return nil
}

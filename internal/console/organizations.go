package console

import (
	"net/http"
	"slices"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
)

// listed is how many rows a page of a list has.
const listed = 50

// organizationsData is what the list of organizations is drawn from.
type organizationsData struct {
	*Form
	Organizations []organizationRow
	Next          string
}

type organizationRow struct {
	accounts.OrganizationView
	Role accounts.Role
}

func (c *Console) organizationsPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showOrganizations(w, r, v, newForm())
}

func (c *Console) showOrganizations(w http.ResponseWriter, r *http.Request, v *visit, f *Form) error {
	data := organizationsData{Form: f}
	if v.Actor.Everywhere() {
		found, next, err := c.Accounts.Organizations(r.Context(), r.URL.Query().Get("after"), listed)
		if err != nil {
			return err
		}
		data.Next = next
		for _, o := range found {
			data.Organizations = append(data.Organizations, organizationRow{o, v.Actor.Role(o.ID)})
		}
	} else {
		own := v.Actor.Organizations() // sorted
		first, found := slices.BinarySearch(own, r.URL.Query().Get("after"))
		if found {
			first++
		}
		if own = own[first:]; len(own) > listed {
			own = own[:listed]
			data.Next = own[listed-1]
		}
		for _, id := range own {
			exists, actito, err := c.Accounts.Organization(r.Context(), id)
			if err != nil {
				return err
			}
			if exists {
				data.Organizations = append(data.Organizations, organizationRow{accounts.OrganizationView{ID: id, Actito: actito}, v.Actor.Role(id)})
			}
		}
	}
	c.show(w, r, v, f.status(), "organizations", "Organizations", data)
	return nil
}

// setFeature makes an organization, or switches the premium feature of one.
func (c *Console) setFeature(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	if !v.Actor.Platform() {
		return consent.Errorf(consent.Forbidden, "console", "only an administrator of the platform can do this")
	}
	on := f.Get("actito") == "true"
	if err := c.Accounts.SetFeature(v.acting(r), f.Get("organization_id"), on); err != nil {
		if !f.refused(err) {
			return err
		}
		return c.showOrganizations(w, r, v, f)
	}
	word := "disabled"
	if on {
		word = "enabled"
	}
	done(w, r, (&visit{Organization: f.Get("organization_id")}).Base(), word)
	return nil
}

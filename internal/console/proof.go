package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"consentsync/internal/audit"
)

// proofData is what the page of a consent proof is drawn from.
type proofData struct {
	*audit.Proof
	Rows []proofRow
}

// proofRow is one event or call.
type proofRow struct {
	audit.Proven
	Integration string
	Sent        []string // what a call said
}

// proofPage is the proof of what became of somebody's consent, to be printed.
func (c *Console) proofPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	proof, err := c.Audit.Prove(r.Context(), v.Organization, strings.TrimSpace(r.URL.Query().Get("id")))
	if err != nil {
		return err
	}
	names, err := c.integrationNames(r.Context(), v.Organization)
	if err != nil {
		return err
	}
	data := proofData{Proof: proof}
	for _, x := range proof.Data {
		row := proofRow{Proven: x, Integration: names[x.IntegrationID]}
		for _, name := range slices.Sorted(maps.Keys(x.Subscriptions)) {
			row.Sent = append(row.Sent, name+map[bool]string{true: " on", false: " off"}[x.Subscriptions[name]])
		}
		row.Sent = append(row.Sent, x.Attributes...)
		data.Rows = append(data.Rows, row)
	}
	c.show(w, r, v, http.StatusOK, "proof", "Consent proof", data)
	return nil
}

// eraseData is what the page is drawn from on which somebody is erased.
type eraseData struct {
	*Form
	ID string
}

func (c *Console) erasePage(w http.ResponseWriter, r *http.Request, v *visit) error {
	c.show(w, r, v, http.StatusOK, "erase", "Erase a person", eraseData{newForm(), strings.TrimSpace(r.URL.Query().Get("id"))})
	return nil
}

func (c *Console) erase(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	_, err = c.Audit.Erase(v.acting(r), v.Organization, f.Get("id"), strings.TrimSpace(f.Get("confirm")), f.Has("force", "true"))
	if err != nil {
		if !f.refused(err) {
			return err
		}
		c.show(w, r, v, f.status(), "erase", "Erase a person", eraseData{f, f.Get("id")})
		return nil
	}
	http.Redirect(w, r, v.Base()+"/people?id="+url.QueryEscape(f.Get("id"))+"&done=erased", http.StatusSeeOther) //nolint:gosec // below our own path
	return nil
}

package console

import (
	"encoding/csv"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"consentsync/internal/accounts"
	"consentsync/internal/events"
	"consentsync/internal/integration"
)

// troublesData is what the page of who failed or is unmatched is drawn from.
type troublesData struct {
	*visit
	Here        string // the page of the integration's troubles
	Integration *integration.View
	Name        string
	Groups      []integration.TroubleView
	// Whom are those of the group that is open; the zero value for none.
	integration.Whom
	People       []integration.TroubledView
	Next         string
	Have         string
	Integrations []troubleIntegration // to choose from
}

type troubleIntegration struct {
	ID, Name string
	*integration.OverviewView
}

// troublesHome goes to the only integration, or lists them.
func (c *Console) troublesHome(w http.ResponseWriter, r *http.Request, v *visit) error {
	data, err := c.overview(r, v)
	if err != nil {
		return err
	}
	if len(data.Integrations) == 1 {
		done(w, r, v.Base()+"/integrations/"+data.Integrations[0].ID+"/troubles", "")
		return nil
	}
	var list []troubleIntegration
	for _, i := range data.Integrations {
		list = append(list, troubleIntegration{i.ID, i.Name, i.Goes})
	}
	c.show(w, r, v, http.StatusOK, "troubles", "Failed and unmatched", &troublesData{visit: v, Integrations: list})
	return nil
}

func (c *Console) troubles(r *http.Request, v *visit) (*troublesData, error) {
	k := v.integration(r)
	data := &troublesData{visit: v, Here: v.Base() + "/integrations/" + k.ID + "/troubles"}
	var err error
	if data.Integration, err = c.Integrations.Get(r.Context(), k); err != nil {
		return nil, err
	}
	data.Name = data.Integration.Properties.EntityID + " / " + data.Integration.Properties.TableName
	if data.Groups, err = c.Integrations.Troubles(r.Context(), k); err != nil {
		return nil, err
	}
	data.Have, err = c.seen("troubles", "groups", data)
	return data, err
}

func (c *Console) troublesPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	data, err := c.troubles(r, v)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if data.Whom = whom(q); data.Status != "" {
		data.People, data.Next, err = c.Integrations.Troubled(r.Context(), v.integration(r), data.Whom, q.Get("after"), listed)
		if err != nil {
			return err
		}
		if !v.Role.Includes(accounts.Operator) {
			for i := range data.People {
				data.People[i].OrganizationUserID = events.MaskID(data.People[i].OrganizationUserID)
			}
		}
	}
	c.show(w, r, v, http.StatusOK, "troubles", "Failed and unmatched", data)
	return nil
}

// More is the address of the next page of people, up to its cursor.
func (d *troublesData) More() string {
	return d.Here + "?target=" + url.QueryEscape(d.Target) + "&status=" + url.QueryEscape(d.Status) + "&reason=" + url.QueryEscape(d.Reason) + "&after="
}

// whom reads whose page is asked for.
func whom(q url.Values) integration.Whom {
	return integration.Whom{Target: q.Get("target"), Status: q.Get("status"), Reason: q.Get("reason")}
}

// troublesLive is read for the part of the page that moves.
func (c *Console) troublesLive(r *http.Request, v *visit) (any, string, error) {
	data, err := c.troubles(r, v)
	if err != nil {
		return nil, "", err
	}
	return data, data.Have, nil
}

// retry tries a group again, or all in a state.
func (c *Console) retry(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	k := v.integration(r)
	if _, err := c.Integrations.Retry(v.acting(r), k, integration.RetryInput{Target: f.Get("target"), Status: f.Get("status"), Reason: f.Get("reason")}); err != nil {
		return err
	}
	done(w, r, v.Base()+"/integrations/"+k.ID+"/troubles", "retried")
	return nil
}

// exported is how many people one query of an export reads.
const exported = 1000

// exportTroubles writes all who are in a state, for a reason if one is asked
// for, as CSV.
func (c *Console) exportTroubles(w http.ResponseWriter, r *http.Request, v *visit) error {
	q, k := r.URL.Query(), v.integration(r)
	page, next, err := c.Integrations.Troubled(r.Context(), k, whom(q), "", exported)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+strings.Trim(q.Get("target")+"-"+q.Get("status"), "-")+`.csv"`)
	out := csv.NewWriter(w)
	_ = out.Write([]string{"organization_user_id", "status", "reason", "calls", "updated_at"})
	for {
		for _, p := range page {
			_ = out.Write([]string{cell(p.OrganizationUserID), string(p.Status), cell(p.LastError), strconv.FormatInt(p.Calls, 10), machine(p.UpdatedAt)})
		}
		out.Flush()
		if next == "" || out.Error() != nil {
			return nil
		}
		if page, next, err = c.Integrations.Troubled(r.Context(), k, whom(q), next, exported); err != nil {
			// The head is sent: only a broken connection tells that it is not all.
			c.Log.ErrorContext(r.Context(), "an export ended too soon", "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") {
		return "'" + text
	}
	return text
}

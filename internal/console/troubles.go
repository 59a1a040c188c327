package console

import (
	"cmp"
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"consentsync/internal/accounts"
	"consentsync/internal/events"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// troublesData is what the page of who failed or is unmatched is drawn from.
type troublesData struct {
	*visit
	*Form
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
	if len(data.Integrations) == 1 && data.After == "" && data.Next == "" {
		done(w, r, v.Base()+"/integrations/"+data.Integrations[0].ID+"/troubles", "")
		return nil
	}
	var list []troubleIntegration
	for _, i := range data.Integrations {
		list = append(list, troubleIntegration{i.ID, i.Name, i.Goes})
	}
	c.show(w, r, v, http.StatusOK, "troubles", "Failed and unmatched", &troublesData{visit: v, Form: newForm(), Integrations: list, Next: data.Next})
	return nil
}

func (c *Console) troubles(r *http.Request, v *visit) (*troublesData, error) {
	k := v.integration(r)
	data := &troublesData{visit: v, Form: &Form{Values: r.URL.Query(), Errors: map[string]string{}}, Here: v.Base() + "/integrations/" + k.ID + "/troubles"}
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
		if err != nil && !data.refused(err) {
			return err
		}
		if !v.Role.Includes(accounts.Operator) {
			for i := range data.People {
				data.People[i].OrganizationUserID = events.MaskID(data.People[i].OrganizationUserID)
			}
		}
	}
	c.show(w, r, v, data.status(), "troubles", "Failed and unmatched", data)
	return nil
}

// Busy tells that nobody can be tried again now: others are.
func (d *troublesData) Busy() bool {
	r := d.Integration.Reprojection
	return r != nil && (r.OnlyStatus == "" || r.State != store.ReprojectionAsking)
}

// Left is how many the retry under way has yet to look at, as far as they are
// counted; 0 where that is not known.
func (d *troublesData) Left() (left int64) {
	r := d.Integration.Reprojection
	for _, g := range d.Groups {
		if g.Target == cmp.Or(r.OnlyTarget, store.TargetActito) && g.Status == r.OnlyStatus && (r.OnlyReason == "" || r.OnlyReason == g.Reason) {
			left += g.People
		}
	}
	return left
}

// Sum is how many the retry is about, as far as is known.
func (d *troublesData) Sum() int64 { return d.Integration.Reprojection.People + d.Left() }

// Some tells whether anybody is in a state towards a target.
func (d *troublesData) Some(target, status string) bool {
	return slices.ContainsFunc(d.Groups, func(g integration.TroubleView) bool { return string(g.Target) == target && string(g.Status) == status })
}

// Reasons is the field to choose one of the reasons.
func (d *troublesData) Reasons() field {
	f := newField(d.Form, "reason", "Reason", "option=:any")
	var had []string
	for _, g := range d.Groups {
		if !slices.Contains(had, g.Reason) {
			had = append(had, g.Reason)
			f.Options = append(f.Options, option{g.Reason, g.Reason})
		}
	}
	if is := d.Get("reason"); is != "" && !slices.Contains(had, is) {
		f.Options = append(f.Options, option{is, is})
	}
	return f
}

// Export is where those who are shown can be had as CSV.
func (d *troublesData) Export() string { return d.Here + "/export?" + d.query().Encode() }

// More is the address of the next page of people, up to its cursor.
func (d *troublesData) More() string { return d.Here + "?" + d.query().Encode() + "&after=" }

// query writes whom the page is about, as whom reads it.
func (d *troublesData) query() url.Values {
	return url.Values{"target": {d.Target}, "status": {d.Status}, "reason": {d.Reason}}
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

package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// overviewData is what the overview of an organization is drawn from.
type overviewData struct {
	*visit
	Feature      bool // whether the organization may use the Actito integration
	Integrations []overviewIntegration
	Setups       []integration.Setup // of new ones that are not finished
	// Unheard tells who can mend it that Didomi has no credentials to call with.
	Unheard     bool
	After, Next string // the page of integrations, and the one after it
	Have        string // what of the part that moves the browser has
}

type overviewIntegration struct {
	*integration.View
	Name  string
	Goes  *integration.OverviewView
	Plan  *integration.PlanView
	Chart *chart
	Due   int64
	Saved int64
	// SavedPart is how many of 100 calls were spared.
	SavedPart int64
	Load      *integration.LoadView // that is under way
}

// Failed counts those whom either end refuses.
func (o *overviewIntegration) Failed() int64 { return o.Goes.Failed + o.Goes.FailedToDidomi }

// MoreFailed tells that they are more than were counted.
func (o *overviewIntegration) MoreFailed() bool {
	return o.Goes.MoreFailed || o.Goes.MoreFailedToDidomi
}

// mostIntegrations bounds of how many integrations a page has the names, and
// listedIntegrations how many one page of the overview shows.
const mostIntegrations, listedIntegrations = 100, 20

func (c *Console) overview(r *http.Request, v *visit) (*overviewData, error) {
	data := &overviewData{visit: v}
	var err error
	if _, data.Feature, err = c.Accounts.Organization(r.Context(), v.Organization); err != nil {
		return nil, err
	}
	data.After = r.URL.Query().Get("after")
	views, next, err := c.Integrations.List(r.Context(), v.Organization, data.After, listedIntegrations)
	if err != nil {
		return nil, err
	}
	data.Next = next
	for _, i := range views {
		o := overviewIntegration{View: i, Name: i.Properties.EntityID + " / " + i.Properties.TableName}
		k := store.IntegrationKey{Organization: v.Organization, ID: i.ID}
		if o.Goes, err = c.Integrations.Overview(r.Context(), k); err != nil {
			return nil, err
		}
		if o.Plan, err = c.Integrations.Plan(r.Context(), k); err != nil {
			return nil, err
		}
		o.Chart = drawEffects(o.Goes, c.Now().Truncate(time.Minute))
		for _, q := range o.Plan.Due {
			o.Due += q.People
		}
		saved := o.Plan.Spent.Saved
		o.Saved = saved.Coalesced + saved.Unchanged + saved.Bulk
		if all := o.Saved + o.Plan.Spent.Calls; all > 0 {
			o.SavedPart = 100 * o.Saved / all
		}
		for n := range o.Plan.Loads {
			if l := &o.Plan.Loads[n]; l.State != store.LoadDone && o.Load == nil {
				o.Load = l
			}
		}
		data.Integrations = append(data.Integrations, o)
	}
	return data, nil
}

func (c *Console) overviewPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	data, err := c.movingOverview(r, v)
	if err != nil {
		return err
	}
	if data.Setups, err = c.setups(r, v, ""); err != nil {
		return err
	}
	if data.Feature && v.Role.Includes(accounts.Administrator) {
		clients, err := c.Accounts.WebhookClients(r.Context(), v.Organization)
		if err != nil {
			return err
		}
		data.Unheard = len(clients) == 0
	}
	c.show(w, r, v, http.StatusOK, "overview", "Overview", data)
	return nil
}

// movingOverview has the mark of the part that moves.
func (c *Console) movingOverview(r *http.Request, v *visit) (*overviewData, error) {
	data, err := c.overview(r, v)
	if err == nil {
		data.Have, err = c.seen("overview", "live", data)
	}
	return data, err
}

// overviewLive is read for the part of the overview that moves.
func (c *Console) overviewLive(r *http.Request, v *visit) (any, string, error) {
	data, err := c.movingOverview(r, v)
	if err != nil {
		return nil, "", err
	}
	return data, data.Have, nil
}

// seen gives a mark of what a part of a page looks like; data has none yet.
func (c *Console) seen(page, part string, data any) (string, error) {
	var b bytes.Buffer
	if err := c.pages[page].part(&b, part, data); err != nil {
		return "", err
	}
	sum := sha256.Sum256(b.Bytes())
	return hex.EncodeToString(sum[:8]), nil
}

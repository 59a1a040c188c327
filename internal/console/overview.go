package console

import (
	"net/http"

	"consentsync/internal/integration"
)

// overviewData is what the overview of an organization is drawn from.
type overviewData struct {
	Feature      bool // whether the organization may use the Actito integration
	Integrations []*integration.View
}

// mostIntegrations bounds what one overview shows.
const mostIntegrations = 100

func (c *Console) overviewPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	var data overviewData
	var err error
	if _, data.Feature, err = c.Accounts.Organization(r.Context(), v.Organization); err != nil {
		return err
	}
	if data.Integrations, _, err = c.Integrations.List(r.Context(), v.Organization, "", mostIntegrations); err != nil {
		return err
	}
	c.show(w, r, v, http.StatusOK, "overview", "Overview", data)
	return nil
}

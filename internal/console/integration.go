package console

import (
	"context"
	"net/http"
	"slices"

	"consentsync/internal/accounts"
	"consentsync/internal/changes"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// integrationData is what the page of an integration is drawn from.
type integrationData struct {
	*integration.View
	Changes []changes.View
	// Setups are the changes of it that somebody has begun, for who may go on with
	// them.
	Setups []integration.Setup
}

// shownChanges is how many changes the page of an integration shows.
const shownChanges = 10

func (v *visit) integration(r *http.Request) store.IntegrationKey {
	return store.IntegrationKey{Organization: v.Organization, ID: r.PathValue("id")}
}

func (c *Console) integrationPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	k := v.integration(r)
	i, err := c.Integrations.Get(r.Context(), k)
	if err != nil {
		return err
	}
	return c.showIntegration(w, r, v, i)
}

func (c *Console) showIntegration(w http.ResponseWriter, r *http.Request, v *visit, i *integration.View) error {
	data := integrationData{View: i}
	var err error
	if data.Changes, _, err = changes.List(r.Context(), c.Changes, v.Organization, i.ID, "", shownChanges); err != nil {
		return err
	}
	if data.Setups, err = c.setups(r, v, i.ID); err != nil {
		return err
	}
	c.show(w, r, v, http.StatusOK, "integration", i.Properties.EntityID+" / "+i.Properties.TableName, data)
	return nil
}

// setups lists the set-ups that are not finished, of an integration or of new
// ones, for who may go on with them.
func (c *Console) setups(r *http.Request, v *visit, integrationID string) ([]integration.Setup, error) {
	if !v.Role.Includes(accounts.Administrator) {
		return nil, nil
	}
	all, err := c.Integrations.Setups(r.Context(), v.Organization)
	return slices.DeleteFunc(all, func(x integration.Setup) bool { return x.IntegrationID != integrationID }), err
}

// act does something with an integration and comes back to its page.
func (c *Console) act(do func(ctx context.Context, k store.IntegrationKey) (*integration.View, error), word string) handler {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		k := v.integration(r)
		if _, err := do(v.acting(r), k); err != nil {
			return err
		}
		done(w, r, v.Base()+"/integrations/"+k.ID, word)
		return nil
	}
}

// resume starts deliveries again; approve also says yes to grants that wait.
func (c *Console) resume(approve bool) func(ctx context.Context, k store.IntegrationKey) (*integration.View, error) {
	return func(ctx context.Context, k store.IntegrationKey) (*integration.View, error) {
		return c.Integrations.Resume(ctx, k, approve)
	}
}

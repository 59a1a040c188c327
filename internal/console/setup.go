package console

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
	"consentsync/internal/store"
)

// setupData is what the pages of a set-up are drawn from.
type setupData struct {
	*visit
	*Form
	Setup   *integration.Setup
	Here    string // the set-up's address
	Step    string
	Secrets integration.Authentication // masked
	Mapping *mappingData
	Current bool // the simulation is of what is typed now
	Live    *integration.AccountView
}

// Change tells whether an integration that is there is changed.
func (d *setupData) Change() bool { return d.Setup.IntegrationID != "" }

// beginSetup begins a new integration, or the change of one.
func (c *Console) beginSetup(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	id, title, values, step := f.Get("integration_id"), "A new integration", newValues(), "/settings"
	if id != "" {
		i, err := c.Integrations.Get(r.Context(), store.IntegrationKey{Organization: v.Organization, ID: id})
		if err != nil {
			return err
		}
		title, values, step = i.Properties.EntityID+" / "+i.Properties.TableName, valuesOf(i), "/options"
	}
	x, err := c.Integrations.BeginSetup(r.Context(), v.Organization, id, title, values)
	if err != nil {
		return err
	}
	done(w, r, v.setupPath(x.ID)+step, "")
	return nil
}

func (v *visit) setupPath(id string) string { return v.Base() + "/setups/" + url.PathEscape(id) }

// setup reads the set-up of the address.
func (c *Console) setup(r *http.Request, v *visit) (*setupData, error) {
	x, err := c.Integrations.Setup(r.Context(), v.Organization, r.PathValue("setup"))
	if err != nil {
		return nil, err
	}
	return &setupData{visit: v, Form: &Form{Values: x.Values, Errors: map[string]string{}}, Setup: x, Here: v.setupPath(x.ID)}, nil
}

// dropSetup gives one up.
func (c *Console) dropSetup(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Integrations.DropSetup(r.Context(), v.Organization, r.PathValue("setup")); err != nil {
		return err
	}
	done(w, r, v.Base(), "dropped")
	return nil
}

// setupPage shows a step.
func (c *Console) setupPage(step string) handler {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		d, err := c.setup(r, v)
		if err != nil {
			return err
		}
		return c.showSetup(w, r, d, step)
	}
}

var setupTitles = map[string]string{"settings": "Settings", "options": "Options", "mapping": "Mapping", "simulation": "Simulation"}

func (c *Console) showSetup(w http.ResponseWriter, r *http.Request, d *setupData, step string) error {
	var err error
	if d.Secrets, err = c.Integrations.SetupSecrets(r.Context(), d.Setup); err != nil {
		return err
	}
	d.Step, d.Live = step, d.Setup.Account
	switch step {
	case "mapping":
		d.Mapping = mappingOf(d.Form, d.Setup)
	case "simulation":
		body, _ := bodyOf(d.Setup.Values)
		d.Current = d.Setup.Simulated != nil && d.Setup.SimulatedOf == hashOf(body)
	}
	c.show(w, r, d.visit, d.status(), "setup-"+step, setupTitles[step]+", "+d.Setup.Title, d)
	return nil
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// typed stores what was sent of a step, before anything is made of it.
func (c *Console) typed(w http.ResponseWriter, r *http.Request, v *visit, fields []string) (*setupData, error) {
	f, err := formOf(w, r)
	if err != nil {
		return nil, err
	}
	d, err := c.setup(r, v)
	if err != nil {
		return nil, err
	}
	take(d.Setup.Values, f.Values, fields)
	d.entitle()
	return d, c.Integrations.KeepSetup(r.Context(), d.Setup, integration.Authentication{
		PrivateAPIKey: f.Get(actitoKeyField), DidomiAPIKey: f.Get(didomiKeyField), DidomiAPISecret: f.Get(didomiSecretField),
	})
}

// entitle names a new integration after its table.
func (d *setupData) entitle() {
	if table := d.Get("properties.table_name"); table != "" && !d.Change() {
		d.Setup.Title = d.Get("properties.entity_id") + " / " + table
	}
}

// wrong puts what was refused beside the fields, and shows the step in which the
// first of them stands. What is nobody's fault stays at the step where it shows.
func (c *Console) wrong(w http.ResponseWriter, r *http.Request, d *setupData, step string, err error, names map[string]string) error {
	known, is := errors.AsType[*consent.Error](err)
	if !is || known.Kind == consent.Internal {
		return err
	}
	if known.Kind == consent.Transient {
		d.Problem = sentence(known.Message) + " What was typed is kept."
		return c.showSetup(w, r, d, step)
	}
	for field, problem := range known.Fields {
		d.Errors[cmp.Or(names[field], field)] = problem
	}
	if len(known.Fields) == 0 {
		d.Problem = sentence(known.Message)
	}
	return c.showSetup(w, r, d, firstStep(d.Errors, step))
}

// keepOptions checks the options, and looks for what can be mapped.
func (c *Console) keepOptions(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.typed(w, r, v, optionFields)
	if err != nil {
		return err
	}
	if d.Errors = wrongNumbers(d.Setup.Values); len(d.Errors) > 0 {
		return c.showSetup(w, r, d, "options")
	}
	body, names := bodyOf(d.Setup.Values)
	if err := c.Integrations.CheckSetup(r.Context(), d.Setup, body); err != nil {
		known, is := errors.AsType[*consent.Error](err)
		if !is {
			return err
		}
		for field, problem := range known.Fields { // what comes later may still be missing
			if field = cmp.Or(names[field], field); stepOf(field) == "options" {
				d.Errors[field] = problem
			}
		}
		if len(d.Errors) > 0 {
			return c.showSetup(w, r, d, "options")
		}
	}
	if err := c.Integrations.ListSetupChoices(r.Context(), d.Setup, lookForChoices); err != nil {
		return c.wrong(w, r, d, "options", err, nil)
	}
	if d.Change() { // the settings, where a new one lists the table, are passed by
		if err := c.Integrations.ListSetup(r.Context(), d.Setup, d.Get("properties.entity_id"), d.Get("properties.table_name")); err != nil {
			return c.wrong(w, r, d, "options", err, nil)
		}
	}
	done(w, r, d.Here+"/mapping", "")
	return nil
}

// How long people are looked at for what can be mapped, and for a simulation: so
// long does the page after it take.
const (
	lookForChoices  = 2 * time.Second
	lookForSimulate = 20 * time.Second
)

// keepMapping checks all, with a simulation.
func (c *Console) keepMapping(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.typed(w, r, v, mappingFields)
	if err != nil {
		return err
	}
	return c.simulate(w, r, d, "mapping")
}

// simulateAgain makes a simulation of what was typed.
func (c *Console) simulateAgain(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.setup(r, v)
	if err != nil {
		return err
	}
	return c.simulate(w, r, d, "simulation")
}

func (c *Console) simulate(w http.ResponseWriter, r *http.Request, d *setupData, step string) error {
	body, names := bodyOf(d.Setup.Values)
	if err := c.Integrations.SimulateSetup(r.Context(), d.Setup, body, hashOf(body), lookForSimulate); err != nil {
		return c.wrong(w, r, d, step, err, names)
	}
	done(w, r, d.Here+"/simulation", "")
	return nil
}

// activate makes the integration, or the change, and shows it with the snapshot.
func (c *Console) activate(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.setup(r, v)
	if err != nil {
		return err
	}
	body, names := bodyOf(d.Setup.Values)
	made, err := c.Integrations.FinishSetup(r.Context(), d.Setup, body)
	if err != nil {
		return c.wrong(w, r, d, "simulation", err, names)
	}
	if made.Webhook != nil && made.Webhook.Secret != "" {
		return c.showIntegration(w, r, v, made) // shown this once
	}
	word := "activated"
	if d.Change() {
		word = "changed"
	}
	done(w, r, v.Base()+"/integrations/"+made.ID, word)
	return nil
}

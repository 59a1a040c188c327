package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"consentsync/internal/consent"
	"consentsync/internal/integration"
)

// keepSettings asks Actito what there is to choose from, and goes on once all is
// chosen. Where there is only one thing to choose it is chosen.
func (c *Console) keepSettings(w http.ResponseWriter, r *http.Request, v *visit) error {
	d, err := c.typed(w, r, v, settingsFields)
	if err != nil {
		return err
	}
	if d.Change() {
		done(w, r, d.Here+"/options", "")
		return nil
	}
	had := d.chosen()
	if err := c.choose(r, d); err != nil {
		if known, is := errors.AsType[*consent.Error](err); is && known.Fields["properties.table_name"] != "" {
			// A table of another entity: that entity's tables are shown instead.
			if again := c.Integrations.ListSetup(r.Context(), d.Setup, d.Get("properties.entity_id"), ""); again != nil {
				err = again
			}
		}
		return c.wrong(w, r, d, "settings", err, nil)
	}
	d.entitle()
	if err := c.Integrations.KeepSetup(r.Context(), d.Setup, integration.Authentication{}); err != nil {
		return err
	}
	// Whoever chose all of it goes on; what was chosen for them they see first.
	if had == d.chosen() && !slices.Contains(had[:], "") {
		done(w, r, d.Here+"/options", "")
		return nil
	}
	done(w, r, d.Here+"/settings", "")
	return nil
}

// chosen gives what was chosen of what Actito lists.
func (d *setupData) chosen() [3]string {
	return [3]string{d.Get("properties.entity_id"), d.Get("properties.table_name"), d.Get("properties.user_unique_key")}
}

// choose lists the entities, the tables of the one chosen and what the table
// has, as far as that goes.
func (c *Console) choose(r *http.Request, d *setupData) error {
	for range 3 {
		entity, table := d.Get("properties.entity_id"), d.Get("properties.table_name")
		if entity == "" {
			table = ""
		}
		if err := c.Integrations.ListSetup(r.Context(), d.Setup, entity, table); err != nil {
			return err
		}
		a := d.Setup.Account
		switch {
		case entity == "" && len(a.Entities) == 1:
			d.Values.Set("properties.entity_id", a.Entities[0].Name)
		case entity != "" && table == "" && len(a.Tables) == 1:
			d.Values.Set("properties.table_name", a.Tables[0].Name)
		default:
			return d.chooseKey()
		}
	}
	return d.chooseKey()
}

// chooseKey takes the only key that there is, and drops one of another table.
func (d *setupData) chooseKey() error {
	table := d.Setup.Account.Table
	if table == nil {
		return nil
	}
	switch key := d.Get("properties.user_unique_key"); {
	case len(table.UniqueKeys) == 0:
		return &consent.Error{
			Kind: consent.Invalid, Op: "console", Message: "the table has no unique attribute",
			Fields: map[string]string{"properties.table_name": "has no unique attribute by which a person can be found: choose another table"},
		}
	case key != "" && !slices.Contains(table.UniqueKeys, key):
		d.Values.Set("properties.user_unique_key", "")
	case key == "" && len(table.UniqueKeys) == 1:
		d.Values.Set("properties.user_unique_key", table.UniqueKeys[0])
	}
	return nil
}

// Entities, Tables and Keys are the fields to choose from what Actito lists.
func (d *setupData) Entities() field {
	return d.pick("properties.entity_id", "Entity", names(d.Live.Entities))
}

// Tables is that of the tables of the entity.
func (d *setupData) Tables() field {
	return d.pick("properties.table_name", "Profile table", names(d.Live.Tables))
}

// Keys is that of the unique attributes of the table.
func (d *setupData) Keys() field {
	f := d.pick("properties.user_unique_key", "Attribute that holds the person's id", d.Live.Table.UniqueKeys)
	f.Hint = "Didomi's organization_user_id is looked for in it. Only unique attributes can be chosen."
	return f
}

func names(list []integration.NamedView) []string {
	all := make([]string, len(list))
	for i, x := range list {
		all[i] = x.Name
	}
	return all
}

// pick makes a field to choose from a list. What was chosen and is not in it
// stays, so that it can be seen.
func (d *setupData) pick(name, label string, from []string) field {
	f := field{Form: d.Form, Name: name, Label: label, Type: "select", Options: []option{{"", "Choose …"}}}
	if is := d.Get(name); is != "" && !slices.Contains(from, is) {
		f.Options = append(f.Options, option{is, is + " (not listed)"})
	}
	for _, x := range from {
		f.Options = append(f.Options, option{x, x})
	}
	return f
}

// Kept says that a secret is known, for the hint of its field.
func (d *setupData) Kept(masked, without string) string {
	return "hint=" + cmp.Or(map[bool]string{true: "Kept: " + masked + ". Leave it empty to keep it."}[masked != ""], without)
}

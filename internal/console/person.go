package console

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/people"
	"consentsync/internal/store"
)

// personData is what the page of a person is drawn from.
type personData struct {
	ID           string // asked for; empty for nobody yet
	Unknown      bool
	Person       *people.Person
	Events       map[string]string // our ids, by Didomi's
	Integrations []personIntegration
	Trace        []traceRow
}

// personIntegration is what one integration makes of a person.
type personIntegration struct {
	people.Integration
	Name          string
	Subscriptions []fieldRow
	Attributes    []fieldRow
}

// fieldRow compares what Actito should hold with what it was last known to hold.
type fieldRow struct {
	Name          string
	Wanted, Known string
	Why           *people.Why
	Differs       bool
}

// traceRow is one point of a person's timeline.
type traceRow struct {
	people.Entry
	Integration string
	Class       string
	Said        []string // what a call said
}

func (c *Console) personPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	data := personData{ID: strings.TrimSpace(r.URL.Query().Get("id"))}
	title := "People"
	if data.ID != "" {
		title = "Person"
		person, err := c.People.Explain(r.Context(), v.Organization, data.ID)
		switch {
		case err != nil && consent.KindOf(err) == consent.NotFound:
			data.Unknown = true
		case err != nil:
			return err
		default:
			if err := c.explain(r.Context(), v, &data, person); err != nil {
				return err
			}
		}
	}
	c.show(w, r, v, http.StatusOK, "person", title, data)
	return nil
}

func (c *Console) explain(ctx context.Context, v *visit, data *personData, person *people.Person) error {
	data.Person = person
	names, err := c.integrationNames(ctx, v.Organization)
	if err != nil {
		return err
	}
	clear := v.Role.Includes(accounts.Operator)
	for _, i := range person.Integrations {
		data.Integrations = append(data.Integrations, personIntegration{
			Integration: i, Name: names[i.IntegrationID],
			Subscriptions: compare(i.Wanted.Subscriptions, i.Known.Subscriptions, i.Why, true),
			Attributes:    compare(i.Wanted.Attributes, i.Known.Attributes, nil, clear),
		})
	}
	trace, err := c.People.Trace(ctx, v.Organization, data.ID)
	if err != nil {
		return err
	}
	data.Events = map[string]string{}
	for _, e := range trace.Data {
		if e.Kind == "event" && e.EventID != "" {
			data.Events[e.EventID] = e.ID
		}
	}
	data.Trace = timeline(trace.Data, names)
	return nil
}

// integrationNames gives what people call each integration.
func (c *Console) integrationNames(ctx context.Context, organization string) (map[string]string, error) {
	views, _, err := c.Integrations.List(ctx, organization, "", mostIntegrations)
	names := make(map[string]string, len(views))
	for _, i := range views {
		names[i.ID] = i.Properties.EntityID + " / " + i.Properties.TableName
	}
	return names, err
}

// compare puts what is wanted beside what is known. Values are masked unless
// they may be seen.
func compare(wanted, known map[string]any, why map[string]people.Why, clear bool) []fieldRow {
	names := slices.Concat(slices.Collect(maps.Keys(wanted)), slices.Collect(maps.Keys(known)))
	slices.Sort(names)
	var rows []fieldRow
	for _, name := range slices.Compact(names) {
		row := fieldRow{Name: name, Wanted: "not ours to say", Known: "nothing yet"}
		want, wants := wanted[name]
		if wants {
			row.Wanted = valueText(want, clear)
		}
		has, knows := known[name]
		if knows && has == nil && why != nil {
			row.Known = "unsure"
		} else if knows {
			row.Known = valueText(has, clear)
		}
		row.Differs = wants && (!knows || !consent.SameValue(want, has))
		if x, told := why[name]; told {
			row.Why = &x
		}
		rows = append(rows, row)
	}
	return rows
}

func valueText(v any, clear bool) string {
	switch v := v.(type) {
	case bool:
		if clear {
			return map[bool]string{true: "on", false: "off"}[v]
		}
	case nil:
		return "empty"
	}
	if !clear {
		return "•••"
	}
	return fmt.Sprint(v)
}

// timeline draws together an event with its decision and a call with its
// answer, the newest first.
func timeline(entries []people.Entry, names map[string]string) []traceRow {
	outcomes := map[string]string{}
	for _, e := range entries {
		if e.Kind == "decision" {
			outcomes[e.ID] = e.Outcome
		}
	}
	var rows []traceRow
	for _, e := range slices.Backward(entries) {
		row := traceRow{Entry: e, Integration: names[e.IntegrationID], Class: e.Kind}
		switch e.Kind {
		case "decision":
			continue
		case "event":
			row.Outcome = outcomes[e.ID]
		case "call":
			for _, name := range slices.Sorted(maps.Keys(e.Subscriptions)) {
				row.Said = append(row.Said, name+map[bool]string{true: " on", false: " off"}[e.Subscriptions[name]])
			}
			row.Said = append(row.Said, e.Attributes...)
		case "answer":
			row.Class += map[bool]string{true: " ok", false: " bad"}[e.Outcome == "ok"]
		}
		rows = append(rows, row)
	}
	return rows
}

// repairPerson sends somebody again, or has them read, in one integration.
func (c *Console) repairPerson(do func(ctx context.Context, k store.IntegrationKey, userID string) error, word string) handler {
	return func(w http.ResponseWriter, r *http.Request, v *visit) error {
		f, err := formOf(w, r)
		if err != nil {
			return err
		}
		id := f.Get("id")
		if err := do(v.acting(r), store.IntegrationKey{Organization: v.Organization, ID: r.PathValue("id")}, id); err != nil {
			return err
		}
		to := v.Base() + "/people?id=" + url.QueryEscape(id)
		if f.Get("status") != "" { // from the list of those who failed, which it comes back to
			to = v.Base() + "/integrations/" + r.PathValue("id") + "/troubles?" + url.Values{"target": {f.Get("target")}, "status": {f.Get("status")}, "reason": {f.Get("reason")}}.Encode()
		}
		http.Redirect(w, r, to+"&done="+word, http.StatusSeeOther) //nolint:gosec // below our own path
		return nil
	}
}

package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/events"
)

// eventsData is what the list of events is drawn from.
type eventsData struct {
	*Form
	Events []events.View
	Next   string
	Here   string // this list, for the address of its next page
	Asked  bool   // something is asked for
}

// minute is how browsers write a time in a form.
const minute = "2006-01-02T15:04"

func (c *Console) eventsPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	f := &Form{Values: q, Errors: map[string]string{}}
	query := events.Query{OrganizationUserID: f.Get("person"), Type: f.Get("type"), Outcome: f.Get("outcome")}
	for name, to := range map[string]*consent.Time{"from": &query.From, "to": &query.To} {
		if text := f.Get(name); text != "" {
			t, err := time.Parse(minute, text)
			if err != nil {
				f.Errors[name] = "must be a time such as 2026-11-02T09:30"
			}
			*to = consent.TimeOf(t)
		}
	}
	data := eventsData{Form: f, Asked: query != events.Query{}}
	if len(f.Errors) == 0 {
		var err error
		data.Events, data.Next, err = c.Events.List(r.Context(), v.Organization, query, q.Get("before"), listed, v.Role.Includes(accounts.Operator))
		if err != nil && !f.refused(err, "organization_user_id", "person") {
			return err
		}
	}
	kept := url.Values{}
	for _, name := range []string{"person", "type", "outcome", "from", "to"} {
		if f.Get(name) != "" {
			kept.Set(name, f.Get(name))
		}
	}
	data.Here = v.Base() + "/events?" + kept.Encode() + "&before="
	c.show(w, r, v, f.status(), "events", "Events", data)
	return nil
}

// eventData is what the page of one event is drawn from.
type eventData struct {
	*events.View
	Text   string // of the payload
	Masked bool
}

func (c *Console) eventPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	clear := v.Role.Includes(accounts.Operator)
	e, err := c.Events.Get(r.Context(), v.Organization, r.PathValue("event"), clear)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if len(e.Payload) > 0 && json.Indent(&text, e.Payload, "", "  ") != nil {
		text.Reset()
	}
	c.show(w, r, v, http.StatusOK, "event", "Event", eventData{e, text.String(), !clear})
	return nil
}

package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// RecordedEvent is an event that was created through the API.
type RecordedEvent struct {
	ID   string
	Body map[string]any
	// DisableIntegrations tells whether the caller asked for it not to be
	// forwarded to integrations.
	DisableIntegrations bool
}

// Events gives the events created, in order.
func (d *DidomiAPI) Events() []RecordedEvent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

// readEvents takes one event or a list of at most 100
// (https://developers.didomi.io/integrations/batch-import).
func (q *didomiRequest) readEvents(raw []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		raw, q.single = slices.Concat([]byte("["), raw, []byte("]")), true
	}
	if err := json.Unmarshal(raw, &q.events); err != nil {
		return err
	}
	if len(q.events) > 100 {
		return fmt.Errorf("%d events are more than the 100 allowed", len(q.events))
	}
	if q.single && len(q.events) != 1 || slices.ContainsFunc(q.events, func(e map[string]any) bool { return e == nil }) {
		return errors.New("an event is an object")
	}
	for _, e := range q.events {
		id, _ := e["id"].(string)
		user, _ := e["user"].(map[string]any)
		person, _ := user["organization_user_id"].(string)
		q.names = append(q.names, id, person)
	}
	return nil
}

// createEvents creates what is new. An event whose id exists is never imported
// again: alone it is refused, in a list it is passed over.
func (d *DidomiAPI) createEvents(q *didomiRequest) (out outcome, changed bool) {
	quiet := q.query.Get("$disable_integrations") == "true"
	d.mu.Lock()
	defer d.mu.Unlock()
	good := make([]*consentEvent, 0, len(q.events))
	for _, body := range q.events {
		e, err := d.understand(maps.Clone(body))
		switch {
		case err == nil:
			good = append(good, e)
		case q.single || !d.opts.SkipBadEvents:
			return didomiRefusal(refuse(http.StatusBadRequest, "%v", err)), false
		}
	}
	created := []map[string]any{}
	for _, e := range good {
		if d.known[e.ID] {
			continue
		}
		d.complete(e)
		d.known[e.ID] = true
		d.events = append(d.events, RecordedEvent{ID: e.ID, Body: e.body, DisableIntegrations: quiet})
		d.merge(e)
		if !quiet {
			d.forward(e)
		}
		created = append(created, e.body)
	}
	switch {
	case q.single && len(created) == 0:
		return didomiRefusal(refuse(http.StatusConflict, "An event with this id exists")), false
	case q.single:
		return answer(http.StatusOK, created[0]), true
	}
	return answer(http.StatusOK, created), len(created) > 0
}

func (d *DidomiAPI) readEvent(id string) outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.events, func(e RecordedEvent) bool { return e.ID == id })
	if i < 0 {
		return didomiRefusal(refuse(http.StatusNotFound, "No event with this id"))
	}
	return answer(http.StatusOK, d.events[i].Body)
}

// Choose has somebody make a choice of which no integration is told.
func (d *DidomiAPI) Choose(e Event) error {
	q := &didomiRequest{events: []map[string]any{e.entity(d.opts.Organization)}, single: true}
	q.query = url.Values{"$disable_integrations": {"true"}}
	if out, changed := d.createEvents(q); !changed {
		return fmt.Errorf("simulator: the event was answered %d", out.status)
	}
	return nil
}

// eventsOf gives the confirmed events of a user or of an organization's user under
// a regulation (https://developers.didomi.io/api-and-platform/consents/events/query-consent-events).
func (d *DidomiAPI) eventsOf(q *didomiRequest) outcome {
	user, person := q.query.Get("user_id"), q.query.Get("organization_user_id")
	if user == "" && person == "" {
		return didomiRefusal(refuse(http.StatusBadRequest, "user_id or organization_user_id is required"))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	data := []map[string]any{}
	for _, recorded := range d.events {
		e, err := d.understand(recorded.Body)
		if err != nil || e.Status != "confirmed" || e.Regulation != cmp.Or(q.query.Get("regulation"), "gdpr") {
			continue
		}
		if user != "" && e.User.ID == user || person != "" && e.User.OrganizationUserID == person {
			data = append(data, recorded.Body)
		}
	}
	return answer(http.StatusOK, map[string]any{"data": data})
}

// consentEvent is an event as far as it matters here.
type consentEvent struct {
	body map[string]any
	at   time.Time

	ID         string `json:"id"`
	CreatedAt  string `json:"created_at"`
	Status     string `json:"status"`
	Regulation string `json:"regulation"`
	User       struct {
		ID                 string         `json:"id"`
		OrganizationUserID string         `json:"organization_user_id"`
		Country            string         `json:"country"`
		Metadata           map[string]any `json:"metadata"`
	} `json:"user"`
	Consents struct {
		Channels []choiceNode `json:"channels"`
		Purposes []choiceNode `json:"purposes"`
	} `json:"consents"`
}

// choiceNode is a purpose, a preference or a channel.
type choiceNode struct {
	ID          string                            `json:"id"`
	Enabled     *bool                             `json:"enabled"`
	Preferences []choiceNode                      `json:"preferences"`
	Channels    []choiceNode                      `json:"channels"`
	Values      map[string]struct{ Value string } `json:"values"`
}

// understand reads an event.
func (d *DidomiAPI) understand(body map[string]any) (*consentEvent, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	e := &consentEvent{body: body}
	if err := json.Unmarshal(raw, e); err != nil {
		return nil, err
	}
	e.at = d.opts.Now()
	if e.CreatedAt != "" {
		if e.at, err = time.Parse(time.RFC3339, e.CreatedAt); err != nil {
			return nil, errors.New("created_at is no date")
		}
	}
	purposes, channels := map[string]bool{}, map[string]bool{}
	for l := range e.said() {
		if l.purpose != "" {
			purposes[l.purpose] = true
		}
		if l.channel != "" {
			channels[l.channel] = true
		}
	}
	if err := errors.Join(unknownID(d.opts.Purposes, purposes), unknownID(d.opts.Channels, channels)); err != nil {
		return nil, err
	}
	e.ID = cmp.Or(e.ID, newUUID())
	return e, nil
}

// complete fills in what a new event leaves out, in its body too.
func (d *DidomiAPI) complete(e *consentEvent) {
	e.User.ID = d.userID(e)
	e.Regulation = cmp.Or(e.Regulation, "gdpr")
	e.Status = cmp.Or(e.Status, "confirmed")
	user := map[string]any{}
	if given, ok := e.body["user"].(map[string]any); ok {
		user = maps.Clone(given)
	}
	user["id"] = e.User.ID
	maps.Copy(e.body, map[string]any{
		"id": e.ID, "organization_id": d.opts.Organization, "regulation": e.Regulation, "status": e.Status, "user": user,
	})
	if e.CreatedAt == "" {
		setTime(e.body, "created_at", e.at)
	}
}

// forward sends an event to the integrations. The call does not wait for it.
func (d *DidomiAPI) forward(e *consentEvent) {
	if d.opts.Integrations == nil {
		return
	}
	payload := envelope("event.created", e.Regulation, map[string]any{"entity": e.body})
	d.after(0, func() { _ = d.opts.Integrations.Send(d.life, payload) }, func() {})
}

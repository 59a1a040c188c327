package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Campaign is a transactional campaign: the template of a message.
type Campaign struct {
	// ID is Actito's; Name is the technical one.
	ID, Name string
	// TableID is the table in which it makes and changes profiles.
	TableID string
	// State is CampaignInProgress, or anything else, in which nothing is sent.
	State string
	// SMS tells a campaign of text messages.
	SMS bool
}

// CampaignInProgress is the state in which a campaign sends.
const CampaignInProgress = "IN_PROGRESS"

// The campaigns that NewActito holds from the start, all of [SampleTable] and in
// progress but the last.
const (
	SampleConfirmation = "ConsentConfirmation"
	SampleWelcome      = "Welcome"
	SampleDoubleOptIn  = "DoubleOptIn"
	SampleText         = "ConsentText" // of text messages
	SampleDraft        = "Draft"
)

func sampleCampaigns() []Campaign {
	return []Campaign{
		{"901", SampleConfirmation, SampleTableID, CampaignInProgress, false},
		{"902", SampleWelcome, SampleTableID, CampaignInProgress, false},
		{"903", SampleDoubleOptIn, SampleTableID, CampaignInProgress, false},
		{"904", SampleText, SampleTableID, CampaignInProgress, true},
		{"905", SampleDraft, SampleTableID, "DRAFT", false},
	}
}

// Sent is a message as the recipient gets it.
type Sent struct {
	At            time.Time           `json:"at"`
	InteractionID int64               `json:"interactionId"`
	Entity        string              `json:"entity"`
	Campaign      string              `json:"campaign"`
	SMS           bool                `json:"sms,omitempty"`
	ProfileID     int64               `json:"profileId"`
	Attributes    map[string]any      `json:"attributes"` // those of the call
	Parameters    map[string][]string `json:"parameters,omitempty"`
	Source        string              `json:"source"`
	Way           string              `json:"way"`
	Date          string              `json:"date"`
}

// AddCampaign puts a campaign into an entity.
func (a *Actito) AddCampaign(entity string, c Campaign) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.entity(entity); e != nil {
		e.campaigns = append(e.campaigns, c)
	}
}

// Outbox gives what was sent, in the order in which it was.
func (a *Actito) Outbox() []Sent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.outbox)
}

// OnSent has f called with every message, after it was sent and before the call
// is answered. f must not change the simulator.
func (a *Actito) OnSent(f func(Sent)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onSent = f
}

// mailForm is a message as the call hands it over
// (http://cdn3.actito.com/fe/actito-documentation/docs/Triggering_a_Transactional_Campaign).
type mailForm struct {
	Profile struct {
		Attributes []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"attributes"`
		DataCollection struct {
			Source string `json:"source"`
			Way    string `json:"way"`
			Date   string `json:"date"`
		} `json:"dataCollection"`
	} `json:"profile"`
	Parameters []struct {
		Key    string   `json:"key"`
		Values []string `json:"values"`
	} `json:"parameters"`
}

// routeMails takes /entity/{entity}/mail and
// /entity/{entity}/transactionalmail/{campaign}/contact, and that of text
// messages, whose real path is not published.
func (q *request) routeMails(parts []string) bool {
	if len(parts) > 0 && (parts[0] == "email-campaigns" || parts[0] == "sms-campaigns") {
		parts = parts[1:]
	}
	if len(parts) < 4 || parts[0] != "v4" || parts[1] != "entity" {
		return false
	}
	switch {
	case len(parts) == 4 && parts[3] == "mail":
		q.choose(map[string]Kind{http.MethodGet: KindCampaigns})
	case len(parts) == 6 && (parts[3] == "transactionalmail" || parts[3] == "transactionalsms") && parts[5] == "contact":
		q.choose(map[string]Kind{http.MethodPost: KindMail})
		q.campaign, q.sms = parts[4], parts[3] == "transactionalsms"
	default:
		return false
	}
	q.entity = parts[2]
	return true
}

// readMail reads the body of a message. The first attribute names the profile.
func (q *request) readMail(body []byte) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q.mail); err != nil {
		q.refusal = refuse(http.StatusBadRequest, "the body is not the JSON expected: %v", err)
		return
	}
	q.attributes = map[string]any{}
	for i, x := range q.mail.Profile.Attributes {
		q.attributes[x.Name] = x.Value
		if i == 0 {
			q.key = profileKey{x.Name, text(x.Value)}
		}
	}
	if len(q.attributes) == 0 {
		q.refusal = refuse(http.StatusBadRequest, "the profile has no attributes")
	}
	if _, err := time.Parse("02/01/2006 15:04:05", q.mail.Profile.DataCollection.Date); err != nil {
		q.refusal = refuse(http.StatusBadRequest, "the date of the data collection is none")
	}
	for _, p := range q.mail.Parameters {
		if p.Key == "" || p.Values == nil {
			q.refusal = refuse(http.StatusBadRequest, "a parameter has a key and values")
		}
	}
}

// findTable tells the id of the table that a request is about where its address
// does not: that of a message's campaign, or of the name that V4 writes.
func (a *Actito) findTable(q *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case q.kind == KindMail:
		if c := a.campaign(q); c != nil {
			q.table = c.TableID
		}
	case q.older.is:
		if e := a.entity(q.entity); e != nil {
			for _, t := range e.tables {
				if t.Name == q.table && !t.removed {
					q.table = t.ID
					return
				}
			}
		}
	}
}

// campaign finds the campaign of a call, with Actito.mu held.
func (a *Actito) campaign(q *request) *Campaign {
	e := a.entity(q.entity)
	if e == nil {
		return nil
	}
	for i := range e.campaigns {
		if c := &e.campaigns[i]; c.SMS == q.sms && (c.Name == q.campaign || c.ID == q.campaign) {
			return c
		}
	}
	return nil
}

func (a *Actito) listCampaigns(q *request) (outcome, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.entity(q.entity)
	if e == nil || a.opts.NoCampaignList {
		return outcome{}, refuse(http.StatusNotFound, "there is no such list")
	}
	list := []map[string]any{}
	for _, c := range e.campaigns {
		if !c.SMS {
			list = append(list, map[string]any{"id": c.ID, "name": c.Name, "state": c.State, "targetTable": c.TableID})
		}
	}
	return answer(http.StatusOK, map[string]any{"mailDocuments": list}), nil
}

// sendMail makes or changes the profile and sends the message.
func (a *Actito) sendMail(q *request, c *Change) (outcome, error) {
	campaign := a.campaign(q)
	switch {
	case campaign == nil:
		return outcome{}, refuse(http.StatusNotFound, "there is no campaign %q", q.campaign)
	case campaign.State != CampaignInProgress:
		return outcome{}, refuse(http.StatusBadRequest, "the campaign %q is not in progress", q.campaign)
	}
	t, err := a.table(q.entity, campaign.TableID)
	if err != nil {
		return outcome{}, err
	}
	p, err := t.find(q.key)
	if err != nil {
		return outcome{}, err
	}
	next := t.blank()
	for _, name := range a.opts.BornWith {
		next.Subscriptions[name] = true
	}
	if p != nil {
		next = p.clone()
	}
	if _, err := a.store(t, p, next, q, c, http.StatusOK); err != nil {
		return outcome{}, err
	}
	m := Sent{
		At: c.At, InteractionID: int64(len(a.outbox) + 1), Entity: q.entity, Campaign: campaign.Name, SMS: campaign.SMS, ProfileID: c.After.ID, Attributes: q.attributes,
		Parameters: map[string][]string{}, Source: q.mail.Profile.DataCollection.Source, Way: q.mail.Profile.DataCollection.Way, Date: q.mail.Profile.DataCollection.Date,
	}
	for _, x := range q.mail.Parameters {
		m.Parameters[x.Key] = x.Values
	}
	a.outbox = append(a.outbox, m)
	if a.onSent != nil {
		a.onSent(m)
	}
	return answer(http.StatusOK, map[string]int64{"interactionId": m.InteractionID}), nil
}

// Recipient is whom a message went to: the address, or else the key.
func (m *Sent) Recipient() string {
	for _, name := range []string{"emailAddress", "GSMnumber"} {
		if v, has := m.Attributes[name]; has {
			return text(v)
		}
	}
	var all []string
	for _, v := range m.Attributes {
		all = append(all, text(v))
	}
	return strings.Join(all, " ")
}

package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"consentsync/internal/accounts"
	"consentsync/internal/consent"
	"consentsync/internal/emailing"
	"consentsync/internal/events"
	"consentsync/internal/incoming"
	"consentsync/internal/mail"
	"consentsync/internal/store"
)

// emailsData is what the page of messages is drawn from.
type emailsData struct {
	*Form
	Emails   []*emailing.View
	Counts   []stateCount
	State    string // that is asked for; empty for all
	Messages []*emailing.MessageView
	Next     string
	Here     string // this list, for the address of its next page
}

// stateCount is how many messages are in a state, up to a bound.
type stateCount struct {
	State store.MessageState
	N     int64
	More  bool
}

func (c *Console) emailsPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.showEmails(w, r, v, newForm("type", string(mail.ConfirmConsentChanged)))
}

func (c *Console) showEmails(w http.ResponseWriter, r *http.Request, v *visit, f *Form) error {
	q := r.URL.Query()
	data := &emailsData{Form: f, State: q.Get("state"), Here: v.Base() + "/emails?state=" + url.QueryEscape(q.Get("state")) + "&before="}
	var err error
	if data.Emails, err = c.Emails.List(r.Context(), v.Organization); err != nil {
		return err
	}
	counts, err := c.Emails.Counts(r.Context(), v.Organization)
	if err != nil {
		return err
	}
	for _, state := range store.MessageStates {
		data.Counts = append(data.Counts, stateCount{state, counts[state], counts[state] == store.MostCountedMessages})
	}
	if data.Messages, data.Next, err = c.Emails.Messages(r.Context(), v.Organization, data.State, q.Get("before"), listed); err != nil {
		return err
	}
	if !v.Role.Includes(accounts.Operator) {
		for _, m := range data.Messages {
			m.OrganizationUserID = events.MaskID(m.OrganizationUserID)
		}
	}
	c.show(w, r, v, f.status(), "emails", "Messages", data)
	return nil
}

// emailFields are the fields of the service by those of the form.
func emailFields(f *Form) []string {
	return []string{
		"email_type", "type", "properties.email_campaign_name", "campaign", "properties.recipient", "recipient",
		"properties.links", "link", "properties.links." + f.Get("link_name"), "link", "properties.links.privacy_center_url", "link",
		"properties.links.validation_approve_url", "link", "properties.max_age_seconds", "minutes", "properties.integration_id", "type",
	}
}

// properties puts what was typed into those that there are.
func properties(f *Form, p mail.Properties) (mail.Properties, error) {
	minutes, err := strconv.Atoi(f.Get("minutes"))
	if f.Get("minutes") != "" && (err != nil || minutes < 1 || minutes > 7*24*60) {
		return p, incoming.RefuseField("properties.max_age_seconds", "must be a whole number of minutes, a week's at most")
	}
	if minutes > 0 {
		p.MaxAgeSeconds = minutes * 60
	}
	if !p.SMS() || f.Get("campaign") != p.SMSCampaignName {
		p.EmailCampaignName, p.SMSCampaignName = f.Get("campaign"), ""
	}
	p.Recipient, p.RepeatUnclear = f.Get("recipient"), f.Get("unclear") == "repeat"
	if p.Links == nil {
		p.Links = map[string]string{}
	}
	if name := f.Get("link_name"); name != "" {
		if p.Links[name] = f.Get("link"); f.Get("link") == "" {
			delete(p.Links, name)
		}
	}
	return p, nil
}

func (c *Console) createEmail(w http.ResponseWriter, r *http.Request, v *visit) error {
	f, err := formOf(w, r)
	if err != nil {
		return err
	}
	t := mail.Type(f.Get("type"))
	if f.Get("link") != "" && f.Get("link_name") == "" {
		f.Values.Set("link_name", mail.LinkOf(t))
	}
	p, err := properties(f, mail.Properties{})
	if err == nil {
		var body []byte
		if body, err = json.Marshal(mail.Settings{TypeID: "actito", EmailType: t, Properties: p, Enabled: true}); err != nil {
			return err
		}
		_, err = c.Emails.Create(v.acting(r), v.Organization, body, true)
	}
	if err != nil {
		if f.refused(err, emailFields(f)...) {
			return c.showEmails(w, r, v, f)
		}
		return err
	}
	done(w, r, v.Base()+"/emails", "configured")
	return nil
}

// emailData is what the page of one type is drawn from.
type emailData struct {
	*Form
	*emailing.View
}

// Campaign is the name of the campaign.
func (d *emailData) Campaign() string { return d.Properties.Campaign() }

func (c *Console) emailPage(w http.ResponseWriter, r *http.Request, v *visit) error {
	e, err := c.Emails.Get(r.Context(), v.Organization, r.PathValue("email"))
	if err != nil {
		return err
	}
	return c.showEmail(w, r, v, e, formOfEmail(e))
}

func (c *Console) showEmail(w http.ResponseWriter, r *http.Request, v *visit, e *emailing.View, f *Form) error {
	c.show(w, r, v, f.status(), "email", string(e.EmailType), &emailData{f, e})
	return nil
}

func formOfEmail(e *emailing.View) *Form {
	p := &e.Properties
	f := newForm("campaign", p.Campaign(), "recipient", p.Recipient, "unclear", "show", "enabled", "no")
	if p.MaxAgeSeconds%60 == 0 {
		f.Values.Set("minutes", strconv.Itoa(p.MaxAgeSeconds/60))
	}
	if p.RepeatUnclear {
		f.Values.Set("unclear", "repeat")
	}
	if e.Enabled {
		f.Values.Set("enabled", "yes")
	}
	name := mail.LinkOf(e.EmailType)
	for other := range p.Links {
		if name == "" || other < name && p.Links[name] == "" {
			name = other
		}
	}
	f.Values.Set("link_name", name)
	f.Values.Set("link", p.Links[name])
	return f
}

// changeEmail changes what the form has, and keeps the rest of the settings.
func (c *Console) changeEmail(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.onEmail(w, r, v, "configured", func(e *emailing.View, f *Form) error {
		p, err := properties(f, e.Properties)
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]any{"properties": p, "enabled": f.Get("enabled") == "yes"})
		if err != nil {
			return err
		}
		_, err = c.Emails.Change(v.acting(r), v.Organization, e.ID, body, true)
		return err
	})
}

func (c *Console) testEmail(w http.ResponseWriter, r *http.Request, v *visit) error {
	return c.onEmail(w, r, v, "tested", func(e *emailing.View, f *Form) error {
		body, err := json.Marshal(map[string]string{"address": f.Get("address"), "organization_user_id": f.Get("person")})
		if err != nil {
			return err
		}
		_, err = c.Emails.Test(v.acting(r), v.Organization, e.ID, body)
		return err
	})
}

// onEmail does something with one type; what is refused is shown beside what was
// typed.
func (c *Console) onEmail(w http.ResponseWriter, r *http.Request, v *visit, word string, do func(e *emailing.View, f *Form) error) error {
	sent, err := formOf(w, r)
	if err != nil {
		return err
	}
	e, err := c.Emails.Get(r.Context(), v.Organization, r.PathValue("email"))
	if err != nil {
		return err
	}
	f := formOfEmail(e)
	maps.Copy(f.Values, sent.Values)
	if err := do(e, f); err != nil {
		if f.refused(err, append(emailFields(f), "organization_user_id", "person")...) {
			return c.showEmail(w, r, v, e, f)
		}
		return err
	}
	done(w, r, v.Base()+"/emails", word)
	return nil
}

func (c *Console) deleteEmail(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.Emails.Delete(v.acting(r), v.Organization, r.PathValue("email")); err != nil {
		return err
	}
	done(w, r, v.Base()+"/emails", "email-deleted")
	return nil
}

// repeatMessage has one message sent again.
func (c *Console) repeatMessage(w http.ResponseWriter, r *http.Request, v *visit) error {
	_, err := c.Emails.Again(v.acting(r), v.Organization, r.PathValue("message"))
	if err != nil && consent.KindOf(err) != consent.Conflict {
		return err
	}
	word := "repeated"
	if err != nil {
		word = "not-repeated"
	}
	done(w, r, v.Base()+"/emails", word)
	return nil
}

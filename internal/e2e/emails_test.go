package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/simulator"
)

const (
	emailsPath   = "/v1/marketplace/emails?organization_id=" + organization
	messagesPath = "/v1/emails/messages?organization_id=" + organization
)

// mails lets an integration send messages.
func mails(in object) { in["enable_emailing"] = true }

// email configures a type, and gives its id.
func (b *bundle) email(typ, campaign string, properties object) string {
	b.t.Helper()
	if properties == nil {
		properties = object{}
	}
	properties["email_campaign_name"] = campaign
	body, err := json.Marshal(object{"type_id": "actito", "email_type": typ, "properties": properties})
	if err != nil {
		b.t.Fatal(err)
	}
	var view struct{ ID string }
	b.must(http.MethodPost, emailsPath, string(body), http.StatusCreated, &view)
	return view.ID
}

var welcomeLink = object{"links": object{"privacy_center_url": "https://privacy.example.com/?u={organization_user_id}"}}

type messageView struct {
	ID                 string
	EmailType          string `json:"email_type"`
	OrganizationUserID string `json:"organization_user_id"`
	State, Reason      string
	Origin             string
	Attempts           int
	Repeatable         bool
}

// messages lists those in a state, or all.
func (b *bundle) messages(state string) []messageView {
	b.t.Helper()
	var list struct{ Data []messageView }
	path := messagesPath + "&limit=1000"
	if state != "" {
		path += "&state=" + state
	}
	b.must(http.MethodGet, path, "", http.StatusOK, &list)
	return list.Data
}

// outbox gives what the simulated Actito has sent to somebody: the campaigns.
func (b *bundle) outbox(email string) []string {
	var all []string
	for _, m := range b.actito.Outbox() {
		if m.Recipient() == email {
			all = append(all, m.Campaign)
		}
	}
	return all
}

// An event goes out as a message, in the documented body, once; whatever comes
// again sends no second one, and what nobody chose in Didomi sends none.
func TestEventsSendMessages(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.integrate(mails)
	b.email("confirm-consent-changed", simulator.SampleConfirmation, object{"parameters": []object{{"id": "firstname", "value": "user_metadata_firstName"}}})
	b.email("consents-user-created", simulator.SampleWelcome, welcomeLink)
	b.email("validation-double-optin", simulator.SampleDoubleOptIn, object{"links": object{"confirm_url": "https://privacy.example.com/confirm/{event_id}"}})

	at := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	e := simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: at, Purposes: simulator.Choices{"newsletter": yes()}, Metadata: object{"firstName": "Anna", "motherLanguage": "fr"}}
	pending := e
	pending.Status = "pending_approval"
	e.UpdatedAt = at // when it was confirmed
	b.send(simulator.EventCreated(organization, pending))
	b.eventually("anna is asked", func() bool { return len(b.outbox(anna)) == 1 })
	if p := b.person(anna); len(p.Choices) != 0 {
		t.Errorf("an event that waits counts already: %+v", p.Choices)
	}
	b.send(simulator.EventUpdated(organization, pending, e))
	b.eventually("anna is told", func() bool { return len(b.outbox(anna)) == 3 })
	want := []string{simulator.SampleDoubleOptIn, simulator.SampleWelcome, simulator.SampleConfirmation}
	got := b.outbox(anna)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("sent (-want +got):\n%s", diff)
	}
	for _, m := range b.actito.Outbox() {
		if m.Campaign != simulator.SampleConfirmation {
			continue
		}
		m.At, m.InteractionID, m.ProfileID = time.Time{}, 0, 0
		if diff := cmp.Diff(simulator.Sent{
			Entity: simulator.SampleEntity, Campaign: simulator.SampleConfirmation,
			Attributes: object{"emailAddress": anna, "motherLanguage": "fr"}, Parameters: map[string][]string{"firstname": {"Anna"}},
			Source: "Didomi", Way: "consent event e1", Date: at.Format("02/01/2006 15:04:05"),
		}, m); diff != "" {
			t.Errorf("the message (-want +got):\n%s", diff)
		}
	}

	b.send(simulator.EventUpdated(organization, pending, e))
	changed := e
	changed.UpdatedAt, changed.Purposes = time.Now(), simulator.Choices{"newsletter": no()}
	b.send(simulator.EventUpdated(organization, e, changed))
	b.send(event("old", "bob@example.com", time.Now().Add(-2*time.Hour), simulator.Choices{"newsletter": yes()}))
	b.eventually("bob's are too old", func() bool { return len(b.messages("dropped")) == 2 })
	b.eventually("all is settled", func() bool { return b.synced(anna) && b.synced("bob@example.com") && len(b.messages("pending")) == 0 })
	if n := len(b.outbox(anna)); n != 3 || len(b.outbox("bob@example.com")) != 0 {
		t.Errorf("anna has %d messages and bob %v", n, b.outbox("bob@example.com"))
	}
	var trace struct {
		Data []struct{ Kind, Operation, Outcome, Detail string }
	}
	b.must(http.MethodGet, "/v1/users/"+anna+"/trace?organization_id="+organization, "", http.StatusOK, &trace)
	answers := 0
	for _, x := range trace.Data {
		if x.Kind == "answer" && x.Operation == "mail" && x.Outcome == "ok" {
			answers++
		}
	}
	if answers != 3 {
		t.Errorf("the trace has %d messages: %+v", answers, trace.Data)
	}
}

// What cannot be configured is refused, with the field and what to do.
func TestEmailsAreConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	first := b.integrate(nil)
	body := func(change func(in, properties object)) string {
		properties := object{"email_campaign_name": simulator.SampleConfirmation}
		in := object{"type_id": "actito", "email_type": "confirm-consent-changed", "properties": properties}
		if change != nil {
			change(in, properties)
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	refused := func(field, says string, change func(in, properties object)) {
		t.Helper()
		r := b.refused(http.MethodPost, emailsPath, body(change), http.StatusBadRequest)
		if r.Errors[field] == "" || !strings.Contains(r.Errors[field], says) {
			t.Errorf("errors are %q, want %s to say %q", r.Errors, field, says)
		}
	}
	refused("properties.integration_id", "enable_emailing", nil)
	b.change(first, `{"enable_emailing": true}`)
	refused("email_type", "no such type", func(in, _ object) { in["email_type"] = "welcome" })
	refused("type_id", "actito", func(in, _ object) { in["type_id"] = "didomi" })
	refused("properties.email_campaign_name", "no transactional campaign", func(_, p object) { p["email_campaign_name"] = "None" })
	refused("properties.email_campaign_name", "not in progress", func(_, p object) { p["email_campaign_name"] = simulator.SampleDraft })
	refused("properties.attributes[0].id", "snapshot", func(_, p object) { p["attributes"] = []object{{"id": "nowhere", "value": "user_country"}} })
	refused("properties.path", "text messages", func(_, p object) {
		delete(p, "email_campaign_name")
		p["sms_campaign_name"] = simulator.SampleText
	})
	refused("html", "no such field", func(_, p object) { p["html"] = "<p>" })

	var view struct {
		ID, IntegrationID string
		Enabled           bool
		Properties        object
	}
	b.must(http.MethodPost, emailsPath, body(nil), http.StatusCreated, &view)
	if r := b.refused(http.MethodPost, emailsPath, body(nil), http.StatusConflict); r.Errors["email_type"] == "" {
		t.Errorf("a second one of the type: %+v", r)
	}
	if !view.Enabled || view.Properties["max_age_seconds"] != 3600.0 {
		t.Errorf("the defaults are not shown: %+v", view)
	}
	one := "/v1/marketplace/emails/" + view.ID + "?organization_id=" + organization
	b.must(http.MethodPatch, one, `{"properties": {"email_campaign_name": "Unlisted"}}`, http.StatusBadRequest, nil)
	b.must(http.MethodPatch, one+"&check=false", `{"enabled": false, "properties": {"email_campaign_name": "Unlisted", "max_age_seconds": 60}}`, http.StatusOK, &view)
	b.must(http.MethodGet, one, "", http.StatusOK, &view)
	if view.Enabled || view.Properties["email_campaign_name"] != "Unlisted" || view.Properties["max_age_seconds"] != 60.0 {
		t.Errorf("it was changed to %+v", view)
	}
	text := object{"type_id": "actito", "email_type": "request-verify", "properties": object{
		"sms_campaign_name": simulator.SampleText, "path": "/sms-campaigns/v4/entity/{entity}/transactionalsms/{campaign}/contact", "address_attribute": "emailAddress",
	}}
	sms, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	b.must(http.MethodPost, emailsPath, string(sms), http.StatusCreated, nil)
	wish := `{"email_type": "request-verify", "organization_user_id": "` + anna + `", "reference": "r1", "parameters": {"code": "4711", "list": ["a", "b"]}}`
	b.must(http.MethodPost, "/v1/emails/send?organization_id="+organization, wish, http.StatusAccepted, nil)
	b.must(http.MethodPost, "/v1/emails/send?organization_id="+organization, wish, http.StatusOK, nil)
	b.must(http.MethodPost, "/v1/emails/send?organization_id="+organization, `{"email_type": "request-other", "organization_user_id": "a"}`, http.StatusBadRequest, nil)
	b.eventually("the text is sent", func() bool { return len(b.messages("sent")) == 1 })
	if sent := b.actito.Outbox(); len(sent) != 1 || !sent[0].SMS || cmp.Diff(sent[0].Parameters, map[string][]string{"code": {"4711"}, "list": {"a", "b"}}) != "" {
		t.Errorf("sent is %+v", sent)
	}
	b.must(http.MethodDelete, one, "", http.StatusNoContent, nil)
	b.must(http.MethodGet, one, "", http.StatusNotFound, nil)
}

// Whatever Actito does with the call, nobody gets a message twice, and each
// message is sent, or shown with the reason why it was not, or perhaps not.
func TestMessagesMeetEveryFault(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, impatient)
	b.integrate(mails)
	b.email("confirm-consent-changed", simulator.SampleConfirmation, nil)
	faults := map[string]struct {
		fault simulator.Fault
		state string
		sent  int
	}{
		"refused":          {simulator.Fault{Effect: simulator.EffectStatus, Status: 400}, "failed", 0},
		"not found":        {simulator.Fault{Effect: simulator.EffectStatus, Status: 404}, "failed", 0},
		"too many":         {simulator.Fault{Effect: simulator.EffectStatus, Status: 429}, "sent", 1},
		"500 before":       {simulator.Fault{Effect: simulator.EffectStatus, Status: 500}, "unclear", 0},
		"500 after":        {simulator.Fault{Effect: simulator.EffectStatusAfter, Status: 500}, "unclear", 1},
		"503 after":        {simulator.Fault{Effect: simulator.EffectStatusAfter, Status: 503}, "unclear", 1},
		"reset before":     {simulator.Fault{Effect: simulator.EffectResetBefore}, "unclear", 0},
		"reset after":      {simulator.Fault{Effect: simulator.EffectResetAfter}, "unclear", 1},
		"withheld before":  {simulator.Fault{Effect: simulator.EffectWithholdBefore}, "unclear", 0},
		"withheld after":   {simulator.Fault{Effect: simulator.EffectWithholdAfter}, "unclear", 1},
		"late":             {simulator.Fault{Effect: simulator.EffectWithholdBefore, ApplyLate: 200 * time.Millisecond}, "unclear", 1},
		"truncated":        {simulator.Fault{Effect: simulator.EffectTruncate}, "sent", 1},
		"a page of HTML":   {simulator.Fault{Effect: simulator.EffectContent}, "sent", 1},
		"the token is old": {simulator.Fault{Effect: simulator.EffectStatus, Status: 401}, "sent", 1},
	}
	person := func(name string) string { return fmt.Sprintf("%x@example.com", name) }
	for name, x := range faults {
		x.fault.Kind, x.fault.Key, x.fault.Times = simulator.KindMail, person(name), 1
		b.actito.Inject(x.fault)
		// One after the other: many in a row without an answer would let the licence rest.
		b.send(event("e "+name, person(name), time.Now(), simulator.Choices{"newsletter": yes()}))
		b.looks(name+" ends", func() bool {
			return slices.ContainsFunc(b.messages(x.state), func(m messageView) bool { return m.OrganizationUserID == person(name) })
		})
	}
	b.actito.Settle()
	for name, x := range faults {
		if sent := b.outbox(person(name)); len(sent) != x.sent {
			t.Errorf("%s: sent %d times, want %d", name, len(sent), x.sent)
		}
	}
	for _, m := range b.messages("unclear") {
		if m.Reason == "" || !m.Repeatable || m.Attempts != 1 {
			t.Errorf("an unclear message is shown as %+v", m)
		}
	}

	// Somebody decides that it was not sent.
	for _, m := range b.messages("unclear") {
		if m.OrganizationUserID == person("reset before") {
			b.must(http.MethodPost, "/v1/emails/messages/"+m.ID+"/repeat?organization_id="+organization, "", http.StatusAccepted, nil)
			b.eventually("it is sent", func() bool { return len(b.outbox(person("reset before"))) == 1 })
			b.eventually("it is known to be", func() bool {
				var is messageView
				b.must(http.MethodGet, "/v1/emails/messages/"+m.ID+"?organization_id="+organization, "", http.StatusOK, &is)
				return is.State == "sent" && is.Attempts == 2 && !is.Repeatable
			})
			b.must(http.MethodPost, "/v1/emails/messages/"+m.ID+"/repeat?organization_id="+organization, "", http.StatusConflict, nil)
		}
	}
	var counts map[string]int
	b.must(http.MethodGet, "/v1/emails/messages/counts?organization_id="+organization, "", http.StatusOK, &counts)
	if counts["failed"] != 2 || counts["unclear"] != 7 || counts["sent"] != 5 || counts["pending"]+counts["in_flight"] != 0 {
		t.Errorf("counted are %v", counts)
	}
}

package browser_test

import (
	"net/http"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// An administrator has messages sent and tests one, an operator sees what became
// of them and sends one again, and a viewer sees that there are some, not to whom.
func TestMessages(t *testing.T) {
	t.Parallel()
	s, admin, id := integrated(t)
	s.ask(http.MethodPatch, "/v1/marketplace/integrations/"+id, map[string]bool{"enable_emailing": true}, nil)
	admin.open("/o/acme-org")
	admin.press("Messages")
	admin.says("No type of message is configured")
	admin.fill("Campaign in Actito", simulator.SampleDraft)
	admin.press("Send this type from now on")
	admin.says("not in progress")
	admin.looksGood("messages-refused")
	admin.fill("Campaign in Actito", simulator.SampleConfirmation)
	admin.press("Send this type from now on")
	admin.says("The message is configured.", "confirm-consent-changed", simulator.SampleConfirmation)

	const bob = "bob@example.com"
	s.profile(anna)
	s.profile(bob)
	s.actito.Inject(simulator.Fault{Kind: simulator.KindMail, Key: bob, Effect: simulator.EffectStatusAfter, Status: 500, Times: 1})
	s.didomi(simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()}})
	s.didomi(simulator.Event{ID: "e2", OrganizationUserID: bob, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()}})
	s.counted("sent", 1)
	s.counted("unclear", 1)

	admin.press("confirm-consent-changed")
	admin.says("Sent by the campaign", "emailAddress")
	admin.looksGood("message-type")
	admin.fill("Your address", "me@example.com")
	admin.press("Send a test")
	admin.says("The test is on its way")
	s.counted("sent", 2)
	admin.open("/o/acme-org/emails")
	admin.says(anna, bob, "(a test)", "Actito failed, perhaps after it applied the change")
	admin.looksGood("messages")
	admin.press("confirm-consent-changed")
	admin.fill("Drop it after (minutes)", "90")
	admin.press("Save")
	admin.says("The message is configured.")

	v := s.member(organization, "viewer", "Vera")
	v.open("/o/acme-org/emails")
	v.says("b•••@e•••", "unclear")
	v.saysNothingOf(bob, "Send again", "Send another type")
	for _, path := range []string{"/emails", "/messages/x/repeat"} {
		if status, _ := v.fetch(http.MethodPost, "/o/acme-org"+path, "x=y"); status != 403 {
			t.Errorf("a viewer who posts to %s is answered %d", path, status)
		}
	}

	w := s.member(organization, "operator", "Olga")
	w.open("/o/acme-org/emails?state=unclear")
	w.says("Messages that are unclear", bob)
	w.saysNothingOf(anna)
	w.press("Send again, perhaps twice")
	w.says("The message is sent again.")
	s.counted("unclear", 0)
	s.counted("sent", 3)
	w.open("/o/acme-org/changes")
	w.says("olga@example.com had a message sent again", "tested a type of message", "configured a type of message")
}

// counted waits until so many messages are in a state.
func (s *site) counted(state string, want int) {
	s.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var counts map[string]int
		s.ask(http.MethodGet, "/v1/emails/messages/counts?organization_id="+organization, nil, &counts)
		if counts[state] == want {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d messages are never %s: %v", want, state, counts)
		}
		<-tick.C
	}
}

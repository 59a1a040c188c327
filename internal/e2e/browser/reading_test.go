package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"consentsync/internal/simulator"
)

// A person is explained: what they chose, what Actito should hold and holds,
// and how it came about; an operator sends and reads again, a viewer does not.
func TestPerson(t *testing.T) {
	t.Parallel()
	s, _, _ := integrated(t)
	s.profile(anna)
	s.didomi(simulator.Event{
		ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now().Add(-time.Hour), Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()},
		Metadata: map[string]any{"firstName": "Annabella", "shoeSize": 40},
	})
	s.becomes(anna, "synced")
	w := s.member(organization, "operator", "Olga")
	w.press("People")
	w.looksGood("people")
	w.fill("The organization's id of a person", "nobody@example.com")
	w.press("Explain")
	w.says("Nothing is known of this person")
	w.fill("The organization's id of a person", anna)
	w.press("Explain")
	w.says(anna, "consents_purposes_newsletter_enabled", "synced", "Newsletter", "event.created", "applied", "Answer:")
	w.press("attribute")
	w.says("Annabella")
	w.looksGood("person")
	calls := s.actito.CallCount(simulator.KindRead)
	w.press("Read again")
	w.says("The profile is read soon")
	for deadline := time.Now().Add(20 * time.Second); s.actito.CallCount(simulator.KindRead) == calls; {
		if time.Now().After(deadline) {
			t.Fatal("the profile is never read")
		}
		w.says("Choices")
	}
	w.press("Send again")
	w.says("The person is due")
	w.open("/o/acme-org/people?id=" + anna)
	w.press("event.created")
	w.says("The message as it came", "Annabella", anna)
	w.looksGood("event")

	w.open("/o/acme-org/people?id=" + anna)
	w.saysNothingOf("Erase this person")
	w.press("Consent proof")
	w.says("Consent proof", anna, "consents_purposes_newsletter_enabled", "Newsletter on", "Answered", "How to check this")
	w.looksGood("proof")

	v := s.member(organization, "viewer", "Vera")
	v.open("/o/acme-org/people?id=" + anna)
	v.says("consents_purposes_newsletter_enabled", "Newsletter")
	v.saysNothingOf("Annabella", "Send again", "Read again", "Consent proof")
	v.press("event.created")
	v.says("What is personal is masked", "a•••@e•••", `"newsletter"`)
	v.saysNothingOf("Annabella", anna)
	status := script[float64](v, `fetch(location.origin + "/o/acme-org/integrations/x/replay", {method: "POST", body: new URLSearchParams({id: "x"})}).then(r => r.status)`, chromedp.EvalAwaitPromise)
	if status != 403 {
		t.Errorf("a viewer who sends somebody again is answered %v", status)
	}
}

// Events are listed, the newest first, and searched; a page goes on from a key.
func TestEvents(t *testing.T) {
	t.Parallel()
	s, w, _ := integrated(t)
	for i := range 60 {
		s.didomi(simulator.Event{ID: "f" + string(rune('A'+i)), OrganizationUserID: "someone@example.com", Purposes: simulator.Choices{"newsletter": yes()}})
	}
	s.didomi(simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now().Add(-time.Hour), Purposes: simulator.Choices{"newsletter": yes()}})
	s.didomi(simulator.Event{ID: "e2", OrganizationUserID: anna, CreatedAt: time.Now().Add(-2 * time.Hour), Purposes: simulator.Choices{"newsletter": yes()}})
	w.open("/o/acme-org/events")
	w.says(anna, "superseded by something newer")
	w.looksGood("events")
	rows := func() int { return int(script[float64](w, `document.querySelectorAll("tbody tr").length`)) }
	if n := rows(); n != 50 {
		t.Errorf("the first page has %d events", n)
	}
	w.press("Further")
	if n := rows(); n != 12 {
		t.Errorf("the second page has %d events", n)
	}
	w.open("/o/acme-org/events")
	w.fill("Person", anna, "Outcome", "superseded")
	w.press("Search")
	if n := rows(); n != 1 {
		t.Errorf("%d events are found", n)
	}
	if kept := w.value("person"); kept != anna {
		t.Errorf("the search forgot %q", kept)
	}
	refused := script[string](w, `fetch(location.origin + "/o/acme-org/events?from=nonsense").then(r => r.text())`, chromedp.EvalAwaitPromise)
	if !strings.Contains(refused, "Must be a time such as") {
		t.Error("a time that is none is not refused")
	}
	w.open("/o/acme-org/events?from=2020-01-01T00:00&to=2019-01-01T00:00")
	w.says("Must be later than from")
	w.open("/o/acme-org/events?to=2020-01-01T00:00")
	w.says("Nothing fits.")
}

// An integration is paused and resumed, and its page says who did it.
func TestIntegration(t *testing.T) {
	t.Parallel()
	s, admin, id := integrated(t)
	admin.open("/o/acme-org")
	admin.press("acme / ")
	admin.says("active", "consents_purposes_newsletter_enabled", "platform administrator's token created the integration")
	admin.looksGood("integration")
	admin.press("Pause")
	admin.says("Deliveries are paused", "ada@example.com paused the integration")
	admin.press("Resume")
	admin.says("Deliveries go on", "ada@example.com resumed the integration")
	admin.press("Take a new snapshot")
	admin.says("A new snapshot of the table is taken.")

	v := s.member(organization, "viewer", "Vera")
	v.open("/o/acme-org/integrations/" + id)
	v.says("active")
	v.saysNothingOf("Pause", "Take a new snapshot", simulator.SampleKey)
	for _, path := range []string{"pause", "resume", "refresh", "approve"} {
		status := script[float64](v, `fetch(location.origin + "/o/acme-org/integrations/`+id+`/`+path+`", {method: "POST"}).then(r => r.status)`, chromedp.EvalAwaitPromise)
		if status != 403 {
			t.Errorf("a viewer who would %s is answered %v", path, status)
		}
	}
	other := s.member("*", "viewer", "Walter")
	other.open("/o/acme-org/integrations/" + strings.Repeat("0", 8))
	other.says("Not here")
}

// An administrator erases a person, after having repeated their id; it stands
// among the changes, without the id.
func TestErasure(t *testing.T) {
	t.Parallel()
	s, w, _ := integrated(t)
	s.profile(anna)
	s.didomi(simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now().Add(-time.Hour), Purposes: simulator.Choices{"newsletter": yes()}})
	s.becomes(anna, "synced")
	w.open("/o/acme-org/people?id=" + anna)
	w.press("Erase this person")
	w.looksGood("erase")
	w.fill("The person's id once more", "somebody@example.com")
	w.press("Erase for ever")
	w.says("Must repeat the organization_user_id")
	w.fill("The person's id once more", anna)
	w.press("Erase for ever")
	w.says("The person is erased", "Nothing is known of this person")
	w.press("Changes")
	w.says("erased a person")
	w.saysNothingOf(anna)
}

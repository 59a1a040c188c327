package browser_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"consentsync/internal/simulator"
)

// scripts gives the pages of a window JavaScript, or takes it from them.
func (w *window) scripts(on bool) {
	w.Helper()
	w.plain = !on
	call(w, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
}

// tick ticks a box, or takes the tick away.
func (w *window) tick(name string) {
	w.Helper()
	script[bool](w, fmt.Sprintf(`(() => { const box = document.getElementById("field-" + %q); box.checked = !box.checked; return true; })()`, name))
}

// An integration is set up in three steps, simulated and activated, without any
// JavaScript. What is wrong stands beside its field, nothing typed is lost, and
// the API key never comes back.
func TestSetUp(t *testing.T) {
	t.Parallel()
	s, w := enabled(t)
	s.profile(anna)
	s.didomi(simulator.Event{
		ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now().Add(-time.Hour), Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()},
		Metadata: map[string]any{"age": true, "firstName": "Annabella"},
	})
	w.scripts(false)
	w.open("/o/acme-org")
	w.press("Set up an integration")
	w.fill("Address of Actito's API", s.actitoURL, "API key", "wrong-secret-key")
	w.press("Connect")
	w.says("Actito refuses this API key")
	w.fill("Address of Actito's API", "http://127.0.0.1:1", "API key", simulator.SampleKey)
	w.press("Connect")
	w.says("Actito could not be reached at http://127.0.0.1:1", "What was typed is kept.")
	if kept := w.value("properties.base_url"); kept != "http://127.0.0.1:1" {
		t.Errorf("the address is now %q", kept)
	}
	w.saysNothingOf(simulator.SampleKey, "wrong-secret-key")
	w.fill("Address of Actito's API", s.actitoURL)
	w.press("Connect")
	w.says("Is required.") // the key was typed for another address
	w.fill("API key", simulator.SampleKey)
	w.press("Connect")
	w.says("Where the people are", "Kept: ")
	if entity := w.value("properties.entity_id"); entity != simulator.SampleEntity {
		t.Errorf("of one entity %q is chosen", entity)
	}
	w.fill("Attribute that holds the person's id", "emailAddress")
	w.looksGood("setup-settings")
	w.saysNothingOf(simulator.SampleKey)
	w.press("Go on to the options")

	w.fill("Calls a minute", "lots", "Calls at once", "1000")
	w.tick("upsert_mode")
	w.press("Go on to the mapping")
	w.says("Must be a whole number.")
	if kept := w.value("properties.calls_per_minute"); kept != "lots" {
		t.Errorf("what was typed has become %q", kept)
	}
	w.fill("Calls a minute", "6000")
	w.press("Go on to the mapping")
	w.says("Must be a whole number from 1 to 100.")
	w.fill("Calls at once", "4")
	w.tick("enable_webhooks")
	w.looksGood("setup-options")
	w.press("Go on to the mapping")

	// Somebody signs out in the middle, and finds it all again.
	w.open("/o/acme-org")
	w.says("is not finished", "ada@example.com")
	w.press("Go on")
	w.press("Mapping")
	w.says("Newsletter", "PartnerOffers", "user_metadata_firstName", "Left out for 1 person: a boolean is not a whole number")
	w.fill("Newsletter", "consents_purposes_newsletter_enabled", "Promotions", "nonsense")
	w.press("Go on to the simulation")
	w.says(`The mapping of "Promotions": "nonsense" is not a path`, "Last said yes", "yes from 1 of 1 person")
	if kept := script[string](w, `[...document.querySelectorAll("[name='mapping.value']")].map(i => i.value).join()`); kept != "consents_purposes_newsletter_enabled,nonsense,," {
		t.Errorf("the mapping has become %q", kept)
	}
	w.looksGood("setup-mapping-refused")
	w.fill("Promotions", "consents_purposes_promotions_enabled")
	writes := s.actito.CallCount(simulator.KindUpdate, simulator.KindCreate)
	w.press("Go on to the simulation")
	w.says("What it would do", "Everybody known was compared.", anna, "What it costs")
	w.looksGood("setup-simulation")
	w.press("Mapping")
	w.says("Last said no")
	w.looksGood("setup-mapping")
	w.press("Simulation")
	w.saysNothingOf(simulator.SampleKey, "Annabella")
	if now := s.actito.CallCount(simulator.KindUpdate, simulator.KindCreate); now != writes {
		t.Errorf("a simulation made %d writes", now-writes)
	}
	w.press("Activate")
	w.says("The integration is active, with the snapshot below.", "Of the snapshot of", "4 subscriptions", "ada@example.com created the integration")
	w.says("The secret is shown only now")
	secret := script[string](w, `document.querySelector(".secret").textContent`)
	w.open("/o/acme-org")
	w.saysNothingOf("not finished")
	w.press("acme / ")
	w.says("come back to Didomi")
	w.saysNothingOf(simulator.SampleKey, secret)
	s.becomes(anna, "synced")
	p, _ := s.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", anna)
	if !p.Subscriptions["Newsletter"] || p.Subscriptions["Promotions"] {
		t.Errorf("Actito holds %v", p.Subscriptions)
	}
}

// An integration is changed the same way, unless somebody else has changed it
// meanwhile; who may not configure sees and does nothing of it.
func TestChangeOfIntegration(t *testing.T) {
	t.Parallel()
	s, w, id := integrated(t)
	page := "/o/acme-org/integrations/" + id
	w.open(page)
	w.press("Change it")
	w.fill("Calls a minute", "5000")
	w.press("Go on to the mapping")
	w.says("SmsAlerts")
	w.saysNothingOf(simulator.SampleKey)
	w.fill("SmsAlerts", "consents_channels_other_enabled")
	w.says("Nobody was seen to choose it, and Didomi does not list it.")
	w.fill("SmsAlerts", "")
	w.press("Go on to the simulation")
	here := w.at()
	w.says("What it would do")
	w.press("Make the change")
	w.says("The change is made", "5,000 calls a minute", "ada@example.com changed the integration")
	w.saysNothingOf("consents_channels_sms_enabled</code>")

	w.press("Change it")
	stale := w.at()
	s.ask(http.MethodPatch, "/v1/marketplace/integrations/"+id+"?organization_id="+organization, map[string]any{"upsert_mode": true}, nil)
	w.press("Go on to the mapping")
	w.press("Go on to the simulation")
	w.press("Make the change")
	w.says("Somebody changed this integration after you began")
	w.press("Give it up")
	w.press("Really give it up")
	w.says("The set-up is given up")
	if status, _ := w.fetch(http.MethodGet, stale); status != http.StatusNotFound {
		t.Errorf("what was given up is answered %d", status)
	}
	for _, role := range []string{"viewer", "operator"} {
		other := s.member(organization, role, "Vera"+role)
		other.open(page)
		other.saysNothingOf("Change it")
		for _, path := range []string{"/o/acme-org/setups", here + "/../activate", here + "/../settings"} {
			if status, _ := other.fetch(http.MethodPost, path); status != http.StatusForbidden {
				t.Errorf("a %s who posts to %s is answered %d", role, path, status)
			}
		}
		if status, _ := other.fetch(http.MethodGet, here); status != http.StatusForbidden {
			t.Errorf("a %s who looks at a set-up is answered %d", role, status)
		}
	}
	w.open("/o/acme-org")
	w.saysNothingOf("is not finished") // nobody began one
}

// When the table has changed in Actito its page says what, and a click takes it
// over.
func TestTableDiffers(t *testing.T) {
	t.Parallel()
	s, w, id := integrated(t)
	s.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Fresh")
	s.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "PartnerOffers")
	o := s.member(organization, "operator", "Olga")
	o.open("/o/acme-org/integrations/" + id)
	o.saysNothingOf("not any more as in the snapshot")
	o.press("Look whether")
	o.says("not any more as in the snapshot", "1 new subscription: Fresh", "1 subscription is gone: PartnerOffers", "An administrator of acme-org can")
	w.open("/o/acme-org")
	w.says("not any more as in the snapshot")
	w.press("see the integration")
	w.looksGood("integration-differs")
	w.press("Take a new snapshot")
	w.says("A new snapshot of the table is taken.")
	w.press("The snapshot")
	w.says("Fresh")
	w.saysNothingOf("not any more as in the snapshot")
}

package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"consentsync/internal/simulator"
)

// fetch gives the status and the text of a page, as the window's user.
func (w *window) fetch(method, path string, form ...string) (status int, text string) {
	w.Helper()
	body := ""
	if method == http.MethodPost {
		body = fmt.Sprintf(", body: new URLSearchParams(%q)", strings.Join(form, "&"))
	}
	answer := script[struct {
		Status int    `json:"status"`
		Text   string `json:"text"`
	}](w, fmt.Sprintf(`fetch(location.origin + %q, {method: %q%s}).then(r => r.text().then(text => ({status: r.status, text})))`, path, method, body), chromedp.EvalAwaitPromise)
	return answer.Status, answer.Text
}

// Those whom Actito refuses stand by their reason, are exported, and tried again
// one by one and all at once; a viewer sees that there are some, not who.
func TestFailedAndUnmatched(t *testing.T) {
	t.Parallel()
	s, _, id := integrated(t)
	failing := []string{"=cmd@example.com", "bob@example.com", "cleo@example.com"}
	for _, person := range failing {
		s.profile(person)
		s.actito.Inject(simulator.Fault{Kind: simulator.KindUpdate, Key: person, Effect: simulator.EffectStatus, Status: 400})
		s.didomi(simulator.Event{ID: "e-" + person, OrganizationUserID: person, Purposes: simulator.Choices{"newsletter": yes()}})
		s.becomes(person, "failed")
	}
	s.didomi(simulator.Event{ID: "e-dan", OrganizationUserID: "dan@example.com", Purposes: simulator.Choices{"newsletter": yes()}})
	s.becomes("dan@example.com", "unmatched")

	w := s.member(organization, "operator", "Olga")
	w.press("Failed and unmatched")
	w.says("failed", "unmatched", "acme / ")
	w.looksGood("failed")
	page := "/o/acme-org/integrations/" + id + "/troubles"
	w.open(page + "?status=failed")
	w.says("bob@example.com", "cleo@example.com", "with newer consent")
	w.looksGood("failed-group")
	w.press("bob@example.com")
	w.says("Choices", "consents_purposes_newsletter_enabled")
	w.open(page + "?status=failed")
	status, csv := w.fetch(http.MethodGet, page+"/export?status=failed")
	if status != 200 || strings.Count(csv, "\n") != 4 || !strings.Contains(csv, "\n'=cmd@example.com,failed,") || strings.Contains(csv, "dan@") {
		t.Errorf("the export is answered %d: %s", status, csv)
	}

	v := s.member(organization, "viewer", "Vera")
	v.open(page + "?status=failed")
	v.says("b•••@e•••")
	v.saysNothingOf("bob@example.com", "Try all again", "CSV")
	for path, method := range map[string]string{"/export?status=failed": http.MethodGet, "/retry": http.MethodPost} {
		if status, _ := v.fetch(method, page+path, "status=failed"); status != 403 {
			t.Errorf("a viewer who asks for %s is answered %d", path, status)
		}
	}

	s.actito.ClearFaults()
	w.press("Try again bob@example.com")
	s.becomes("bob@example.com", "synced")
	w.open(page + "?status=failed")
	w.press("Try all again")
	w.says("They are being tried again.")
	for _, person := range failing {
		s.becomes(person, "synced")
	}
	w.open("/o/acme-org/changes")
	w.says("olga@example.com tried those again who failed or are unmatched", "olga@example.com sent a person again")
	s.profile("dan@example.com")
	w.open(page)
	w.press("Try everybody again who is unmatched")
	s.becomes("dan@example.com", "synced")
	w.says("Nobody failed, and nobody is unmatched.") // by itself: the page goes on asking
}

// Trying many again asks before it turns on their subscriptions (R23), and sends
// withdrawals meanwhile.
func TestR23ARetryOfManyAsks(t *testing.T) {
	t.Parallel()
	s, admin, id := integrated(t)
	people := make([]string, 110)
	for i := range people {
		people[i] = fmt.Sprintf("p%d@example.com", i)
		choices := simulator.Choices{"newsletter": yes()}
		if i < 5 {
			choices = simulator.Choices{"newsletter": no()}
		}
		s.didomi(simulator.Event{ID: "e-" + people[i], OrganizationUserID: people[i], Purposes: choices})
	}
	for _, person := range people {
		s.becomes(person, "unmatched")
	}
	for _, person := range people {
		s.profile(person)
	}
	w := s.member(organization, "operator", "Olga")
	w.open("/o/acme-org/integrations/" + id + "/troubles")
	w.press("Try everybody again who is unmatched")
	w.says("would turn on subscriptions of 105 people")
	s.becomes(people[0], "synced")
	if p, _ := s.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", people[50]); p.Subscriptions["Newsletter"] {
		t.Error("somebody's subscription is on without a yes")
	}
	w.saysNothingOf("Yes, turn them on")
	admin.open("/o/acme-org/integrations/" + id + "/troubles")
	admin.says("would turn on subscriptions of 105 people")
	admin.looksGood("failed-asks")
	admin.press("Yes, turn them on")
	admin.says("The grants go out.")
	for _, person := range people[5:] {
		s.becomes(person, "synced")
		if p, _ := s.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", person); !p.Subscriptions["Newsletter"] {
			t.Fatalf("the subscription of %s is off", person)
		}
	}
}

// The overview shows how it goes, and moves without being asked; an organization
// without the feature sees what it is and whom to ask.
func TestOverview(t *testing.T) {
	t.Parallel()
	s, admin, _ := integrated(t)
	v := s.member(organization, "viewer", "Vera")
	v.open("/o/acme-org")
	v.says("acme / ", "active", "Nothing came into effect yet.")
	script[bool](v, `window.same = true`)
	s.profile(anna)
	s.didomi(simulator.Event{ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes(), "promotions": no()}})
	s.becomes(anna, "synced")
	s.didomi(simulator.Event{ID: "e2", OrganizationUserID: "dan@example.com", Purposes: simulator.Choices{"newsletter": yes()}})
	s.becomes("dan@example.com", "unmatched")
	v.says("withdrawals", "everything else")
	if !script[bool](v, `window.same === true`) {
		t.Error("the page was loaded anew")
	}
	if n := script[float64](v, `document.querySelectorAll("svg.chart circle").length`); n == 0 {
		t.Error("the chart has no point")
	}
	v.open("/o/acme-org")
	v.press("the chart as a table")
	v.looksGood("overview")
	if _, told := v.fetch(http.MethodGet, "/o/globex/live"); !strings.HasPrefix(told, "event: end\n") {
		t.Errorf("the part of another organization is answered %s", told)
	}

	s.ask(http.MethodPut, "/v1/premium-features/globex", map[string]bool{"actito": false}, nil)
	other := s.member("globex", "administrator", "Gus")
	other.says("not switched on for globex", "Ask the administrator of this platform")
	other.looksGood("premium")
	if status, _ := other.fetch(http.MethodPost, "/organizations", "organization_id=globex", "actito=true"); status != 403 {
		t.Errorf("an administrator of an organization who switches it on is answered %d", status)
	}
	admin.open("/o/globex")
	admin.press("Switch it on")
	admin.says("The Actito integration is switched on.", "There is no integration yet")
}

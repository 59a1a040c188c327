package didomi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"consentsync/internal/assumption"
	"consentsync/internal/outbound/outboundtest"
	"consentsync/internal/simulator"
)

const (
	didomiKey    = "key-9f3c"
	didomiSecret = "secret-77aa"
)

// looked is a simulated Didomi with 101 users, and its answers as alter makes
// them. It gives a look at it.
func looked(t *testing.T, secret string, alter func(r *http.Request, header http.Header, status int, body string) (int, string)) map[string]assumption.Checked {
	t.Helper()
	sim := simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: "acme", Key: didomiKey, Secret: didomiSecret, Purposes: []string{"newsletter"}})
	t.Cleanup(sim.Close)
	yes := true
	for i := range 101 {
		err := sim.Choose(simulator.Event{
			ID: fmt.Sprintf("event-%d", i), OrganizationUserID: fmt.Sprintf("jane%d@example.com", i), CreatedAt: time.Now(),
			Purposes: simulator.Choices{"newsletter": &yes},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if alter == nil {
		alter = func(_ *http.Request, _ http.Header, status int, body string) (int, string) { return status, body }
	}
	server := outboundtest.Altered(t, sim, alter)
	found := map[string]assumption.Checked{}
	for _, c := range NewClient(direct(t), server.URL+"/v1", "acme", didomiKey, secret).Look(t.Context(), "gdpr") {
		found[c.ID] = c
		if text := c.Seen + c.Do; strings.Contains(text, "jane") || strings.Contains(text, didomiSecret) || strings.Contains(text, "event-0") {
			t.Errorf("%s tells a value: %+v", c.ID, c)
		}
	}
	return found
}

// Where Didomi is as it is thought to be, whatever can be looked at is confirmed.
func TestLookConfirms(t *testing.T) {
	t.Parallel()
	seen := looked(t, didomiSecret, nil)
	for _, a := range assumed {
		want := assumption.Unknown
		if a.Check != nil {
			want = assumption.Confirmed
		}
		if got := seen[a.ID]; got.Result != want || want == assumption.Unknown && got.Do == "" {
			t.Errorf("%s is %s: %s; want %s", a.ID, got.Result, got.Seen, want)
		}
	}
}

// Each way in which Didomi could be otherwise refutes what is thought of it, and
// says what was seen.
func TestLookRefutes(t *testing.T) {
	t.Parallel()
	const users, events, purposes = "/v1/consents/users?", "/v1/consents/events?", "/v1/metadata/purposes?"
	replaced := func(old, with string) func(http.Header, int, string) (int, string) {
		return func(_ http.Header, status int, body string) (int, string) {
			return status, strings.ReplaceAll(body, old, with)
		}
	}
	answered := func(status int, body string) func(http.Header, int, string) (int, string) {
		return func(http.Header, int, string) (int, string) { return status, body }
	}
	without := func(header string) func(http.Header, int, string) (int, string) {
		return func(h http.Header, status int, body string) (int, string) {
			h.Del(header)
			return status, body
		}
	}
	with := func(header, value string) func(http.Header, int, string) (int, string) {
		return func(h http.Header, status int, body string) (int, string) {
			h.Set(header, value)
			return status, body
		}
	}
	for _, c := range []struct {
		id, path string // of the answers that are altered
		alter    func(h http.Header, status int, body string) (int, string)
		seen     string
	}{
		{"didomi.session", "/v1/sessions", answered(200, `{"token":"x"}`), "token: text"},
		{"didomi.session-token", "/v1/sessions", answered(200, `{"access_token":"x"}`), "no JWT"},
		{"didomi.session-life", "/v1/sessions", answered(200, `{"access_token":"e30.eyJpYXQiOjAsImV4cCI6NzIwMH0.x"}`), "2h0m0s"},
		{"didomi.users", users, replaced(`"cursor":`, `"next":`), "no cursor"},
		{"didomi.unauthorized", users, answered(200, `{"data":[]}`), "is taken"},
		{"didomi.users", users, answered(200, `[]`), "bare list"},
		{"didomi.users-page", users, replaced(`"data":[`, `"data":[{"id":"x"},`), "101 users"},
		{"didomi.user", users, replaced(`"created_at"`, `"made_at"`), "lacks created_at"},
		{"didomi.events-of", events, replaced(`"jane0@example.com"`, `"jane7@example.com"`), "others"},
		{"didomi.event", events, replaced(`"consents"`, `"choices"`), "lacks consents"},
		{"didomi.event-read", "/consentsync-has-no-such-event", answered(200, `{}`), "200"},
		{"didomi.purposes", purposes, answered(404, `{}`), "404"},
		{"didomi.purpose-ids", purposes, replaced(`"didomi":"newsletter"`, `"iab":"newsletter"`), "1 are not"},
		{"didomi.limits", users, with("RateLimit", "limit=100, remaining=60, reset=7"), "a limit"},
		{"didomi.limit-header", purposes, without("Ratelimit"), "no such header"},
		{"didomi.limit-header", purposes, with("RateLimit", `"default";r=60;t=7`), "another form"},
	} {
		got := looked(t, didomiSecret, func(r *http.Request, h http.Header, status int, body string) (int, string) {
			if strings.Contains(r.URL.Path+"?", c.path) {
				return c.alter(h, status, body)
			}
			return status, body
		})[c.id]
		if got.Result != assumption.Refuted || !strings.Contains(got.Seen, c.seen) || !strings.Contains(got.Do, "internal/") {
			t.Errorf("%s is %s: %s; want refuted, with %q", c.id, got.Result, got.Seen, c.seen)
		}
	}
}

// What cannot be asked is unknown and not refuted.
func TestLookKnowsNothing(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	unreachable := map[string]assumption.Checked{}
	for _, c := range NewClient(direct(t), gone.URL, "acme", didomiKey, didomiSecret).Look(t.Context(), "gdpr") {
		unreachable[c.ID] = c
	}
	for said, seen := range map[string]map[string]assumption.Checked{
		"refuses the API key": looked(t, "wrong", nil), "nothing was sent": unreachable,
	} {
		if got := seen["didomi.session"]; !strings.Contains(got.Seen, said) {
			t.Errorf("the session is %s: %s; want %q", got.Result, got.Seen, said)
		}
		for id, got := range seen {
			if got.Result != assumption.Unknown {
				t.Errorf("%s is %s: %s; want unknown", id, got.Result, got.Seen)
			}
		}
	}
}

package actito

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"consentsync/internal/assumption"
	"consentsync/internal/outbound/outboundtest"
	"consentsync/internal/simulator"
)

// looked is a simulated Actito with a profile, and its answers as alter makes
// them. It gives a look at it.
func looked(t *testing.T, alter func(r *http.Request, header http.Header, status int, body string) (int, string)) map[string]assumption.Checked {
	t.Helper()
	sim := simulator.NewActito(simulator.ActitoOptions{AllowHTTPWebhooks: true})
	t.Cleanup(sim.Close)
	_, err := sim.PutProfile(simulator.SampleEntity, simulator.SampleTableID,
		map[string]any{"emailAddress": "jane@example.com", "age": 9041}, map[string]bool{"Newsletter": true})
	if err != nil {
		t.Fatal(err)
	}
	if alter == nil {
		alter = func(_ *http.Request, _ http.Header, status int, body string) (int, string) { return status, body }
	}
	server := outboundtest.Altered(t, sim, alter)
	c := NewClient(outboundtest.Client(t), server.URL, simulator.SampleKey)
	_, err = c.CreateWebhook(t.Context(), simulator.SampleEntity, Subscription{
		TableID: simulator.SampleTableID, Event: WebhookCreate, TargetURL: "http://127.0.0.1/", Headers: map[string]string{"X-Secret": "s3cret"}, Active: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	fresh := NewClient(outboundtest.Client(t), server.URL, simulator.SampleKey)
	return byID(t, fresh.Look(t.Context(), Subject{
		Entity: simulator.SampleEntity, TableName: "Profiles", KeyAttribute: "emailAddress", Profile: "jane@example.com", WriteTo: "jane@example.com",
	}))
}

// byID gives what was checked by its id. Nothing of it tells a value.
func byID(t *testing.T, all []assumption.Checked) map[string]assumption.Checked {
	t.Helper()
	found := map[string]assumption.Checked{}
	for _, c := range all {
		found[c.ID] = c
		if text := c.Seen + c.Do; strings.Contains(text, "jane") || strings.Contains(text, simulator.SampleKey) || strings.Contains(text, "s3cret") || strings.Contains(text, "9041") {
			t.Errorf("%s tells a value: %+v", c.ID, c)
		}
	}
	return found
}

// Where Actito is as it is thought to be, whatever can be looked at is confirmed.
func TestLookConfirms(t *testing.T) {
	t.Parallel()
	seen := looked(t, nil)
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

// Each way in which Actito could be otherwise refutes what is thought of it, and
// says what was seen.
func TestLookRefutes(t *testing.T) {
	t.Parallel()
	const profile = "/profiles/emailAddress=jane"
	patched := false
	for _, c := range []struct {
		id, path, method string // of the answers that are altered
		alter            func(h http.Header, status int, body string) (int, string)
		seen             string
	}{
		{"actito.token-life", "/auth/token", "GET", replaced(`"900s"`, `3600`), "1h0m0s"},
		{"actito.addresses", "/entities/v5/entities", "GET", status(404), "one without is"},
		{"actito.unauthorized", "/entities/v5/entities", "GET", func(http.Header, int, string) (int, string) { return 200, `{"entities":[]}` }, "is taken"},
		{"actito.entities", "/entities/v5/entities", "GET", replaced(`"acme"`, `"Acme Ltd"`), ""},
		{"actito.lists-whole", "/profile-table-structure/v5/entities/acme/profile-tables", "GET", replaced(`{"profileTables"`, `{"nextPage":1,"profileTables"`), "nextPage"},
		{"actito.structure", "/profile-tables/16", "GET", replaced(`"unique":true`, `"isKey":true`), "not told as unique"},
		{"actito.structure-subscriptions", "/profile-tables/16", "GET", replaced(`"subscriptions"`, `"subscriptionList"`), "another place"},
		{"actito.limit-headers", "", "GET", func(h http.Header, status int, body string) (int, string) {
			h.Set("X-RateLimit-Remaining", "7")
			return status, body
		}, "X-Ratelimit-Remaining"},
		{"actito.profile", profile, "GET", replaced(`"Newsletter":true`, `"Newsletter":"yes"`), "text"},
		{"actito.profile-missing", "nobody-of-consentsync", "GET", func(http.Header, int, string) (int, string) { return 200, `{"attributes":{}}` }, "200"},
		{"actito.profile-subscriptions", profile, "GET", replaced(`"Promotions":false,`, ``), "leaves out Promotions"},
		{"actito.profile-id", "/profiles/profileId", "GET", status(404), "404"},
		{"actito.webhook-headers", "webhookSubscription", "GET", replaced(`"headers"`, `"hidden"`), "none shows"},
		{"actito.campaigns", "/mail", "GET", status(404), "404"},
		{"actito.write-answer", profile, "PATCH", func(http.Header, int, string) (int, string) { return 204, "" }, "no profileId"},
		{"actito.unknown-subscription", profile, "PATCH", func(http.Header, int, string) (int, string) { return 200, `{"profileId":1}` }, "200"},
		{"actito.patch", profile, "", func(_ http.Header, status int, body string) (int, string) {
			if strings.HasPrefix(body, `{"profileId"`) {
				patched = true
			} else if patched { // as if it had blanked what it was not given
				body = strings.Replace(body, `"age":9041,`, "", 1)
			}
			return status, body
		}, "age"},
	} {
		got := looked(t, func(r *http.Request, h http.Header, status int, body string) (int, string) {
			if strings.Contains(r.URL.EscapedPath(), c.path) && (c.method == "" || c.method == r.Method) {
				return c.alter(h, status, body)
			}
			return status, body
		})[c.id]
		want := assumption.Refuted
		if c.seen == "" {
			want = assumption.Unknown
		}
		if got.Result != want || !strings.Contains(got.Seen, c.seen) || want == assumption.Refuted && !strings.Contains(got.Do, "internal/") {
			t.Errorf("%s is %s: %s; want %s, with %q", c.id, got.Result, got.Seen, want, c.seen)
		}
	}
}

func status(code int) func(http.Header, int, string) (int, string) {
	return func(http.Header, int, string) (int, string) { return code, `{"message":"no"}` }
}

func replaced(old, with string) func(http.Header, int, string) (int, string) {
	return func(_ http.Header, status int, body string) (int, string) {
		return status, strings.ReplaceAll(body, old, with)
	}
}

// What cannot be asked is unknown and not refuted: a key without rights, a wrong
// key, nobody there.
func TestLookKnowsNothing(t *testing.T) {
	t.Parallel()
	sim := simulator.NewActito(simulator.ActitoOptions{})
	t.Cleanup(sim.Close)
	sim.AddKey("poor", simulator.RightWriteProfiles)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	of := Subject{Entity: simulator.SampleEntity, TableName: "Profiles", KeyAttribute: "emailAddress", Profile: "jane@example.com", WriteTo: "jane@example.com"}
	for _, c := range []struct{ url, key, id, seen string }{
		{server.URL, "poor", "actito.tables", "lacks the right"},
		{server.URL, "wrong", "actito.token", "refuses the API key"},
		{server.URL, "wrong", "actito.patch", "not asked for"},
		{gone.URL, "any", "actito.token", "nothing was sent"},
		{server.URL, simulator.SampleKey, "actito.profile-key", "404"}, // there is no such profile
	} {
		seen := byID(t, NewClient(outboundtest.Client(t), c.url, c.key).Look(t.Context(), of))
		if got := seen[c.id]; got.Result != assumption.Unknown || !strings.Contains(got.Seen, c.seen) {
			t.Errorf("%s with %s: %s, %s; want unknown, with %q", c.id, c.key, got.Result, got.Seen, c.seen)
		}
		for id, got := range seen {
			if got.Result == assumption.Refuted {
				t.Errorf("%s with %s is refuted: %s", id, c.key, got.Seen)
			}
		}
	}
}

package simulator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	sessionsPath = "/v1/sessions"
	rightKey     = `{"type":"api-key","key":"k","secret":"s"}`
	eventsPath   = "/v1/consents/events?organization_id=org"
	usersPath    = "/v1/consents/users?organization_id=org"
	quietly      = "&$disable_integrations=true"
)

// didomiBench is a simulated Didomi API on a real port, with a session.
type didomiBench struct {
	*DidomiAPI
	t          *testing.T
	url, token string
	header     http.Header // of the last answer
}

func serveDidomi(t *testing.T, opts DidomiAPIOptions) *didomiBench {
	t.Helper()
	opts.Organization, opts.Key, opts.Secret = "org", "k", "s"
	b := &didomiBench{DidomiAPI: NewDidomiAPI(opts), t: t}
	srv := httptest.NewServer(b)
	t.Cleanup(srv.Close)
	t.Cleanup(b.Close)
	b.url = srv.URL
	b.token = b.ask("POST", sessionsPath, rightKey, 200)["access_token"].(string)
	return b
}

// ask makes a call and wants a status, 0 for a broken connection.
func (b *didomiBench) ask(method, path, body string, want int) map[string]any {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	status, raw := 0, []byte(nil)
	if resp, err := http.DefaultClient.Do(r); err == nil {
		defer resp.Body.Close()
		status, b.header = resp.StatusCode, resp.Header
		raw, _ = io.ReadAll(resp.Body)
	}
	if status != want {
		b.t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, status, raw, want)
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return out
}

func TestDidomiAPI(t *testing.T) {
	t.Parallel()
	b := serveDidomi(t, DidomiAPIOptions{})
	b.ask("POST", sessionsPath, `{"type":"api-key","key":"k","secret":"x"}`, 400)
	b.ask("POST", sessionsPath, `{`, 400)
	b.ask("GET", sessionsPath, "", 405)
	b.ask("GET", "/v1/else", "", 404)
	b.ask("GET", "/v1/consents/users", "", 400)

	b.ask("POST", eventsPath+quietly, `{"id":"e1","user":{"organization_user_id":"anna"}}`, 200)
	if no := b.ask("POST", eventsPath, `{"id":"e1"}`, 409); no["name"] != "Conflict" || no["code"] != 409.0 {
		t.Errorf("refusal: %v", no)
	}
	b.ask("POST", eventsPath, `[{"id":"e1"},{"id":"e2"},{}]`, 200)
	for _, bad := range []string{
		``, `5`, `null`, `[null]`, `{`, "[" + strings.Repeat("{},", 100) + "{}]",
		`{"created_at":"soon"}`, `{"consents":{"purposes":[{"id":"p","enabled":"yes"}]}}`, `[{},{"created_at":"soon"}]`,
	} {
		b.ask("POST", eventsPath, bad, 400)
	}
	if e := b.ask("GET", strings.Replace(eventsPath, "?", "/e2?", 1), "", 200); e["id"] != "e2" {
		t.Errorf("event: %v", e)
	}
	b.ask("GET", strings.Replace(eventsPath, "?", "/e3?", 1), "", 404)
	if got := b.Events(); len(got) != 3 || !got[0].DisableIntegrations || got[1].ID != "e2" || got[2].ID == "" {
		t.Errorf("events: %+v", got)
	}
	if got := b.CallCount(KindEvents); got != 12 {
		t.Errorf("%d calls about events", got)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := serveDidomi(t, DidomiAPIOptions{Now: func() time.Time { return now }})
	b.ask("GET", usersPath, "", 200)
	now = now.Add(time.Hour)
	b.ask("GET", usersPath, "", 401)
	b.token = b.ask("POST", sessionsPath, rightKey, 200)["access_token"].(string)
	b.ask("GET", usersPath, "", 200)
	b.ExpireSessions()
	b.ask("GET", usersPath, "", 401)
}

// Calls about consents are not limited, others are.
func TestDidomiRateLimit(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	b := serveDidomi(t, DidomiAPIOptions{CallsPerWindow: 2, Now: func() time.Time { return now }})
	now = now.Add(5500 * time.Millisecond)
	b.ask("GET", usersPath+"&$include_full_tree=true", "", 200)
	if got := b.header.Get("RateLimit"); got != "limit=2, remaining=0, reset=10" {
		t.Errorf("RateLimit: %s", got)
	}
	b.ask("POST", sessionsPath, rightKey, 429)
	if b.header.Get("Retry-After") != "10" || b.header.Get("RateLimit-Policy") != "2;w=15" {
		t.Errorf("header: %v", b.header)
	}
	b.ask("GET", usersPath, "", 200)
	b.ask("POST", eventsPath, `{}`, 200)
	if got := b.header.Get("RateLimit"); got != "" {
		t.Errorf("RateLimit: %s", got)
	}
	now = now.Add(9500 * time.Millisecond)
	b.ask("POST", sessionsPath, rightKey, 200)
}

func TestUsersPageByPage(t *testing.T) {
	t.Parallel()
	b := serveDidomi(t, DidomiAPIOptions{PageSize: 2})
	b.PutUser(User{ID: "u1", Regulation: "cpra", OrganizationUserID: "org-u1"})
	for _, id := range []string{"u1", "u2", "u3", "u3"} {
		b.PutUser(User{ID: id, OrganizationUserID: "org-" + id})
	}
	page := b.ask("GET", usersPath, "", 200)
	if len(page["data"].([]any)) != 2 || page["cursor"] == nil || page["limit"] != 2.0 {
		t.Errorf("first page: %v", page)
	}
	page = b.ask("GET", usersPath+"&$cursor="+page["cursor"].(string), "", 200)
	if len(page["data"].([]any)) != 1 || page["cursor"] != nil {
		t.Errorf("last page: %v", page)
	}
	page = b.ask("GET", usersPath+"&organization_user_id=org-u3", "", 200)
	if data := page["data"].([]any); len(data) != 1 || data[0].(map[string]any)["id"] != "u3" {
		t.Errorf("one user: %v", page)
	}
	page = b.ask("GET", usersPath+"&regulation[$in]=cpra&regulation[$in]=gdpr&organization_user_id=org-u1", "", 200)
	if data := page["data"].([]any); len(data) != 2 {
		t.Errorf("two regulations: %v", page)
	}
}

// Whatever the order in which events come, the latest of each choice counts.
func TestEventsAreMergedByDate(t *testing.T) {
	t.Parallel()
	const event = `{"id":"%d","created_at":"2026-11-02T08:30:0%d.000Z",%s"user":{"organization_user_id":"anna"},"consents":{%s}}`
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
		b := serveDidomi(t, DidomiAPIOptions{})
		b.PutUser(User{ID: "u1", OrganizationUserID: "anna", Purposes: Choices{"old": new(true), "a": new(true)}})
		events := []string{
			fmt.Sprintf(event, 1, 1, ``, `"purposes":[{"id":"a","enabled":true},{"id":"b","enabled":true}],"channels":[{"id":"sms","enabled":false}]`),
			fmt.Sprintf(event, 2, 2, ``, `"purposes":[{"id":"a","enabled":false},{"id":"v","values":{"t":{"value":"x,y"}}}]`),
			fmt.Sprintf(event, 3, 3, `"status":"pending_approval",`, `"purposes":[{"id":"a","enabled":true}]`),
			fmt.Sprintf(event, 4, 3, `"regulation":"cpra",`, `"purposes":[{"id":"a","enabled":true}]`),
			fmt.Sprintf(event, 5, 4, ``, `"purposes":[{"id":"b","enabled":null,"channels":[{"id":"c","enabled":true}],"preferences":[{"id":"q","enabled":false,"channels":[{"id":"c","enabled":true}]}]}]`),
		}
		for _, i := range order {
			b.ask("POST", eventsPath, events[i], 200)
		}
		got := b.ask("GET", usersPath+"&organization_user_id=anna", "", 200)["data"].([]any)
		if len(got) != 1 {
			t.Fatalf("users: %v", got)
		}
		sameJSON(t, got[0].(map[string]any)["consents"], `{"channels":[{"id":"sms","enabled":false}],"purposes":[
			{"id":"a","enabled":false},
			{"id":"b","enabled":true,"channels":[{"id":"c","enabled":true}],"preferences":[{"id":"q","enabled":false,"channels":[{"id":"c","enabled":true}]}]},
			{"id":"old","enabled":true},
			{"id":"v","enabled":null,"values":{"t":{"value":"x,y"}}}],"vendors":{"enabled":[],"disabled":[]}}`)
		if u, ok := b.User("anna", "cpra"); !ok || u.ID != "u1" || !*u.Purposes["a"] {
			t.Errorf("cpra: %+v", u)
		}
	}
}

// Two events of one new person in one list make one user.
func TestAListMakesOneUserAPerson(t *testing.T) {
	t.Parallel()
	b := serveDidomi(t, DidomiAPIOptions{})
	const event = `{"id":"%s","user":{"organization_user_id":"anna","metadata":{%q:1}},"consents":{"purposes":[{"id":%[1]q,"enabled":true}]}}`
	b.ask("POST", eventsPath, "["+fmt.Sprintf(event, "a", "a")+","+fmt.Sprintf(event, "b", "b")+"]", 200)
	data := b.ask("GET", usersPath, "", 200)["data"].([]any)
	u, _ := b.User("anna", "")
	if len(data) != 1 || len(u.Purposes) != 2 || u.Version != 2 || len(u.Metadata) != 2 {
		t.Errorf("users: %v", data)
	}
}

func TestUnknownIDsAreRefused(t *testing.T) {
	t.Parallel()
	const list = `[{"id":"e1","consents":{"purposes":[{"id":"a","enabled":true}]}},{"id":"e2","consents":%s}]`
	for _, consents := range []string{
		`{"purposes":[{"id":"b","enabled":true}]}`, `{"channels":[{"id":"b","enabled":true}]}`,
		`{"purposes":[{"id":"a","channels":[{"id":"b","enabled":true}]}]}`,
	} {
		b := serveDidomi(t, DidomiAPIOptions{Purposes: []string{"a"}, Channels: []string{"c"}})
		no := b.ask("POST", eventsPath, fmt.Sprintf(list, consents), 400)
		if no["message"] != `invalid id "b"` || len(b.Events()) != 0 {
			t.Errorf("%v, events %v", no, b.Events())
		}
		b = serveDidomi(t, DidomiAPIOptions{Purposes: []string{"a"}, Channels: []string{}, SkipBadEvents: true})
		b.ask("POST", eventsPath, fmt.Sprintf(list, consents), 200)
		if got := b.Events(); len(got) != 1 || got[0].ID != "e1" {
			t.Errorf("events: %v", got)
		}
	}
}

func TestDidomiFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault   Fault
		status  int
		applied bool
	}{
		{Fault{Effect: EffectStatus, Status: 503}, 503, false},
		{Fault{Effect: EffectStatusAfter, Status: 500}, 500, true},
		{Fault{Effect: EffectResetBefore}, 0, false},
		{Fault{Effect: EffectResetAfter}, 0, true},
		{Fault{Effect: EffectTruncate}, 200, true},
		{Fault{Effect: EffectContent}, 200, true},
		{Fault{Effect: EffectStatus, Status: 504, ApplyLate: 1}, 504, true},
	} {
		b := serveDidomi(t, DidomiAPIOptions{})
		c.fault.Kind, c.fault.Key, c.fault.Times = KindEvents, "anna", 1
		b.Inject(c.fault)
		b.ask("POST", eventsPath, `{"id":"e0"}`, 200)
		b.ask("POST", eventsPath, `[{"id":"e1","user":{"organization_user_id":"anna"}}]`, c.status)
		b.Settle()
		calls := b.Calls()
		if last := calls[len(calls)-1]; last.Fault != c.fault.Effect || last.Status != c.status || last.Applied != c.applied {
			t.Errorf("recorded: %+v", last)
		}
		if applied := len(b.Events()) == 2; applied != c.applied {
			t.Errorf("%+v: applied %v", c.fault, applied)
		}
		b.ask("POST", eventsPath, `[{"id":"e1","user":{"organization_user_id":"anna"}}]`, 200)
		if got := len(b.Events()); got != 2 {
			t.Errorf("%d events", got)
		}
	}
}

// An event goes to the integrations unless its creator asks for silence.
func TestEventsAreForwarded(t *testing.T) {
	t.Parallel()
	r, sender, _, _ := pair(t, DidomiOptions{})
	b := serveDidomi(t, DidomiAPIOptions{Integrations: sender})
	const event = `{"id":"%s","created_at":"2026-11-02T08:30:00.000Z","user":{"id":"u1"},"consents":{"purposes":[{"id":"a","enabled":false}]}}`
	b.ask("POST", eventsPath+quietly, fmt.Sprintf(event, "e1"), 200)
	b.ask("POST", eventsPath, fmt.Sprintf(event, "e2"), 200)
	b.ask("POST", eventsPath, fmt.Sprintf(event, "e2"), 409)
	b.Settle()
	if len(r.bodies) != 1 {
		t.Fatalf("webhooks: %v", r.bodies)
	}
	var got any
	if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := EventCreated("org", Event{
		ID: "e2", DidomiUserID: "u1", CreatedAt: time.Date(2026, 11, 2, 8, 30, 0, 0, time.UTC), Purposes: Choices{"a": new(false)},
	})["parameters"].(map[string]any)["entity"].(map[string]any)
	want["consents"] = map[string]any{"purposes": []any{map[string]any{"id": "a", "enabled": false}}}
	if entity := got.(map[string]any)["parameters"].(map[string]any)["entity"]; !reflect.DeepEqual(entity, want) {
		t.Errorf("entity: %v\nwant %v", entity, want)
	}
}

package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is the other end of a webhook, with an authorization server.
type receiver struct {
	mu       sync.Mutex
	statuses []int // answered in turn, then 200
	valid    string
	tokens   int
	bodies   []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.URL.Path == "/token" {
		if req.PostFormValue("grant_type") != "client_credentials" || req.PostFormValue("client_secret") != "s" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.tokens++
		r.valid = fmt.Sprintf("t%d", r.tokens)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":60}`, r.valid)
		return
	}
	if req.Header.Get("Authorization") != "Bearer "+r.valid {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if len(r.statuses) > 0 {
		w.WriteHeader(r.statuses[0])
		r.statuses = r.statuses[1:]
		return
	}
	body, _ := io.ReadAll(req.Body)
	r.bodies = append(r.bodies, string(body))
}

// pair starts a receiver and a Didomi that sends to it, on a clock that only its
// own waits move.
func pair(t *testing.T, opts DidomiOptions) (r *receiver, d *Didomi, now *time.Time, slept *[]time.Duration) {
	t.Helper()
	r, now, slept = &receiver{}, new(time.Unix(1e9, 0)), &[]time.Duration{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	opts.Target, opts.TokenURL = srv.URL+"/hook", srv.URL+"/token"
	opts.ClientID, opts.ClientSecret = "c", "s"
	opts.Now = func() time.Time { return *now }
	opts.Sleep = func(_ context.Context, d time.Duration) error {
		*slept = append(*slept, d)
		*now = now.Add(d)
		return nil
	}
	return r, NewDidomi(opts), now, slept
}

func TestSendKeepsItsToken(t *testing.T) {
	t.Parallel()
	r, d, now, _ := pair(t, DidomiOptions{})
	for i, want := range []int{1, 1, 2, 3} {
		switch i {
		case 2:
			*now = now.Add(time.Minute) // expired
		case 3:
			r.valid = "revoked" // answered with 401
		}
		if err := d.Send(t.Context(), map[string]any{"type": "x"}); err != nil {
			t.Fatal(err)
		}
		if r.tokens != want {
			t.Errorf("send %d: %d tokens fetched, want %d", i, r.tokens, want)
		}
	}
	if len(r.bodies) != 4 || r.bodies[0] != `{"type":"x"}` {
		t.Errorf("bodies: %v", r.bodies)
	}
}

func TestSendRetries(t *testing.T) {
	t.Parallel()
	r, d, _, slept := pair(t, DidomiOptions{})
	r.statuses = []int{500, 404, 429, 503, 500}
	if err := d.SendBytes(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	var sum time.Duration
	for _, d := range *slept {
		sum += d
	}
	if len(*slept) != 5 || sum != 5*time.Minute {
		t.Errorf("waited %v", *slept)
	}
}

func TestSendGivesUp(t *testing.T) {
	t.Parallel()
	r, d, _, _ := pair(t, DidomiOptions{Retries: []time.Duration{1, 1}})
	r.statuses = []int{500, 500, 503}
	err := d.SendBytes(t.Context(), []byte("{}"))
	if failed, ok := errors.AsType[*SendError](err); !ok || failed.Attempts != 3 || failed.Status != 503 {
		t.Errorf("error: %v", err)
	}
	d = NewDidomi(DidomiOptions{Target: "http://127.0.0.1:1/", Retries: []time.Duration{}})
	err = d.SendBytes(t.Context(), []byte("{}"))
	if failed, ok := errors.AsType[*SendError](err); !ok || failed.Attempts != 1 || failed.Status != 0 {
		t.Errorf("error: %v", err)
	}
}

func TestPayloads(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 8, 30, 0, 0, time.UTC)
	e := Event{
		ID: "e1", DidomiUserID: "u1", OrganizationUserID: "anna@example.com", CreatedAt: at,
		Metadata: map[string]any{"shop": "Ghent"},
		Purposes: Choices{"newsletter": new(true), "b": new(false), "a": nil},
		Channels: Choices{"sms": new(false)},
		Values:   map[string]map[string][]string{"newsletter": {"topic": {"v1", "v2"}}},
	}
	const entity = `{"consents":{"channels":[{"enabled":false,"id":"sms"}],
		"purposes":[{"enabled":null,"id":"a"},{"enabled":false,"id":"b"},
			{"enabled":true,"id":"newsletter","values":{"topic":{"value":"v1,v2"}}}],
		"vendors":{"disabled":[],"enabled":[]}},
		"created_at":"2026-11-02T08:30:00.000Z","id":"e1","organization_id":"org","regulation":"gdpr","status":"confirmed",
		"user":{"id":"u1","metadata":{"shop":"Ghent"},"organization_user_id":"anna@example.com"}}`
	small := Event{ID: "e1", CreatedAt: at}
	const smallEntity = `{"created_at":"2026-11-02T08:30:00.000Z","id":"e1","organization_id":"org","regulation":"gdpr","status":"confirmed"}`
	u := User{ID: "u1", Version: 2, Regulation: "cpra", Tree: Tree{"p": {
		Enabled: new(true), Preferences: Tree{"q": {Channels: Choices{"email": new(false)}}},
	}}}
	const user = `{"consents":{"channels":[],"purposes":[{"enabled":true,"id":"p","preferences":[
		{"channels":[{"enabled":false,"id":"email"}],"enabled":null,"id":"q"}]}],"vendors":{"disabled":[],"enabled":[]}},
		"id":"u1","organization_id":"org","version":2}`

	for want, got := range map[string]map[string]any{
		`{"type":"event.created","regulation":"gdpr","parameters":{"entity":` + entity + `}}`:                                                         EventCreated("org", e),
		`{"type":"event.deleted","regulation":"gdpr","parameters":{"entity":` + smallEntity + `}}`:                                                    EventDeleted("org", small),
		`{"type":"event.updated","regulation":"gdpr","parameters":{"source":null,"old_entity":` + smallEntity + `,"new_entity":` + entity + `}}`:      EventUpdated("org", small, e),
		`{"type":"user.created","regulation":"cpra","parameters":{"entity":` + user + `}}`:                                                            UserCreated("org", u),
		`{"type":"user.deleted","regulation":"cpra","parameters":{"entity":` + user + `}}`:                                                            UserDeleted("org", u),
		`{"type":"user.updated","regulation":"cpra","parameters":{"source":` + smallEntity + `,"old_entity":` + user + `,"new_entity":` + user + `}}`: UserUpdated("org", u, u, &small),
	} {
		sameJSON(t, got, want)
	}
}

func TestFlatten(t *testing.T) {
	t.Parallel()
	before := Event{ID: "old"}
	after := Event{ID: "new", OrganizationUserID: "anna", Purposes: Choices{"newsletter": new(false), "x": nil}}
	payload := EventUpdated("org", before, after)
	sameJSON(t, Flatten(payload), `{"type":"event.updated","regulation":"gdpr","entity":{
		"id":"new","organization_id":"org","regulation":"gdpr","status":"confirmed","user__organization_user_id":"anna",
		"consents__purposes__0__id":"newsletter","consents__purposes__0__enabled":false,
		"consents__purposes__1__id":"x","consents__purposes__1__enabled":null}}`)
	sameJSON(t, FlattenFully(EventDeleted("org", before)), `{"type":"event.deleted","regulation":"gdpr",
		"entity__id":"old","entity__organization_id":"org","entity__regulation":"gdpr","entity__status":"confirmed"}`)

	r, d, _, _ := pair(t, DidomiOptions{Flatten: true})
	if err := d.Send(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.bodies[0], `"user__organization_user_id":"anna"`) {
		t.Errorf("sent: %s", r.bodies[0])
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	make1000 := func() (bodies []string, off int, people map[any]bool) {
		traffic := NewTraffic(TrafficOptions{
			People: 50, Organization: "org", Rand: rand.New(rand.NewPCG(3, 3)),
			Now: func() time.Time { return time.Unix(1e9, 0) },
		})
		people = map[any]bool{}
		for range 1000 {
			p := traffic.Next()
			entity := p["parameters"].(map[string]any)["entity"].(map[string]any)
			people[entity["user"].(map[string]any)["organization_user_id"]] = true
			body, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, string(body))
			if strings.Contains(string(body), `"enabled":false`) {
				off++
			}
		}
		return bodies, off, people
	}
	bodies, off, people := make1000()
	if off < 200 || off > 300 || len(people) != 50 {
		t.Errorf("%d withdrawals by %d people", off, len(people))
	}
	if again, _, _ := make1000(); !reflect.DeepEqual(bodies, again) {
		t.Error("not repeatable")
	}
	for id := range people {
		if !strings.HasSuffix(id.(string), "@example.com") {
			t.Errorf("id: %v", id)
		}
	}
	traffic := NewTraffic(TrafficOptions{People: 5000})
	seen := map[string]bool{}
	for i := range traffic.People() {
		seen[traffic.Person(i).ID] = true
	}
	if len(seen) != 5000 {
		t.Errorf("%d different people of 5000", len(seen))
	}
}

func TestDisorder(t *testing.T) {
	t.Parallel()
	var payloads []map[string]any
	for i := range 100 {
		payloads = append(payloads, map[string]any{"i": i})
	}
	out := Disorder(rand.New(rand.NewPCG(1, 1)), payloads, 0.2)
	seen := map[string]int{}
	for _, body := range out {
		seen[string(body)]++
	}
	if len(seen) != 100 || len(out) < 105 || len(out) > 140 || string(out[0])+string(out[1]) == `{"i":0}{"i":1}` {
		t.Errorf("%d bodies, %d different", len(out), len(seen))
	}
}

func sameJSON(t *testing.T, got any, want string) {
	t.Helper()
	body, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var x, y any
	if err := errors.Join(json.Unmarshal(body, &x), json.Unmarshal([]byte(want), &y)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(x, y) {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

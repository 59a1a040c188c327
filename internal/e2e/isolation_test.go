package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/api/apitest"
	"consentsync/internal/simulator"
	"consentsync/internal/store"
)

// things are the ids of what an organization has, by the names that addresses
// and bodies have for them.
type things map[string]string

// identity is somebody who calls.
type identity struct {
	name  string
	dress func(r *http.Request)
}

func bearing(name, token string) identity {
	return identity{name, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }}
}

// sweep is a program with two organizations, each of which has one of
// everything.
type sweep struct {
	*twoWay
	client    *http.Client // follows nothing
	validated *http.Client
	victim    things // of the organization that is to be kept from the other
	nothing   things // the names of what there is not
	own       things // of the other
	strangers []identity
	members   map[string]identity // of the victim, by role
	programs  map[string]identity // likewise, by keys of the API
}

const stranger = "globex-org"

// faces are the names of the users of an organization.
var faces = map[string]string{organization: "Vera victim", stranger: "Sam stranger"}

var sweptRoles = []string{"viewer", "operator", "administrator"}

func setupSweep(t *testing.T) *sweep {
	t.Helper()
	w := newTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1})
	w.cfg.SealAfter = 10 * time.Minute // so that only who calls changes anything
	t.Cleanup(w.stop)
	w.start()
	w.leads.Store(w.url)
	w.enrol()
	w.integrateBothWays(mails)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	far := fromEverywhere()
	s := &sweep{
		twoWay: w, members: map[string]identity{}, programs: map[string]identity{}, client: &http.Client{CheckRedirect: stay, Transport: far},
		validated: &http.Client{CheckRedirect: stay, Transport: apitest.Transport(t, far)},
		nothing:   things{},
	}
	s.must(http.MethodPost, "/v1/marketplace/integrations/"+w.id+"/pause", "", http.StatusOK, nil)
	s.victim = s.furnish(organization, w.id, w.client.ID)
	var other credentials
	s.must(http.MethodPut, "/v1/premium-features/"+stranger, `{"actito":true}`, http.StatusOK, nil)
	s.must(http.MethodPost, "/v1/organizations/"+stranger+"/webhook-clients", "", http.StatusCreated, &other)
	var view struct{ ID string }
	account := simulator.NewActito(simulator.ActitoOptions{})
	server := httptest.NewServer(account)
	t.Cleanup(func() {
		account.Close()
		server.Close()
	})
	settings := s.settings(func(in object) {
		in["enabled"], in["enable_emailing"] = false, true
		in["properties"].(object)["base_url"] = server.URL
	})
	s.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+stranger, settings, http.StatusCreated, &view)
	s.own = s.furnish(stranger, view.ID, other.ID)
	for name, id := range s.victim {
		// Of the same form, so that nothing but being there differs.
		other := "1"
		if strings.HasSuffix(id, other) {
			other = "0"
		}
		s.nothing[name] = id[:len(id)-1] + other
	}
	s.nothing["org"], s.nothing["organization_id"] = "nowhere-org", "nowhere-org"

	mine := w.client
	w.client = other
	w.authenticate()
	s.strangers = []identity{
		{"nobody", func(*http.Request) {}},
		bearing("a bearer of nonsense", "nonsense"),
		bearing("Didomi, for the other organization", w.token),
		{"Actito, with another secret", func(r *http.Request) { r.Header.Set("X-Consentsync-Secret", "ABCDEFGHIJKLMNOPQRSTUVWXYZ") }},
	}
	w.client = mine
	w.authenticate()
	for _, role := range sweptRoles {
		s.strangers = append(s.strangers, s.join(stranger, role))
		s.members[role] = s.join(organization, role)
		_, key := s.apiKey(stranger, role)
		s.strangers = append(s.strangers, bearing("the key of a "+role+" of "+stranger, key))
		_, key = s.apiKey(organization, role)
		s.programs[role] = bearing("the key of a "+role+" of "+organization, key)
	}
	return s
}

// fromEverywhere calls from another address each time, so that nobody is asked
// to wait for having been refused before.
func fromEverywhere() http.RoundTripper {
	var n atomic.Uint32
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		i := n.Add(1)
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i))}}
		return dialer.DialContext(ctx, network, address)
	}}
}

// furnish gives an organization somebody whose consent it has, a user and an
// invitation, and names all that it has.
func (s *sweep) furnish(org, integration, client string) things {
	s.t.Helper()
	if org == organization {
		s.send(event("planted-event", anna, time.Now().Add(-time.Hour), simulator.Choices{"newsletter": yes()}))
	}
	s.join(org, "viewer")
	var invitation struct{ ID string }
	s.must(http.MethodPost, "/v1/organizations/"+org+"/invitations", fmt.Sprintf(`{"role":"viewer","note":"for a friend of %s"}`, faces[org]), http.StatusCreated, &invitation)
	var users, events struct{ Data []struct{ ID string } }
	s.must(http.MethodGet, "/v1/organizations/"+org+"/users", "", http.StatusOK, &users)
	s.must(http.MethodGet, "/v1/organizations/"+org+"/events", "", http.StatusOK, &events)
	key, _ := s.apiKey(org, "viewer")
	scope := "?organization_id=" + org
	made := func(path, body string, status int) string {
		var thing struct{ ID string }
		s.must(http.MethodPost, path, body, status, &thing)
		return thing.ID
	}
	setup := s.ask(s.join(org, "administrator"), "POST /o/{org}/setups", things{"org": org, "id": integration, "organization_user_id": anna}, "").location
	if _, path, there := strings.Cut(setup, "/setups/"); there {
		setup, _, _ = strings.Cut(path, "/")
	} else {
		s.t.Fatalf("the set-up is not begun: %q", setup)
	}
	have := things{
		"email":     made("/v1/marketplace/emails"+scope+"&check=false", `{"type_id":"actito","email_type":"confirm-consent-changed","properties":{"email_campaign_name":"planted"}}`, http.StatusCreated),
		"message":   made("/v1/emails/send"+scope, `{"email_type":"confirm-consent-changed","organization_user_id":"`+anna+`"}`, http.StatusAccepted),
		"import_id": made("/v1/imports"+scope, `{"name":"planted"}`, http.StatusOK),
		"run_id":    made("/v1/marketplace/integrations/"+integration+"/reconciliations", `{"as_of":"2026-11-02T09:00:00Z","columns":["Newsletter"]}`, http.StatusCreated),
		"setup":     setup,

		"key_id": key, "org": org, "organization_id": org, "id": integration, "integration_id": integration, "user": users.Data[0].ID, "user_id": users.Data[0].ID,
		"invitation": invitation.ID, "invitation_id": invitation.ID, "organization_user_id": anna, "client_id": client,
	}
	if len(events.Data) > 0 {
		have["event"], have["event_id"] = events.Data[0].ID, events.Data[0].ID
	}
	return have
}

// join makes a user with a role, who signs in to the console.
func (s *sweep) join(org, role string) identity {
	s.t.Helper()
	var invitation struct{ URL string }
	s.must(http.MethodPost, "/v1/organizations/"+org+"/invitations", fmt.Sprintf(`{"role":%q}`, role), http.StatusCreated, &invitation)
	u, err := url.Parse(invitation.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	form := url.Values{
		"name": {faces[org]}, "email": {fmt.Sprintf("%s-%d@%s.example.com", role, len(s.members)+len(s.strangers), strings.Fields(faces[org])[1])}, "password": {"correct horse battery"},
	}
	resp, err := s.client.PostForm(s.url+u.Path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	if len(resp.Cookies()) != 1 {
		s.t.Fatalf("joining %s answers %d with %v", org, resp.StatusCode, resp.Cookies())
	}
	cookie := resp.Cookies()[0]
	return identity{role + " of " + org, func(r *http.Request) { r.AddCookie(cookie) }}
}

// apiKey makes a key of the API.
func (s *sweep) apiKey(org, role string) (id, key string) {
	s.t.Helper()
	var made struct{ ID, Key string }
	s.must(http.MethodPost, "/v1/organizations/"+org+"/api-keys", fmt.Sprintf(`{"name":"key of a %s","role":%q}`, faces[org], role), http.StatusCreated, &made)
	// Once, so that it is noted already that it is used.
	if status, answer := s.bundle.ask(http.MethodGet, "/v1/organizations/"+org+"/changes", "", "Authorization", "Bearer "+made.Key); status != http.StatusOK {
		s.t.Fatalf("a new key is answered %d: %s", status, answer)
	}
	return made.ID, made.Key
}

// answer is what somebody learns.
type answer struct {
	status         int
	location, body string
}

var wildcard = regexp.MustCompile(`\{(\w+)\}`)

// fill puts ids into an address or a body.
func (s *sweep) fill(text string, have things, escape func(string) string) string {
	return wildcard.ReplaceAllStringFunc(text, func(name string) string {
		name = strings.Trim(name, "{}")
		id, known := have[name]
		if fixed := map[string]string{"secret": "no-secret-at-all", "version": "v", "name": "n"}[name]; fixed != "" {
			return fixed
		}
		if !known {
			s.t.Fatalf("nothing is known of {%s}: say in things what an organization has of it", name)
		}
		return escape(id)
	})
}

// ask calls a route about some things, as somebody. scope is the organization
// that the query of the API names.
func (s *sweep) ask(who identity, pattern string, have things, scope string) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(strings.Replace(pattern, "{$}", "", 1), " ")
	if method == "/" {
		method, path = http.MethodGet, "/nothing-here"
	}
	for part, name := range map[string]string{"/v1/marketplace/emails/{id}": "email", "/v1/emails/messages/{id}": "message"} {
		if strings.HasPrefix(path, part) {
			path = strings.Replace(path, "{id}", "{"+name+"}", 1)
		}
	}
	path = s.fill(path, have, url.PathEscape)
	client := s.client
	body := s.fill(swept[pattern].body, have, func(id string) string { return id })
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	q := url.Values{"status": {"failed"}}
	if strings.HasPrefix(path, "/o/") {
		q.Set("id", have["organization_user_id"])
	}
	if strings.HasPrefix(path, "/v1/") {
		client = s.validated
		if scope != "" && !strings.Contains(pattern, "{organization_id}") {
			q.Set("organization_id", scope)
		}
	}
	switch {
	case strings.HasSuffix(pattern, "/rows"):
		q.Set("file", "eve")
		q.Set("from", "0")
	case strings.HasPrefix(pattern, "DELETE /v1/users/"):
		q.Set("confirm", have["organization_user_id"])
	}
	r.URL.RawQuery = q.Encode()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	who.dress(r)
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", pattern, err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		return s.first(resp)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), string(text)}
}

// first is the first event of a stream. One that says that there is nothing to
// be seen ends it.
func (s *sweep) first(resp *http.Response) answer {
	s.t.Helper()
	var text strings.Builder
	for lines := bufio.NewReader(resp.Body); !strings.HasSuffix(text.String(), "\n\n"); {
		line, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		text.WriteString(line)
	}
	status := resp.StatusCode
	if strings.HasPrefix(text.String(), "event: end\n") {
		status = http.StatusNotFound
	}
	return answer{status, "", text.String()}
}

// without takes the ids that were asked about out of an answer, which may
// repeat them.
func (a answer) without(have things) answer {
	ids := slices.SortedFunc(func(yield func(string) bool) {
		for _, id := range have {
			if !yield(id) {
				return
			}
		}
	}, func(x, y string) int { return len(y) - len(x) })
	for _, id := range ids {
		for _, form := range []string{id, url.PathEscape(id), url.QueryEscape(id), url.QueryEscape(url.PathEscape(id)), url.QueryEscape(url.QueryEscape(id))} {
			a.body, a.location = strings.ReplaceAll(a.body, form, "ID"), strings.ReplaceAll(a.location, form, "ID")
		}
	}
	return a
}

// contents is all that is stored, but for who holds which licence.
func (s *sweep) contents() string {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.cfg.Data, "consentsync.db")+"?mode=ro")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	var all bytes.Buffer
	for _, table := range store.Tables {
		if table.Name == "licences" {
			continue
		}
		rows, err := db.QueryContext(s.t.Context(), "SELECT "+store.Names(table.Columns())+" FROM "+table.Name+" ORDER BY "+store.Names(table.Key))
		if err != nil {
			s.t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(table.Columns()))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				s.t.Fatal(err)
			}
			fmt.Fprintf(&all, "%s:", table.Name)
			for _, v := range values {
				fmt.Fprintf(&all, " %q", fmt.Sprint(*v.(*any)))
			}
			all.WriteByte('\n')
		}
		if err := errorsOf(rows); err != nil {
			s.t.Fatal(err)
		}
	}
	return all.String()
}

func errorsOf(rows *sql.Rows) error {
	defer rows.Close()
	return rows.Err()
}

// A second organization, whatever identity it comes with, reads nothing of the
// first, changes nothing, and is answered as if the first were not there. So is
// whoever has no identity at all.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s := setupSweep(t)
	planted := []string{s.victim["id"], anna, "planted-event", "victim"}
	for _, pattern := range s.app.Routes() {
		if _, known := swept[pattern]; !known {
			t.Errorf("%s is new: say in swept who may call it", pattern)
		}
	}
	for pattern := range swept {
		if !slices.Contains(s.app.Routes(), pattern) {
			t.Errorf("%s is not there any more: take it out of swept", pattern)
		}
	}
	for _, who := range s.strangers {
		before := s.contents()
		for _, pattern := range s.app.Routes() {
			s.same(who, pattern, s.victim, s.nothing, organization, "nowhere-org", planted)
			if !wildcard.MatchString(mineAlone.Replace(pattern + swept[pattern].body)) {
				continue
			}
			// Within one's own organization, what belongs to the other.
			theirs, none := mixed(s.victim, s.own), mixed(s.nothing, s.own)
			s.same(who, pattern, theirs, none, stranger, stranger, planted)
		}
		if after := s.contents(); after != before {
			t.Errorf("%s changed something:\n%s", who.name, firstDifference(before, after))
		}
	}
}

// mineAlone takes the organization out of a pattern: what is left in braces is
// about a thing within it.
var mineAlone = strings.NewReplacer("{org}", "", "{organization_id}", "")

// mixed are somebody's things in another's organization.
func mixed(have, home things) things {
	m := maps.Clone(have)
	m["org"], m["organization_id"] = home["org"], home["organization_id"]
	return m
}

// same wants the same answer about things that are there and about such that
// are not, and nothing in it of what was planted.
func (s *sweep) same(who identity, pattern string, there, not things, scope, nowhere string, planted []string) {
	s.t.Helper()
	about := s.ask(who, pattern, there, scope).without(there)
	if swept[pattern].least != everybody { // which is about nothing in particular
		if none := s.ask(who, pattern, not, nowhere).without(not); about != none {
			s.t.Errorf("%s, to %s, is answered\n%+v\nabout what is there, and\n%+v\nabout what is not", pattern, who.name, about, none)
		}
	}
	if least := swept[pattern].least; about.status < 300 && least != everybody && least != signedIn {
		s.t.Errorf("%s lets in %s: %+v", pattern, who.name, about)
	}
	for _, mark := range planted {
		if strings.Contains(about.body, mark) {
			s.t.Errorf("%s tells %s of %q: %s", pattern, who.name, mark, about.body)
		}
	}
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[i] + "\n" + y[i]
		}
	}
	return "one has more"
}

// Each route takes the role that swept says, and no less: of who is signed in to
// the console, and of a program with a key of the API.
func TestRolesOfRoutes(t *testing.T) {
	t.Parallel()
	s := setupSweep(t)
	for i, role := range sweptRoles {
		before := s.contents()
		for _, pattern := range s.app.Routes() {
			least := swept[pattern].least
			who := s.members[role]
			switch {
			case strings.Contains(pattern, " /v1/"):
				who = s.programs[role]
			case least == everybody || least == holder || least == signedIn:
				continue
			}
			enough := slices.Index(sweptRoles, least) <= i && least != platform
			have := s.victim
			if enough { // about nothing, so that nothing is changed
				have = mixed(s.nothing, s.victim)
			}
			if method, _, _ := strings.Cut(pattern, " "); enough && method == http.MethodPost && !wildcard.MatchString(mineAlone.Replace(pattern)) {
				continue // it would make something
			}
			if got := s.ask(who, pattern, have, organization); (got.status == http.StatusForbidden) == enough || got.status == http.StatusUnauthorized || got.status >= 500 {
				t.Errorf("%s, which takes %s, answers %d to the role %s", pattern, least, got.status, role)
			}
		}
		if after := s.contents(); after != before {
			t.Errorf("the role %s changed something:\n%s", role, firstDifference(before, after))
		}
	}
}

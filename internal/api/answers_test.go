package api_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"consentsync/internal/accounts"
	"consentsync/internal/api"
	"consentsync/internal/api/apitest"
	"consentsync/internal/assumption"
	"consentsync/internal/auth"
	"consentsync/internal/consent"
	"consentsync/internal/doctor"
	"consentsync/internal/events"
	"consentsync/internal/incoming"
	"consentsync/internal/reply"
	"consentsync/internal/store"
)

// fakeStore has the organization acme-org with the user u1, and no integration.
type fakeStore struct {
	accounts.Store // what is not asked
	clients        map[string]store.WebhookClient
}

func (s *fakeStore) Feature(_ context.Context, organization string) (exists, actito bool, err error) {
	if organization == "broken" {
		return false, false, &consent.Error{Kind: consent.Transient, Message: "the database cannot be written now", RetryAfter: 1500 * time.Millisecond}
	}
	return organization == "acme-org", true, nil
}

func (s *fakeStore) SetFeature(context.Context, string, bool, ...store.Change) error { return nil }

func (s *fakeStore) AddWebhookClient(_ context.Context, c store.WebhookClient, _ ...store.Change) error {
	s.clients[c.ClientID] = c
	return nil
}

func (s *fakeStore) OrganizationOf(context.Context, string) (string, error) {
	return "", consent.Errorf(consent.NotFound, "test", "no such integration")
}

func (s *fakeStore) Holdings(_ context.Context, after string, limit int) ([]store.Holding, error) {
	all := []store.Holding{
		{Licence: "a licence", Node: "web-1-0e4b", Since: 1, ExpiresAt: 2, Integrations: 1},
		{Licence: "one that nobody holds", Integrations: 3},
	}
	all = slices.DeleteFunc(all, func(h store.Holding) bool { return h.Licence <= after })
	return all[:min(limit, len(all))], nil
}

func (s *fakeStore) WebhookClients(context.Context, string) (all []*store.WebhookClient, err error) {
	for _, c := range s.clients {
		all = append(all, &c)
	}
	return all, nil
}

func (s *fakeStore) RotateWebhookClient(_ context.Context, organization, id string, secret [32]byte, until consent.Time, _ ...store.Change) error {
	c, known := s.clients[id]
	if !known || c.Organization != organization {
		return store.ErrNoClient
	}
	c.PreviousHash, c.PreviousUntil, c.SecretHash = c.SecretHash, until, secret
	s.clients[id] = c
	return nil
}

func (s *fakeStore) RemoveWebhookClient(_ context.Context, organization, id string, _ ...store.Change) error {
	return s.RotateWebhookClient(context.Background(), organization, id, [32]byte{}, 0)
}

func (s *fakeStore) AddAPIKey(context.Context, store.APIKey, ...store.Change) error { return nil }

func (s *fakeStore) UseAPIKey(context.Context, string, string, consent.Time) error { return nil }

// APIKey knows csk_viewer.k and csk_other.k, and csk_expired.k, which has been
// worth something.
func (s *fakeStore) APIKey(_ context.Context, id string) (*store.APIKey, error) {
	k := &store.APIKey{Organization: "acme-org", ID: id, Hash: auth.Hash(id + ".k"), Name: "n", Role: "viewer", CreatedBy: "ana", CreatedAt: 1, ExpiresAt: consent.TimeOf(time.Now().Add(time.Hour))}
	switch id {
	case "csk_expired":
		k.ExpiresAt = consent.TimeOf(time.Now())
	case "csk_other":
		k.Organization = "other"
	case "csk_viewer":
	default:
		return nil, store.ErrNoAPIKey
	}
	return k, nil
}

func (s *fakeStore) APIKeys(context.Context, string, string, int) ([]*store.APIKey, error) {
	k, err := s.APIKey(context.Background(), "csk_viewer")
	return []*store.APIKey{k, k}, err
}

func (s *fakeStore) RevokeAPIKey(_ context.Context, _, id string, _ ...store.Change) error {
	_, err := s.APIKey(context.Background(), id)
	return err
}

func (s *fakeStore) WebhookClient(_ context.Context, id string) (*store.WebhookClient, error) {
	c, known := s.clients[id]
	if !known {
		return nil, consent.Errorf(consent.NotFound, "test", "no such client")
	}
	return &c, nil
}

func (s *fakeStore) Organizations(context.Context, string, int) ([]store.Organization, error) {
	return []store.Organization{{ID: "acme-org", CreatedAt: 1}, {ID: "other", CreatedAt: 1}}, nil
}

func (s *fakeStore) Members(context.Context, string, string, int) ([]store.Member, error) {
	return []store.Member{{User: store.User{ID: "u1", Email: "ana@example.com", Name: "Ana"}, Role: "viewer", Since: 1}}, nil
}

func (s *fakeStore) User(_ context.Context, id string) (*store.User, error) {
	if id != "u1" {
		return nil, consent.Errorf(consent.NotFound, "test", "no such user")
	}
	return &store.User{ID: "u1", Email: "ana@example.com"}, nil
}

func (s *fakeStore) Memberships(context.Context, string) ([]store.Membership, error) {
	return []store.Membership{{Organization: "acme-org", Role: "viewer"}, {Organization: "*", Role: "administrator"}}, nil
}

func (s *fakeStore) SetRole(_ context.Context, organization, _, _ string, _ ...store.Change) error {
	if organization == "*" {
		return consent.Errorf(consent.Conflict, "test", "nobody would be left")
	}
	return nil
}

func (s *fakeStore) RemoveMember(ctx context.Context, organization, user string, _ ...store.Change) error {
	return s.SetRole(ctx, organization, user, "")
}

func (s *fakeStore) Invite(context.Context, store.Invitation, ...store.Change) error { return nil }

func (s *fakeStore) Invitations(context.Context, string) ([]store.Invitation, error) {
	return []store.Invitation{{ID: "i1", Role: "viewer", InvitedBy: "ana@example.com", CreatedAt: 1, ExpiresAt: 2}}, nil
}

func (s *fakeStore) Uninvite(_ context.Context, _, id string, _ ...store.Change) error {
	if id != "i1" {
		return consent.Errorf(consent.NotFound, "test", "no such invitation")
	}
	return nil
}

func (s *fakeStore) Events(context.Context, string, store.EventFilter, store.ID, int) ([]store.Event, store.ID, error) {
	e := store.Event{Type: consent.EventCreated, Regulation: "gdpr", Outcome: consent.Applied, ArrivedAt: 1}
	return []store.Event{e}, store.NewID(), nil
}

func (s *fakeStore) Event(_ context.Context, _ string, id store.ID) (*store.Event, error) {
	if id != (store.ID{}) {
		return nil, consent.Errorf(consent.NotFound, "test", "no such event")
	}
	return &store.Event{Type: consent.EventCreated, Regulation: "gdpr", Outcome: consent.Applied, ArrivedAt: 1, ConsentAt: 1}, nil
}

func (s *fakeStore) Payload(context.Context, string, store.ID) (salt [16]byte, body []byte, err error) {
	return salt, []byte(`{"type":"event.created"}`), nil
}

func (s *fakeStore) SubjectsOf(context.Context, string, []store.PersonKey) (map[store.PersonKey]consent.Subject, error) {
	return nil, nil
}

func (s *fakeStore) Changes(context.Context, string, string, store.ID, int) ([]store.Change, error) {
	return []store.Change{{Organization: "acme-org", ID: store.NewID(), At: 1, By: "ana@example.com", Action: "user.joined", Details: []store.Detail{{Name: "role", Is: "viewer"}}}}, nil
}

// setup serves the API, and the token endpoint beside it, from a fake store.
func setup(t *testing.T) (url string) {
	t.Helper()
	admin, err := auth.LoadAdmin("admin", "")
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeStore{clients: map[string]store.WebhookClient{
		"wc_known":   {Organization: "acme-org", ClientID: "wc_known", SecretHash: auth.Hash("secret"), CreatedAt: 1},
		"wc_rotated": {Organization: "acme-org", ClientID: "wc_rotated", SecretHash: auth.Hash("old"), CreatedAt: 1},
	}}
	mux := http.NewServeMux()
	(&api.API{
		Store: fake, Accounts: accounts.New(fake, time.Now), Events: &events.Service{Store: fake, Hasher: store.NewHasher([]byte("key"))}, Admin: admin, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Doctor: func(_ context.Context, ask doctor.Ask) (*doctor.Report, error) {
			if fields := ask.Problems(); fields != nil {
				return nil, incoming.Refuse(consent.Invalid, fields)
			}
			r := doctor.New(1, "v1", "server")
			r.Add(doctor.Fine("disk", "there is room"), doctor.Unseen("integrations", "none", "make one"))
			r.Look("i", []assumption.Checked{{ID: "actito.token", Assumed: "a", Sure: assumption.SeenInCode, Result: assumption.Refuted, Seen: "b", Do: "c"}})
			return r, nil
		},
	}).Register(mux)
	mux.Handle("POST /oauth/token", &auth.Endpoint{Clients: fake, Tokens: auth.NewTokens([]byte("key"), time.Hour, time.Now)})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// TestAnswersFitTheDocument makes requests and holds each answer to the
// document. What needs a database or Actito is seen by the end-to-end tests.
func TestAnswersFitTheDocument(t *testing.T) {
	t.Parallel()
	url := setup(t)
	client := &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	long := strings.Repeat(" ", 1<<20+1)
	const (
		feature      = "/v1/premium-features/acme-org"
		integrations = "/v1/marketplace/integrations"
		grant        = "grant_type=client_credentials&client_id=wc_known&client_secret="
	)
	for _, c := range []struct {
		method, path, body string
		token              string // none where empty
		status             int
	}{
		{"GET", "/openapi.yaml", "", "", 200},
		{"HEAD", "/openapi.yaml", "", "", 200},
		{"PUT", feature, `{"actito":true}`, "admin", 200},
		{"PUT", feature, `{"actito":true}`, "", 401},
		{"PUT", feature, `{"actito":true}`, "other", 401},
		{"PUT", feature, `{"actito":"yes"}`, "admin", 400},
		{"PUT", feature, ``, "admin", 400},
		{"PUT", feature, `[`, "admin", 400},
		{"PUT", feature, `{"actito":true} {}`, "admin", 400},
		{"PUT", feature, `{"acito":true}`, "admin", 400},
		{"PUT", feature, long, "admin", 413},
		{"PUT", "/v1/premium-features/a%2Fb", `{"actito":true}`, "admin", 400},
		{"POST", "/v1/organizations/acme-org/webhook-clients", "", "admin", 201},
		{"POST", "/v1/organizations/nobody/webhook-clients", "", "admin", 404},
		{"POST", "/v1/organizations/broken/webhook-clients", "", "admin", 503},
		{"POST", "/v1/organizations/acme-org/webhook-clients", `{"kind":"header"}`, "admin", 201},
		{"POST", "/v1/organizations/acme-org/webhook-clients", `{"kind":"carrier pigeon"}`, "admin", 400},
		{"GET", "/v1/organizations/acme-org/webhook-clients", "", "admin", 200},
		{"GET", "/v1/organizations/nobody/webhook-clients", "", "admin", 404},
		{"POST", "/v1/organizations/acme-org/webhook-clients/wc_rotated/rotate", "", "admin", 200},
		{"POST", "/v1/organizations/acme-org/webhook-clients/wc_rotated/rotate", `{"previous_for_hours":169}`, "admin", 400},
		{"POST", "/v1/organizations/other/webhook-clients/wc_rotated/rotate", "", "admin", 404},
		{"DELETE", "/v1/organizations/acme-org/webhook-clients/wc_rotated", "", "admin", 204},
		{"DELETE", "/v1/organizations/acme-org/webhook-clients/nobody", "", "admin", 404},
		{"POST", "/v1/organizations/acme-org/api-keys", `{"name":"reporting","role":"viewer"}`, "admin", 201},
		{"POST", "/v1/organizations/*/api-keys", `{"name":"reporting","role":"viewer","expires_in_days":366}`, "admin", 201},
		{"POST", "/v1/organizations/acme-org/api-keys", `{"name":"reporting","role":"viewer","expires_in_days":367}`, "admin", 400},
		{"POST", "/v1/organizations/acme-org/api-keys", `{"name":"reporting","role":"king"}`, "admin", 400},
		{"POST", "/v1/organizations/acme-org/api-keys", `{"role":"viewer"}`, "admin", 400},
		{"POST", "/v1/organizations/nobody/api-keys", `{"name":"reporting","role":"viewer"}`, "admin", 404},
		{"GET", "/v1/organizations/acme-org/api-keys?limit=1", "", "admin", 200},
		{"DELETE", "/v1/organizations/acme-org/api-keys/csk_viewer", "", "admin", 204},
		{"DELETE", "/v1/organizations/acme-org/api-keys/csk_nobody", "", "admin", 404},
		{"GET", "/v1/organizations/acme-org/changes", "", "csk_viewer.k", 200},
		{"GET", "/v1/organizations/acme-org/changes", "", "csk_other.k", 404},
		{"GET", "/v1/organizations/acme-org/changes", "", "csk_expired.k", 401},
		{"GET", "/v1/organizations/acme-org/changes", "", "csk_viewer.wrong", 401},
		{"GET", "/v1/organizations/acme-org/changes", "", "csk_nobody.k", 401},
		{"GET", "/v1/organizations/acme-org/api-keys", "", "csk_viewer.k", 403},
		{"GET", "/v1/organizations", "", "csk_viewer.k", 403},
		{"GET", integrations, "", "csk_viewer.k", 400},
		{"GET", "/v1/organizations", "", "admin", 200},
		{"GET", "/v1/organizations?limit=1", "", "admin", 200},
		{"GET", "/v1/organizations?limit=x", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/users", "", "admin", 200},
		{"GET", "/v1/organizations/*/users", "", "admin", 200},
		{"GET", "/v1/organizations/nobody/users", "", "admin", 404},
		{"PATCH", "/v1/organizations/acme-org/users/u1", `{"role":"operator"}`, "admin", 204},
		{"PATCH", "/v1/organizations/acme-org/users/u1", `{"role":"king"}`, "admin", 400},
		{"PATCH", "/v1/organizations/acme-org/users/u2", `{"role":"viewer"}`, "admin", 404},
		{"PATCH", "/v1/organizations/*/users/u1", `{"role":"viewer"}`, "admin", 409},
		{"DELETE", "/v1/organizations/acme-org/users/u1", "", "admin", 204},
		{"DELETE", "/v1/organizations/*/users/u1", "", "admin", 409},
		{"DELETE", "/v1/organizations/acme-org/users/u2", "", "admin", 404},
		{"POST", "/v1/organizations/acme-org/invitations", `{"role":"viewer","note":"Anna"}`, "admin", 201},
		{"POST", "/v1/organizations/acme-org/invitations", `{"role":"viewer","note":"` + strings.Repeat("a", 201) + `"}`, "admin", 400},
		{"POST", "/v1/organizations/acme-org/invitations", `{}`, "admin", 400},
		{"POST", "/v1/organizations/nobody/invitations", `{"role":"viewer"}`, "admin", 404},
		{"POST", "/v1/organizations/acme-org/invitations", `{"role":"viewer"}`, "", 401},
		{"GET", "/v1/organizations/acme-org/invitations", "", "admin", 200},
		{"DELETE", "/v1/organizations/acme-org/invitations/i1", "", "admin", 204},
		{"DELETE", "/v1/organizations/acme-org/invitations/i2", "", "admin", 404},
		{"GET", "/v1/organizations/acme-org/changes", "", "admin", 200},
		{"GET", "/v1/organizations/acme-org/changes?integration_id=i&cursor=nonsense", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/events", "", "admin", 200},
		{"GET", "/v1/organizations/acme-org/events?organization_user_id=ana&type=event.created&outcome=applied&from=2026-01-01T00:00:00Z", "", "admin", 200},
		{"GET", "/v1/organizations/acme-org/events?type=x", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/events?outcome=x", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/events?from=x", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/events?cursor=x", "", "admin", 400},
		{"GET", "/v1/organizations/acme-org/events/00000000-0000-0000-0000-000000000000", "", "admin", 200},
		{"GET", "/v1/organizations/acme-org/events/x", "", "admin", 404},
		{"POST", integrations + "/nope/reread", "{}", "admin", 404},
		{"POST", integrations + "/nope/retry", `{"status":"failed"}`, "admin", 404},
		{"GET", integrations + "/nope/troubles", "", "admin", 404},
		{"GET", integrations + "/nope/troubled?status=failed&limit=0", "", "admin", 404},
		{"GET", integrations + "/nope/overview", "", "admin", 404},
		{"GET", integrations, "", "admin", 400},
		{"GET", integrations + "?organization_id=acme-org&limit=0", "", "admin", 400},
		{"POST", integrations, "{}", "admin", 400},
		{"POST", integrations + "?organization_id=acme-org&dry_run=maybe", "{}", "admin", 400},
		{"POST", integrations + "?organization_id=acme-org", long, "admin", 413},
		{"GET", integrations + "/nope", "", "admin", 404},
		{"PATCH", integrations + "/nope", "{}", "admin", 404},
		{"DELETE", integrations + "/nope", "", "admin", 404},
		{"DELETE", integrations + "/nope", "", "", 401},
		{"POST", integrations + "/nope/pause", "", "admin", 404},
		{"POST", integrations + "/nope/resume", "", "admin", 404},
		{"POST", integrations + "/nope/resume", `{"approve_grants":1}`, "admin", 404},
		{"POST", integrations + "/nope/refresh", "", "admin", 404},
		{"POST", integrations + "/nope/replay", "{}", "admin", 404},
		{"POST", "/v1/doctor", `{"live":true,"integration_id":"i","write_to":"w"}`, "admin", 200},
		{"POST", "/v1/doctor", "", "admin", 200},
		{"POST", "/v1/doctor", `{"live":true,"write_to":"w"}`, "admin", 400},
		{"POST", "/v1/doctor", `{"alive":true}`, "admin", 400},
		{"POST", "/v1/doctor", "", "csk_viewer.k", 403},
		{"GET", "/v1/licences", "", "admin", 200},
		{"GET", "/v1/licences?limit=1", "", "admin", 200},
		{"GET", "/v1/licences?limit=0", "", "admin", 400},
		{"GET", "/v1/licences", "", "other", 401},
		{"GET", "/v1/users/ada%2Flovelace", "", "admin", 400},
		{"GET", "/v1/users/ada@example.com/trace", "", "admin", 400},
		{"POST", "/oauth/token", grant + "secret", "", 200},
		{"POST", "/oauth/token", grant + "wrong", "", 401},
		{"POST", "/oauth/token", "grant_type=password", "", 400},
		{"POST", "/oauth/token", long, "", 413},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s %s %.40q answered %d, want %d: %s", c.method, c.path, c.body, resp.StatusCode, c.status, answer)
		}
	}
}

// TestErrorsFitTheDocument writes an error of every kind that can reach a
// caller of POST /v1/marketplace/integrations, which promises the most.
func TestErrorsFitTheDocument(t *testing.T) {
	t.Parallel()
	validate := apitest.Validator(t)
	request := httptest.NewRequest(http.MethodPost, "/v1/marketplace/integrations", nil)
	for _, kind := range []consent.Kind{
		consent.Internal, consent.Invalid, consent.Conflict, consent.Unauthorized, consent.Forbidden, consent.TooLarge, consent.Transient, consent.Unclear,
	} {
		w := httptest.NewRecorder()
		reply.Error(w, consent.Errorf(kind, "test", "why"))
		validate(request, w.Result(), w.Body.Bytes())
	}
}

// TestLicencesArePaged follows the pages, and wants what nobody holds to be
// null.
func TestLicencesArePaged(t *testing.T) {
	t.Parallel()
	address := setup(t)
	client := &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	var seen []string
	for cursor, more := "", true; more; {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/v1/licences?limit=1&cursor="+url.QueryEscape(cursor), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer admin")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Data []api.LicenceHolder
			Next *string
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil || len(page.Data) != 1 {
			t.Fatalf("a page is %+v: %v", page, err)
		}
		h := page.Data[0]
		seen = append(seen, h.Licence)
		if held := h.Node != nil; held != (h.HeldSince != nil) || held != (h.ExpiresAt != nil) || held != (h.Licence == "a licence") {
			t.Errorf("a licence is %+v", h)
		}
		if more = page.Next != nil; more {
			cursor = *page.Next
		}
	}
	if !slices.Equal(seen, []string{"a licence", "one that nobody holds"}) {
		t.Errorf("the pages show %q", seen)
	}
}

// Who guesses a token is told to wait, and whoever holds the administrator's is
// let in all the same.
func TestGuessingATokenGetsSlower(t *testing.T) {
	t.Parallel()
	address := setup(t)
	ask := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/v1/licences", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := (&http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	answers := map[int]int{}
	for range 20 {
		answers[ask("csk_viewer.guess")]++
	}
	if answers[401] != 10 || answers[429] != 10 {
		t.Errorf("20 guesses are answered %v", answers)
	}
	if got := ask("csk_other.k"); got != 403 {
		t.Errorf("another key from the same place is answered %d", got)
	}
	for i := range 120 {
		answers[ask("token "+strconv.Itoa(i))]++
	}
	if answers[429] < 30 || ask("csk_other.k") != 429 || ask("admin") != 200 {
		t.Errorf("after many guesses: %v", answers)
	}
}

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"consentsync/internal/api/apitest"
	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

const (
	organization = "acme-org"
	adminToken   = "test-admin-token"
)

// bundle is the program with both ends.
type bundle struct {
	t         *testing.T
	app       *app.App // nil while it is stopped, or runs in a process of its own
	url       string   // where the program listens
	cfg       app.Config
	flags     []string // more of them, for processes
	env       []string // what processes find there
	actito    *simulator.Actito
	actitoURL string
	http      *http.Client
	client    credentials
	token     string
	brake     string // the integration that slow and hurry make and change
}

type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// setup starts the program on an empty directory beside a simulated Actito,
// with the feature enabled and a webhook client. Each change alters the
// configuration first.
func setup(t *testing.T, opts simulator.ActitoOptions, changes ...func(*app.Config)) *bundle {
	t.Helper()
	b := newBundle(t, opts)
	for _, change := range changes {
		change(&b.cfg)
	}
	t.Cleanup(b.stop)
	b.start()
	b.enrol()
	return b
}

// newBundle makes the ends alone; the program is still to be started.
func newBundle(t *testing.T, opts simulator.ActitoOptions) *bundle {
	t.Helper()
	b := &bundle{t: t, actito: simulator.NewActito(opts)}
	server := httptest.NewServer(b.actito)
	t.Cleanup(func() {
		b.actito.Close()
		server.Close()
	})
	b.actitoURL = server.URL
	b.http = &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	b.cfg = app.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), AllowPrivateNetworks: true, TokenLife: time.Hour, AdminToken: adminToken,
		ConfirmAfter: time.Hour, ReadbackDelay: 200 * time.Millisecond, LogLevel: "warn",
	}
	return b
}

// enrol enables the feature and makes a webhook client with a token.
func (b *bundle) enrol() {
	b.t.Helper()
	b.must(http.MethodPut, "/v1/premium-features/"+organization, `{"actito":true}`, http.StatusOK, nil)
	b.must(http.MethodPost, "/v1/organizations/"+organization+"/webhook-clients", "", http.StatusCreated, &b.client)
	b.authenticate()
}

func (b *bundle) start() {
	b.t.Helper()
	a, err := app.Start(context.Background(), b.cfg, b.cfg.Logger(testWriter{b.t}))
	if err != nil {
		b.t.Fatal(err)
	}
	b.app, b.url = a, a.URL()
}

func (b *bundle) stop() {
	if b.app == nil {
		return
	}
	if err := b.app.Stop(context.Background()); err != nil {
		b.t.Error(err)
	}
	b.app = nil
}

// testWriter sends the program's log to the test's.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

func (b *bundle) authenticate() {
	b.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	body := fmt.Sprintf(`{"grant_type":"client_credentials","client_id":%q,"client_secret":%q}`, b.client.ID, b.client.Secret)
	b.must(http.MethodPost, "/oauth/token", body, http.StatusOK, &answer)
	b.token = answer.AccessToken
}

// ask makes a request with the administrator's token and gives status and body.
func (b *bundle) ask(method, path, body string, header ...string) (int, []byte) {
	b.t.Helper()
	status, answer, err := b.request(method, path, body, header...)
	if err != nil {
		b.t.Fatal(err)
	}
	return status, answer
}

func (b *bundle) request(method, path, body string, header ...string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, b.url+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

func (b *bundle) must(method, path, body string, status int, out any) {
	b.t.Helper()
	got, answer := b.ask(method, path, body)
	if got != status {
		b.t.Fatalf("%s %s answered %d, want %d: %s", method, path, got, status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			b.t.Fatalf("%s %s answered %s: %v", method, path, answer, err)
		}
	}
}

// object is any JSON object.
type object = map[string]any

// settings gives the body of an integration in the documented shape; change, if
// not nil, alters it.
func (b *bundle) settings(change func(object)) string {
	in := object{
		"type_id":        "actito",
		"authentication": object{"private_api_key": simulator.SampleKey},
		"properties": object{
			"base_url": b.actitoURL, "entity_id": simulator.SampleEntity, "table_name": simulator.SampleTable().Name,
			"user_unique_key": "emailAddress", "calls_per_minute": 6000,
		},
		"mappings": []object{
			{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"},
			{"id": "Promotions", "value": "consents_purposes_promotions_enabled"},
			{"id": "SmsAlerts", "value": "consents_channels_sms_enabled"},
		},
		"upsert_mode": true, "enable_webhooks": false, "enable_emailing": false,
	}
	if change != nil {
		change(in)
	}
	body, err := json.Marshal(in)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

// integrate creates an integration and gives its id.
func (b *bundle) integrate(change func(object)) string {
	b.t.Helper()
	var view struct{ ID string }
	b.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, b.settings(change), http.StatusCreated, &view)
	return view.ID
}

// send posts a webhook of Didomi and wants it accepted.
func (b *bundle) send(payload any) {
	b.t.Helper()
	if status, answer := b.post(payload); status != http.StatusOK {
		b.t.Fatalf("the webhook was answered %d: %s", status, answer)
	}
}

func (b *bundle) post(payload any) (int, []byte) {
	b.t.Helper()
	status, answer, err := b.try(payload)
	if err != nil {
		b.t.Fatal(err)
	}
	return status, answer
}

// try posts a webhook; unlike post it may be called by any goroutine.
func (b *bundle) try(payload any) (int, []byte, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return 0, nil, err
	}
	return b.request(http.MethodPost, "/webhooks/didomi/"+organization, string(body), "Authorization", "Bearer "+b.token)
}

// profile reads what the simulated Actito holds.
func (b *bundle) profile(email string) (simulator.Profile, bool) {
	return b.actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", email)
}

// person reads what the program says of a person; zero if it knows nothing.
func (b *bundle) person(email string) (p personView) {
	b.t.Helper()
	status, answer := b.ask(http.MethodGet, "/v1/users/"+email+"?organization_id="+organization, "")
	if status == http.StatusOK {
		if err := json.Unmarshal(answer, &p); err != nil {
			b.t.Fatal(err)
		}
	}
	return p
}

type personView struct {
	CatchingUp bool `json:"catching_up"`
	Choices    []struct {
		Path    string
		Enabled bool
	}
	Integrations []struct {
		IntegrationID string `json:"integration_id"`
		Status        string
		Wanted, Known struct {
			Subscriptions map[string]any
			Attributes    map[string]any
		}
		LeftOut []struct {
			Name, Reason string
			Attribute    bool
		} `json:"left_out"`
		LastError string  `json:"last_error"`
		NextAt    *string `json:"next_at"`
		Calls     int
	}
}

// status gives the state of the person's first delivery.
func (p personView) status() string {
	if len(p.Integrations) == 0 {
		return ""
	}
	return p.Integrations[0].Status
}

// patience is how long is waited for what has to happen, on a machine that may
// have much else to do.
const patience = 3 * time.Minute

// eventually waits until the condition holds; what describes the state when it
// never does.
func (b *bundle) eventually(what string, condition func() bool) {
	b.t.Helper()
	b.poll(patience, 5*time.Millisecond, what, condition)
}

// looks is eventually for what costs something to look at.
func (b *bundle) looks(what string, condition func() bool) {
	b.t.Helper()
	b.poll(patience, 100*time.Millisecond, what, condition)
}

// within is eventually for what has to happen soon.
func (b *bundle) within(d time.Duration, what string, condition func() bool) {
	b.t.Helper()
	b.poll(d, 5*time.Millisecond, what, condition)
}

// poll takes a third of a processor at most: what is waited for, and the tests
// beside it, need the rest.
func (b *bundle) poll(most, every time.Duration, what string, condition func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(most)
	for {
		began := time.Now()
		if condition() {
			return
		}
		if began.After(deadline) {
			b.t.Fatalf("still not: %s", what)
		}
		pause(max(every, 2*time.Since(began)))
	}
}

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// event makes an event.created of a person.
func event(id, email string, at time.Time, purposes map[string]*bool) object {
	return simulator.EventCreated(organization, simulator.Event{ID: id, OrganizationUserID: email, CreatedAt: at, Purposes: purposes})
}

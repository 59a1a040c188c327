package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/doctor"
	"consentsync/internal/outbound/outboundtest"
	"consentsync/internal/simulator"
)

const didomiSecret = "didomi-secret-77aa"

// patient is an installation with an integration, and both ends simulated.
type patient struct {
	t            *testing.T
	actito       *simulator.Actito
	ends, data   string
	late         time.Duration // how far Actito's clock is ahead
	integration  string
	stop         func()
	url          string
	organization string
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	p := &patient{t: t, data: filepath.Join(t.TempDir(), "data"), actito: simulator.NewActito(simulator.ActitoOptions{}), organization: "acme"}
	t.Cleanup(p.actito.Close)
	_, err := p.actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": "test@example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	didomi := simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: p.organization, Key: "didomi-key", Secret: didomiSecret, Purposes: []string{"news"}})
	t.Cleanup(didomi.Close)
	both := http.NewServeMux()
	both.Handle("/", p.actito)
	both.Handle("/v1/", didomi)
	p.ends = outboundtest.Altered(t, both, func(_ *http.Request, h http.Header, status int, body string) (int, string) {
		h.Set("Date", time.Now().Add(p.late).UTC().Format(http.TimeFormat))
		return status, body
	}).URL
	p.start()
	c := p.client()
	if _, err := c.ask(t.Context(), http.MethodPut, "/v1/premium-features/acme", map[string]any{"actito": true}, nil); err != nil {
		t.Fatal(err)
	}
	var made struct{ ID string }
	if _, err := c.ask(t.Context(), http.MethodPost, "/v1/marketplace/integrations?organization_id=acme", json.RawMessage(p.body()), &made); err != nil {
		t.Fatal(err)
	}
	p.integration = made.ID
	return p
}

func (p *patient) body() string {
	return fmt.Sprintf(`{"type_id": "actito", "organization_id": "acme",
		"authentication": {"private_api_key": %q, "didomi_api_key": "didomi-key", "didomi_api_secret": %q},
		"properties": {"base_url": %q, "entity_id": %q, "table_name": %q, "user_unique_key": "emailAddress"},
		"mappings": [%s]}`, simulator.SampleKey, didomiSecret, p.ends, simulator.SampleEntity, simulator.SampleTable().Name, mapsNewsletter)
}

func (p *patient) start() {
	p.t.Helper()
	a, err := app.Start(p.t.Context(), app.Config{
		Listen: "127.0.0.1:0", Data: p.data, AllowPrivateNetworks: true, TokenLife: time.Hour, DidomiURL: p.ends + "/v1", ConfirmAfter: time.Hour, ReadbackDelay: time.Minute,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	p.url = a.URL()
	p.stop = func() {
		if err := a.Stop(context.Background()); err != nil {
			p.t.Error(err)
		}
		p.stop = func() {}
	}
	p.t.Cleanup(func() { p.stop() })
}

func (p *patient) client() *client {
	token, err := os.ReadFile(filepath.Join(p.data, "admin-token"))
	if err != nil {
		p.t.Fatal(err)
	}
	return &client{url: p.url, token: strings.TrimSpace(string(token))}
}

// doctor runs the command, and checks that it tells no secret.
func (p *patient) doctor(code int, args ...string) (says string) {
	p.t.Helper()
	args = append([]string{"doctor", "--data", p.data, "--listen", "127.0.0.1:0", "--allow-private-networks", "--didomi-url", p.ends + "/v1"}, args...)
	got := command(p.t, "", args...)
	if got.code != code {
		p.t.Fatalf("%v: %+v; want code %d", args, got, code)
	}
	for _, secret := range []string{simulator.SampleKey, didomiSecret, p.secret("admin-token"), p.secret("master-key"), "test@example.com"} {
		if secret != "" && strings.Contains(got.out+got.err, secret) {
			p.t.Errorf("%v tells %q: %s", args, secret, got.out)
		}
	}
	return strings.Join(strings.Fields(got.out), " ")
}

func (p *patient) secret(file string) string {
	text, _ := os.ReadFile(filepath.Join(p.data, file))
	return strings.TrimSpace(string(text))
}

func (p *patient) has(said string, wanted ...string) {
	p.t.Helper()
	for _, w := range wanted {
		if !strings.Contains(said, w) {
			p.t.Errorf("no %q in: %s", w, said)
		}
	}
}

// A server looks at itself, and at what its integrations need of both ends; the
// assumptions that can be looked at are confirmed.
func TestDoctorAsksTheServer(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	all := p.doctor(0, "--url", p.url)
	p.has(all, "The server looked at itself", "ok data directory", "ok master key: it opens the database", "ok integration "+p.integration+": Actito gives a token",
		"the table is as its snapshot has it", "Didomi makes a session", "ok clock of 127.0.0.1", "warning --public-url", "0 findings failed")
	live := p.doctor(0, "--url", p.url, "--live", "--integration", p.integration, "--profile", "test@example.com", "--write-to", "test@example.com", "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(live), &r); err != nil || !r.Well || len(r.Assumptions) < 60 {
		t.Errorf("%v, %+v", err, r)
	}
	results := map[string]string{}
	for _, a := range r.Assumptions {
		results[a.ID] = string(a.Result)
	}
	for id, want := range map[string]string{"actito.patch": "confirmed", "actito.entities": "confirmed", "didomi.purposes": "confirmed", "didomi.create": "unknown"} {
		if results[id] != want {
			t.Errorf("%s is %s, want %s", id, results[id], want)
		}
	}

	// What changes for the worse is told, with what to do.
	p.actito.AddSubscription(simulator.SampleEntity, simulator.SampleTableID, "Gifts")
	p.late = 10 * time.Minute
	p.has(p.doctor(1, "--url", p.url), "warning integration "+p.integration+": the table is not as its snapshot has it: new subscriptions Gifts", "/refresh", "failed clock of 127.0.0.1", "behind", "NTP")
	p.late = 0
	p.actito.RemoveSubscription(simulator.SampleEntity, simulator.SampleTableID, "Newsletter")
	p.has(p.doctor(1, "--url", p.url), "has no subscription \"Newsletter\"", "subscriptions that are gone Newsletter")
	p.actito.RevokeKey(simulator.SampleKey)
	p.has(p.doctor(1, "--url", p.url), "failed integration "+p.integration+": authentication.private_api_key: Actito refuses this API key", "> Look in Actito at the API key")
	command(t, "", "doctor", "--url", p.url, "--data", p.data, "--integration", "nobody").refuses(t, 1, "there is no such integration")
}

// Where no server runs, all is looked at from where the command runs, and nothing is
// made; a data directory in use is not.
func TestDoctorLooksFromHere(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.has(p.doctor(1), "failed server: one runs on the data directory, and cannot be asked", "--url")
	p.stop()
	p.has(p.doctor(0), "No server was asked", "ok database: it is SQLite", "ok schema: it is up to date", "ok master key: it opens the database", "Actito gives a token", "Didomi makes a session")
	p.has(p.doctor(1, "--token-life", "0s"), "failed --token-life: must be between 1s and 24h")

	// Another master key: the database is no longer ours.
	key := filepath.Join(p.data, "master-key")
	held, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	p.has(p.doctor(1), "failed master key", "unknown integrations: their secrets cannot be opened")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	p.has(p.doctor(1), "failed master key: there is no master key here, and the database was made with one")
	if _, err := os.Stat(key); !os.IsNotExist(err) {
		t.Errorf("the doctor has made a master key: %v", err)
	}
	if err := os.WriteFile(key, held, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.data, "consentsync.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.has(p.doctor(1), "failed database: it cannot be opened", "consentsync restore")

	empty := filepath.Join(t.TempDir(), "none")
	p.data = empty
	p.has(p.doctor(0), "unknown data directory: "+empty+" is not there", "unknown database: there is none yet")
	if _, err := os.Stat(empty); !os.IsNotExist(err) {
		t.Errorf("the doctor has made a directory: %v", err)
	}
}

// The accounts of a file are looked at without a server and without data; one that is
// out of reach fails, and refutes nothing.
func TestDoctorLooksAtAFile(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.stop()
	body := p.body()
	path := file(t, "integration.json", body)
	p.data = ""
	p.has(p.doctor(0, "-f", path, "--profile", "test@example.com"), "The accounts of the file", "Actito gives a token", "confirmed actito.profile-key", "0 refuted")
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	path = file(t, "gone.json", strings.ReplaceAll(body, p.ends, gone.URL))
	p.has(p.doctor(1, "-f", path), "failed integration: Actito cannot be asked at "+gone.URL, "nothing was sent", "curl -i", "unknown actito.token", "0 refuted")
	command(t, "", "doctor", "--profile", "x").refuses(t, 2, "--profile: is for a look at the assumptions: add --live")
	command(t, "", "doctor", "--live", "--write-to", "x").refuses(t, 2, "say which with --integration")
}

func TestOwnAddress(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://127.0.0.1:8080", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://127.0.0.1:1",
		"[::1]:1": "http://[::1]:1", "web:80": "http://web:80",
	} {
		if got := ownAddress(listen); got != want {
			t.Errorf("%s is asked at %s, want %s", listen, got, want)
		}
	}
}

package e2e_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// keeper keeps all that is logged.
type keeper struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (k *keeper) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all.Write(p)
}

// R29: secrets are sealed at rest, and neither they nor people's data get into
// the log, whatever happens.
func TestR29SecretsAndPeopleStayOutOfFilesAndLogs(t *testing.T) {
	t.Parallel()
	const apiKey, anna = "planted-api-key-0123456789", "planted.anna@example.com"
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	b.stop()
	b.cfg.LogLevel = "debug"
	log := &keeper{}
	a, err := app.Start(t.Context(), b.cfg, b.cfg.Logger(log))
	if err != nil {
		t.Fatal(err)
	}
	b.app, b.url = a, a.URL()
	b.actito.AddKey(apiKey)
	id := b.integrate(func(in object) {
		in["authentication"] = object{"private_api_key": apiKey, "didomi_api_secret": "planted-didomi-secret"}
	})
	for _, f := range []simulator.Fault{
		{Effect: simulator.EffectStatus, Status: 500, Times: 1}, {Effect: simulator.EffectResetAfter, Times: 1}, {Effect: simulator.EffectStatus, Status: 400, Times: 1},
	} {
		f.Kind = simulator.KindUpdate
		b.actito.Inject(f)
	}
	b.send(simulator.EventCreated(organization, simulator.Event{
		ID: "e1", OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()},
		Metadata: map[string]any{"firstName": "Plantedname", "age": "planted-age"},
	}))
	b.eventually("the person came to an end", func() bool { s := b.person(anna).status(); return s == "synced" || s == "failed" })
	b.post(object{"type": "event.created", "parameters": object{"entity": object{"user": anna}}}) // refused

	// What every caller is told: the API, and the pages of the console.
	var told bytes.Buffer
	tell := func(method, path, body string, header ...string) {
		_, answer := b.ask(method, path, body, header...)
		told.Write(answer)
	}
	var header struct {
		Value string `json:"header_value"`
	}
	b.must(http.MethodPost, "/v1/organizations/"+organization+"/webhook-clients", `{"kind":"header"}`, http.StatusCreated, &header)
	var key struct{ Key string }
	b.must(http.MethodPost, "/v1/organizations/"+organization+"/api-keys", `{"name":"planted","role":"administrator"}`, http.StatusCreated, &key)
	for _, path := range []string{
		"/v1/marketplace/integrations?organization_id=" + organization, "/v1/marketplace/integrations/" + id, "/v1/marketplace/integrations/" + id + "/overview",
		"/v1/marketplace/integrations/" + id + "/plan", "/v1/organizations/" + organization + "/changes", "/v1/organizations/" + organization + "/api-keys",
		"/v1/organizations/" + organization + "/webhook-clients", "/v1/organizations/" + organization + "/users", "/v1/organizations/" + organization + "/invitations", "/metrics",
	} {
		tell(http.MethodGet, path, "", "Authorization", "Bearer "+key.Key)
	}
	tell(http.MethodGet, "/v1/licences", "", "Authorization", "Bearer csk_planted-nobody.planted-guess")
	tell(http.MethodPost, "/webhooks/didomi/"+organization, "{}", "Authorization", "", "X-Consentsync-Secret", header.Value)
	tell(http.MethodPost, "/webhooks/didomi/"+organization, "{}", "Authorization", "", "X-Consentsync-Secret", "planted.guess")
	tell(http.MethodPost, "/oauth/token", `{"grant_type":"client_credentials","client_id":"planted-guess","client_secret":"planted-guess"}`)
	session := b.readConsole(&told, id)
	tell(http.MethodPatch, "/v1/marketplace/integrations/"+id, `{"authentication":{"private_api_key":"planted-wrong-key"}}`)
	b.stop()

	if log.all.Len() == 0 {
		t.Error("nothing was logged, so this tests nothing")
	}
	secrets := []string{
		apiKey, "planted-wrong-key", "planted-didomi-secret", "planted-guess", b.client.Secret, b.token, adminToken, header.Value, key.Key, session.Value, session.password, session.invitation,
	}
	for _, secret := range secrets {
		if bytes.Contains(told.Bytes(), []byte(secret)) {
			t.Errorf("an answer holds the secret %q", secret)
		}
	}
	for _, planted := range append(secrets, anna, "Plantedname", "planted-age") {
		if bytes.Contains(log.all.Bytes(), []byte(planted)) {
			t.Errorf("the log holds %q", planted)
		}
	}
	files, err := os.ReadDir(b.cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(b.cfg.Data, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("the file %s holds the secret %q in the clear", f.Name(), secret)
			}
		}
	}
}

// signedInUser is a user of the console with all that is secret of them.
type signedInUser struct {
	*http.Cookie
	password, invitation string
}

// readConsole signs an administrator in, reads every page of the console that is
// about the organization or one of its integrations, with the addresses that it
// links, and writes all to told.
func (b *bundle) readConsole(told *bytes.Buffer, id string) signedInUser {
	b.t.Helper()
	u := signedInUser{password: "planted horse battery"}
	var invitation struct{ URL string }
	b.must(http.MethodPost, "/v1/organizations/"+organization+"/invitations", `{"role":"administrator"}`, http.StatusCreated, &invitation)
	at, err := url.Parse(invitation.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	u.invitation = path.Base(at.Path)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path, form string) *http.Response {
		r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form))
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if u.Cookie != nil {
			r.AddCookie(u.Cookie)
		}
		resp, err := client.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		defer resp.Body.Close()
		stream := resp.Header.Get("Content-Type") == "text/event-stream"
		for lines := bufio.NewReader(resp.Body); ; {
			line, err := lines.ReadBytes('\n')
			told.Write(line)
			if err == io.EOF || stream && len(line) == 1 {
				break // an event has ended; what follows is more of the same, for ever
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
		told.WriteString(resp.Header.Get("Location"))
		return resp
	}
	form := url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "password": {u.password}}.Encode()
	joined := send(http.MethodPost, at.Path, form)
	if len(joined.Cookies()) != 1 {
		b.t.Fatalf("joining is answered %d", joined.StatusCode)
	}
	send(http.MethodPost, at.Path, form) // it is used
	send(http.MethodPost, "/login", url.Values{"email": {"ada@example.com"}, "password": {"planted-guess"}}.Encode())
	u.Cookie = joined.Cookies()[0]
	for _, pattern := range b.app.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{$}", "", "{org}", organization, "{id}", id).Replace(path)
		if method == http.MethodGet && !strings.Contains(path, "{") && !strings.HasPrefix(path, "/v1/") {
			if resp := send(method, path, ""); resp.StatusCode >= http.StatusBadRequest && resp.StatusCode != http.StatusUnprocessableEntity {
				b.t.Logf("%s is answered %d", path, resp.StatusCode)
			}
		}
	}
	return u
}

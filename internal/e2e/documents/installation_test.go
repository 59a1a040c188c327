package documents_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"consentsync/internal/api/apitest"
	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

const (
	organization = "acme-org"
	adminToken   = "test-admin-token"
	didomiKey    = "sample-didomi-key"
	didomiSecret = "sample-didomi-secret"
)

// installation is a program that the commands of a page ask, with both ends
// simulated.
type installation struct {
	t         *testing.T
	url, data string
	actitoURL string
	actito    *simulator.Actito
	http      *http.Client
}

func install(t *testing.T) *installation {
	t.Helper()
	in := &installation{t: t, data: filepath.Join(t.TempDir(), "data"), actito: simulator.NewActito(simulator.ActitoOptions{})}
	actito := httptest.NewServer(in.actito)
	t.Cleanup(func() {
		in.actito.Close()
		actito.Close()
	})
	in.actitoURL = actito.URL
	api := simulator.NewDidomiAPI(simulator.DidomiAPIOptions{Organization: organization, Key: didomiKey, Secret: didomiSecret})
	didomi := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		didomi.Close()
	})
	a, err := app.Start(t.Context(), app.Config{
		Listen: "127.0.0.1:0", Data: in.data, AllowPrivateNetworks: true, TokenLife: time.Hour, AdminToken: adminToken, DidomiURL: didomi.URL + "/v1",
		ConfirmAfter: time.Hour, ReadbackDelay: time.Minute, SealAfter: 10 * time.Millisecond,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop(context.Background()) })
	in.url = a.URL()
	in.http = &http.Client{Transport: apitest.Transport(t, http.DefaultTransport)}
	in.ask(http.MethodPut, "/v1/premium-features/"+organization, `{"actito": true}`, http.StatusOK, nil)
	return in
}

// ask calls the API, which has to answer with the status.
func (in *installation) ask(method, path, body string, want int, into any) {
	in.t.Helper()
	r, err := http.NewRequestWithContext(in.t.Context(), method, in.url+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := in.http.Do(r)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	if resp.StatusCode != want {
		in.t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, want, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			in.t.Fatal(err)
		}
	}
}

// integrate makes an integration as an example says, and gives its id.
func (in *installation) integrate(example string) string {
	in.t.Helper()
	var made struct{ ID string }
	in.ask(http.MethodPost, "/v1/marketplace/integrations?organization_id="+organization, in.example(example), http.StatusCreated, &made)
	return made.ID
}

// example reads an integration of examples, with the simulated Actito for the
// real one, and with the secrets that the environment has for `apply`.
func (in *installation) example(name string) string {
	in.t.Helper()
	text := os.Expand(read(in.t, name), func(variable string) string {
		v, ok := secrets[variable]
		if !ok {
			in.t.Errorf("%s: nothing is known of the variable %s", name, variable)
		}
		return v
	})
	return in.simulated(name, text)
}

// simulated puts the address of the simulated Actito into an integration.
func (in *installation) simulated(name, text string) string {
	in.t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		in.t.Fatalf("%s: %v", name, err)
	}
	properties, ok := body["properties"].(map[string]any)
	if !ok {
		in.t.Fatalf("%s: no properties", name)
	}
	properties["base_url"] = in.actitoURL
	changed, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		in.t.Fatal(err)
	}
	return string(changed)
}

// secrets are what the examples take from the environment.
var secrets = map[string]string{"ACTITO_KEY": simulator.SampleKey, "DIDOMI_KEY": didomiKey, "DIDOMI_SECRET": didomiSecret}

// tell sends a webhook as Didomi does.
func (in *installation) tell(event map[string]any) {
	in.t.Helper()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	in.ask(http.MethodPost, "/v1/organizations/"+organization+"/webhook-clients", "", http.StatusCreated, &client)
	didomi := simulator.NewDidomi(simulator.DidomiOptions{
		Target: in.url + "/webhooks/didomi/" + organization, TokenURL: in.url + "/oauth/token", ClientID: client.ID, ClientSecret: client.Secret,
	})
	if err := didomi.Send(in.t.Context(), event); err != nil {
		in.t.Fatal(err)
	}
}

// workplace is a directory with the examples, as the commands of a page find
// them, but for the simulated Actito.
func (in *installation) workplace() string {
	in.t.Helper()
	dir := in.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS(root+"examples")); err != nil {
		in.t.Fatal(err)
	}
	integrations, err := filepath.Glob(filepath.Join(dir, "examples", "integration*.json"))
	if err != nil {
		in.t.Fatal(err)
	}
	for _, name := range integrations {
		text, err := os.ReadFile(name)
		if err != nil {
			in.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(in.simulated(name, string(text))), 0o600); err != nil {
			in.t.Fatal(err)
		}
	}
	return dir
}

// run runs commands one after the other in one shell, each of which has to
// succeed, and gives what they said. A call of curl fails where the answer is an
// error, which it does not by itself.
func run(t *testing.T, dir, commands string, environment ...string) string {
	t.Helper()
	programs, err := program()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("fail-with-body\nsilent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var said bytes.Buffer
	shell := shellOf(ctx, commands)
	shell.Dir, shell.Stdout, shell.Stderr = dir, &said, &said
	shell.Env = append(environment, "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+home, "CURL_HOME="+home)
	err = shell.Run()
	if shell.Process != nil {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // whatever it left behind
	}
	t.Logf("%s", said.Bytes())
	if err != nil {
		t.Errorf("the commands end with %v", err)
	}
	return said.String()
}

func environment(url string) []string {
	all := []string{"CONSENTSYNC_URL=" + url, "CONSENTSYNC_ADMIN_TOKEN=" + adminToken}
	for name, value := range secrets {
		all = append(all, fmt.Sprintf("%s=%s", name, value))
	}
	return all
}

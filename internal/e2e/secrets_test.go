package e2e_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
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
	b.ask(http.MethodPatch, "/v1/marketplace/integrations/"+id, `{"authentication":{"private_api_key":"planted-wrong-key"}}`)
	b.stop()

	if log.all.Len() == 0 {
		t.Error("nothing was logged, so this tests nothing")
	}
	for _, planted := range []string{apiKey, anna, "Plantedname", "planted-age", "planted-wrong-key", "planted-didomi-secret", b.client.Secret, b.token, adminToken} {
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
		for _, secret := range []string{apiKey, "planted-wrong-key", "planted-didomi-secret", b.client.Secret, b.token} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("the file %s holds the secret %q in the clear", f.Name(), secret)
			}
		}
	}
}

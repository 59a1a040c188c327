package e2e_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
)

// A table that was made anew under the same name is another table (R12).
func TestR12TableMadeAnewIsAnotherTable(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	b.actito.RemoveTable(simulator.SampleEntity, simulator.SampleTableID)
	anew := simulator.SampleTable()
	anew.ID, anew.Subscriptions = "17", []string{"Newsletter"} // what is mapped beside it must not be what is complained of
	b.actito.AddTable(simulator.SampleEntity, anew)
	for what, answer := range map[string]refusal{
		"refresh": b.refused(http.MethodPost, path+"/refresh", "", http.StatusConflict),
		"change":  b.refused(http.MethodPatch, path, `{"upsert_mode":false}`, http.StatusConflict),
	} {
		said := answer.Errors["properties.table_name"]
		if !strings.Contains(said, "(id 17, was 16)") || !strings.Contains(said, "create a new integration") || len(answer.Errors) != 1 {
			t.Errorf("%s: errors are %q", what, answer.Errors)
		}
	}
	var view struct {
		Revision   int
		UpsertMode bool `json:"upsert_mode"`
	}
	b.must(http.MethodGet, path, "", http.StatusOK, &view)
	if view.Revision != 1 || !view.UpsertMode {
		t.Errorf("refused, it is %+v", view)
	}
	b.integrate(func(in object) {
		in["mappings"] = []object{{"id": "Newsletter", "value": "consents_purposes_newsletter_enabled"}}
	})
}

// An empty list of attributes is none, and stays so; null is all metadata.
func TestNoAttributesIsNotAllMetadata(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	path := "/v1/marketplace/integrations/" + b.integrate(func(in object) { in["properties"].(object)["attributes"] = []string{} })
	shown := func() any {
		var view struct{ Properties object }
		b.must(http.MethodGet, path, "", http.StatusOK, &view)
		attributes, there := view.Properties["attributes"]
		if !there {
			return "absent"
		}
		return len(attributes.([]any))
	}
	if got := shown(); got != 0 {
		t.Errorf("created with none it shows %v", got)
	}
	b.must(http.MethodPatch, path, `{"properties":{"calls_per_minute":5000}}`, http.StatusOK, nil)
	if got := shown(); got != 0 {
		t.Errorf("after a change of something else it shows %v", got)
	}
	shop := func(id, value string) {
		payload := simulator.EventCreated(organization, simulator.Event{
			ID: id, OrganizationUserID: "anna@example.com", CreatedAt: time.Now(),
			Metadata: map[string]any{"shop": value}, Purposes: simulator.Choices{"newsletter": yes()},
		})
		b.send(payload)
	}
	shop("e1", "Lyon")
	b.eventually("it is delivered", func() bool { return b.person("anna@example.com").status() == "synced" })
	if p, _ := b.profile("anna@example.com"); p.Attributes["shop"] != nil {
		t.Errorf("the attribute was sent: %v", p.Attributes["shop"])
	}
	b.must(http.MethodPatch, path, `{"properties":{"attributes":null}}`, http.StatusOK, nil)
	if got := shown(); got != "absent" {
		t.Errorf("after null it shows %v", got)
	}
	shop("e2", "Lille")
	b.eventually("the attribute is sent", func() bool {
		p, _ := b.profile("anna@example.com")
		return p.Attributes["shop"] == "Lille"
	})
}

// What a user says while a change is under way is not undone by it.
func TestPauseOutlivesAChangeUnderWay(t *testing.T) {
	t.Parallel()
	const marked = 4321 * time.Hour
	asked, answer := make(chan struct{}), make(chan struct{})
	b := setup(t, simulator.ActitoOptions{Sleep: func(_ context.Context, d time.Duration) error {
		if d == marked {
			close(asked)
			<-answer
		}
		return nil
	}})
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	b.actito.Inject(simulator.Fault{Kind: simulator.KindStructure, Latency: marked, Times: 1})
	status := make(chan int)
	go func() {
		got, _, _ := b.request(http.MethodPatch, path, `{"upsert_mode":false}`)
		status <- got
	}()
	<-asked
	got, body, err := b.request(http.MethodPost, path+"/pause", "")
	close(answer) // whatever came of it
	if err != nil || got != http.StatusOK {
		t.Errorf("the pause answered %d, %v: %s", got, err, body)
	}
	if got := <-status; got != http.StatusConflict {
		t.Errorf("the change answered %d, want 409", got)
	}
	var view struct {
		Status     string
		Revision   int
		UpsertMode bool `json:"upsert_mode"`
	}
	b.must(http.MethodGet, path, "", http.StatusOK, &view)
	if view.Status != "paused" || view.Revision != 2 || !view.UpsertMode {
		t.Errorf("afterwards it is %+v", view)
	}
}

// A subscription has one owner when several ask for it at once, too, be it of
// several nodes (R11).
func TestR11OneOwnerOfManyAtOnce(t *testing.T) {
	t.Parallel()
	opts := simulator.ActitoOptions{MaxConcurrent: -1, CallsPerMinute: -1}
	t.Run("one node", func(t *testing.T) {
		t.Parallel()
		setup(t, opts).ownedOnce()
	})
	t.Run("two nodes", func(t *testing.T) {
		t.Parallel()
		setupNodes(t, opts, 2).ownedOnce()
	})
}

func (b *bundle) ownedOnce() {
	b.t.Helper()
	const many = 16
	answers := make(chan int, many)
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			got, _, _ := b.request(http.MethodPost, integrations, b.settings(nil))
			answers <- got
		})
	}
	all.Wait()
	close(answers)
	counts := map[int]int{}
	for status := range answers {
		counts[status]++
	}
	if counts[http.StatusCreated] != 1 || counts[http.StatusConflict] != many-1 {
		b.t.Errorf("the answers are %v, want one 201 and otherwise 409", counts)
	}
}

// A number of 0 is not the same as none.
func TestZeroIsNotTheDefault(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	for _, name := range []string{"calls_per_minute", "concurrency"} {
		r := b.refused(http.MethodPost, integrations, b.settings(func(in object) { in["properties"].(object)[name] = 0 }), http.StatusBadRequest)
		if r.Errors["properties."+name] == "" {
			t.Errorf("%s: errors are %q", name, r.Errors)
		}
	}
	path := "/v1/marketplace/integrations/" + b.integrate(nil)
	b.refused(http.MethodPatch, path, `{"properties":{"concurrency":0}}`, http.StatusBadRequest)
	var view struct {
		Properties struct {
			CallsPerMinute int `json:"calls_per_minute"`
			Concurrency    int
		}
	}
	b.must(http.MethodPatch, path, `{"properties":{"calls_per_minute":null}}`, http.StatusOK, &view)
	if view.Properties.CallsPerMinute != 90 || view.Properties.Concurrency != 4 {
		t.Errorf("the defaults are %+v", view.Properties)
	}
}

func TestDryRunMasksTheSecret(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.actito.AddKey("a-rather-long-private-api-key")
	var view struct {
		ID             string
		Authentication map[string]string
	}
	b.must(http.MethodPost, integrations+"&dry_run=true", b.settings(func(in object) {
		in["authentication"] = object{"private_api_key": "a-rather-long-private-api-key"}
	}), http.StatusOK, &view)
	if view.Authentication["private_api_key"] != "********-key" || view.ID != "" {
		t.Errorf("the dry run shows %+v", view)
	}
}

// A database does not open without the master key that it was made with, and
// says what to do; with the key put back it does.
func TestTheMasterKeyHasToBePutBack(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{})
	b.stop()
	file := filepath.Join(b.cfg.Data, "master-key")
	if err := os.Rename(file, file+".kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Start(t.Context(), b.cfg, b.cfg.Logger(testWriter{t})); err == nil || !strings.Contains(err.Error(), "put back "+file) {
		t.Fatalf("without the key it starts, or says %v", err)
	}
	if err := os.Rename(file+".kept", file); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.must(http.MethodGet, integrations, "", http.StatusOK, nil)
}

package documents_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"consentsync/internal/api"
)

// TestExamples loads every file of examples as the program does: integrations are
// created, checked against the simulated account, messages configured, and what
// comes from outside is taken in.
func TestExamples(t *testing.T) {
	t.Parallel()
	in := install(t)
	create := "/v1/marketplace/integrations?organization_id=" + organization
	kinds := map[string]int{}
	err := fs.WalkDir(os.DirFS(root), "examples", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, _, _ := strings.Cut(strings.TrimSuffix(path.Base(name), path.Ext(name)), "-")
		kinds[kind]++
		switch {
		case kind == "integration":
			in.ask(http.MethodPost, create+"&dry_run=true", in.example(name), http.StatusOK, nil)
		case kind == "message": // below, for they need an integration
		case strings.Contains(name, "/export-id="), path.Ext(name) == ".csv", path.Ext(name) == ".env", name == "examples/events.json":
			// the commands of the pages take these in, and cmd/consentsync the environment
		default:
			t.Errorf("nothing loads %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	in.integrate("examples/integration-full.json")
	messages, err := fs.Glob(os.DirFS(root), "examples/message-*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range messages {
		in.ask(http.MethodPost, "/v1/marketplace/emails?organization_id="+organization, read(t, name), http.StatusCreated, nil)
	}
	if kinds["integration"] < 3 || kinds["message"] < 2 {
		t.Errorf("there are too few examples: %v", kinds)
	}
}

// The full example has every setting that the API knows.
func TestFullExampleIsFull(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Document())
	if err != nil {
		t.Fatal(err)
	}
	var full map[string]any
	if err := json.Unmarshal([]byte(read(t, "examples/integration-full.json")), &full); err != nil {
		t.Fatal(err)
	}
	for schema, of := range map[string]any{"IntegrationInput": full, "AuthenticationInput": full["authentication"], "PropertiesInput": full["properties"]} {
		held, ok := of.(map[string]any)
		if !ok {
			t.Fatalf("there is no %s", schema)
		}
		for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas[schema].Value.Properties)) {
			if _, there := held[name]; !there {
				t.Errorf("the full example says nothing of %s (%s)", name, schema)
			}
		}
	}
}

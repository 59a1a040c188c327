package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"consentsync/internal/backfill"
)

// file writes a file of the test and gives its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const simulatedIntegration = `{
	"type_id": "actito", "organization_id": "acme", %s
	"properties": {"entity_id": "acme", "table_name": "Customers", "user_unique_key": "mail"},
	"mappings": [{"id": "News", "value": "consents_purposes_news_enabled"}, {"id": "Sms", "value": "consents_channels_sms_enabled"}]
}`

// someEvents are events of two people: as webhooks, as the API shows events, and
// as it shows a user; ada withdrew the news after she granted them.
var someEvents = []string{
	`{"type":"event.created","parameters":{"entity":{"id":"e1","created_at":"2026-01-01T10:00:00Z","user":{"organization_user_id":"ada","metadata":{"age":"old"}},"consents":{"purposes":[{"id":"news","enabled":true}]}}}}`,
	`{"id":"e2","created_at":"2026-01-01T11:00:00Z","user":{"organization_user_id":"ada"},"consents":{"purposes":[{"id":"news","enabled":false}],"channels":[{"id":"sms","enabled":true}]}}`,
	`{"id":"u1","organization_user_id":"bob","updated_at":"2026-01-01T11:00:00Z","version":1,"consents":{"purposes":[{"id":"news","enabled":true}]}}`,
}

func TestSimulateOffline(t *testing.T) {
	t.Parallel()
	plain := file(t, "plain.json", fmt.Sprintf(simulatedIntegration, ""))
	shown := file(t, "shown.json", fmt.Sprintf(simulatedIntegration, `"id": "x",
		"snapshot": {"taken_at": "2026-01-01T09:00:00Z", "subscriptions": ["News"], "attributes": ["age"], "attribute_types": [{"name": "age", "kind": "integer"}]},`))
	for name, events := range map[string]string{
		"array":  " [" + strings.Join(someEvents, ",") + "]\n",
		"ndjson": strings.Join(someEvents, "\n") + "\n",
		"twice":  strings.Join(slices.Concat(someEvents, someEvents), "\n"),
		"turned": someEvents[2] + someEvents[1] + someEvents[0],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := command(t, events, "simulate", "-f", shown, "--events", "-", "--json")
			var s backfill.Simulation
			if err := json.Unmarshal([]byte(got.out), &s); got.code != 0 || got.err != "" || err != nil {
				t.Fatalf("%+v: %v", got, err)
			}
			want := []backfill.SimulatedField{
				{Name: "News", Path: "consents_purposes_news_enabled", SimulatedTotal: backfill.SimulatedTotal{On: 1, Off: 1, Unknown: 2}},
				{Name: "Sms", Path: "consents_channels_sms_enabled", Missing: true},
			}
			if diff := cmp.Diff(want, s.Subscriptions); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if s.Structure.Source != backfill.FromSnapshot || s.People.Looked != 2 || len(s.Attributes) != 1 || s.Attributes[0].Unfit != 1 {
				t.Errorf("%+v %+v %+v", s.Structure, s.People, s.Attributes)
			}
		})
	}
	t.Run("in words, without a snapshot", func(t *testing.T) {
		t.Parallel()
		got := command(t, strings.Join(someEvents, "\n")+`{"type":"event.created","parameters":{}}`, "simulate", "-f", plain, "--events", "-")
		if got.code != 0 || !strings.Contains(got.err, "refused: event 4: parameters.entity") {
			t.Fatalf("%+v", got)
		}
		for _, want := range []string{
			"4 events were read, 1 refused", "whatever is mapped is assumed to exist", "Every key of the metadata is assumed", "2 looked at: 2 would change",
			"News           1    1                        2     0", "Sms            1    0", "age              1", "ada: News unknown -> off, by consents_purposes_news_enabled",
			"one by one 2 to 3 calls", "Nothing is known of what Actito holds",
		} {
			if !strings.Contains(strings.Join(strings.Fields(got.out), " "), strings.Join(strings.Fields(want), " ")) {
				t.Errorf("it does not say %q:\n%s", want, got.out)
			}
		}
	})
}

// What cannot be read is named, and called wrongly is told from failed.
func TestSimulateOfflineBadInput(t *testing.T) {
	t.Parallel()
	good := file(t, "good.json", fmt.Sprintf(simulatedIntegration, ""))
	for name, c := range map[string]struct {
		events, file string
		args         []string
		code         int
		says         string
	}{
		"cut off":            {someEvents[0] + someEvents[1][:40], good, nil, 1, "--events: after 1 event,"},
		"cut off in a list":  {"[" + someEvents[0], good, nil, 1, "--events: the list of events does not end"},
		"no JSON":            {"name;age", good, nil, 1, "--events: after 0 events, at byte"},
		"nothing readable":   {`{"type":"event.created"}`, good, nil, 1, "none of its 1 event can be read"},
		"no events":          {``, good, nil, 1, "none of its 0 events"},
		"of somebody else":   {someEvents[0][:len(someEvents[0])-3] + `,"organization_id":"globex"}}}`, good, nil, 1, "organization_id"},
		"wrong mapping":      {someEvents[0], file(t, "bad.json", strings.Replace(fmt.Sprintf(simulatedIntegration, ""), "consents_purposes_news_enabled", "news", 1)), nil, 1, "mappings[0].value"},
		"no integration":     {someEvents[0], file(t, "none.json", "[]"), nil, 1, "must be one JSON object"},
		"file is not there":  {someEvents[0], "/nowhere/x.json", nil, 1, "--file"},
		"both from standard": {someEvents[0], "-", nil, 2, "--events"},
		"events missing":     {someEvents[0], good, []string{"simulate", "-f", good}, 2, "--events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := c.args
			if args == nil {
				args = []string{"simulate", "-f", c.file, "--events", "-"}
			}
			got := command(t, c.events, args...)
			if got.code != c.code || !strings.Contains(got.err, c.says) {
				t.Errorf("%+v, want code %d and %q", got, c.code, c.says)
			}
		})
	}
}

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Events of a file take effect, and an export that contradicts one of them has it
// sent again; the report names what was found.
func TestReconcile(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	actito, far := farEnd(t)
	c, data := running(t)
	post := func(method, path string, in, out any) {
		t.Helper()
		if _, err := c.ask(ctx, method, path, in, out); err != nil {
			t.Fatal(err)
		}
	}
	post(http.MethodPut, "/v1/premium-features/acme", map[string]any{"actito": true}, nil)
	var made struct{ ID string }
	post(http.MethodPost, "/v1/marketplace/integrations?organization_id=acme", map[string]any{
		"type_id": "actito", "authentication": map[string]any{"private_api_key": simulator.SampleKey}, "upsert_mode": true,
		"properties": map[string]any{
			"base_url": far, "entity_id": simulator.SampleEntity, "table_name": simulator.SampleTable().Name, "user_unique_key": "emailAddress", "calls_per_minute": 6000,
		},
		"mappings": []any{map[string]any{"id": "Newsletter", "value": "consents_purposes_news_enabled"}},
	}, &made)
	flags := func(command string, args ...string) []string {
		return append([]string{command, "--url", c.url, "--data", data}, args...)
	}
	events := file(t, "events.ndjson", lineOf("acme", 1, false)+"\n"+lineOf("acme", 2, true)+"\n")
	if got := command(t, "", flags("import", "--organization", "acme", events)...); got.code != 0 || !strings.Contains(got.out, "2 changed what is known") {
		t.Fatalf("the import: %+v", got)
	}
	held := func(key string) (on, there bool) {
		p, there := actito.Profile(simulator.SampleEntity, simulator.SampleTableID, "emailAddress", key)
		return p.Subscriptions["Newsletter"], there
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !holds(); {
			if time.Now().After(end) {
				t.Fatalf("still not: %s", what)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	synced := func(user string) bool {
		var person struct{ Integrations []struct{ Status string } }
		if _, err := c.ask(ctx, http.MethodGet, "/v1/users/"+user+"?organization_id=acme", nil, &person); err != nil {
			t.Fatal(err)
		}
		return len(person.Integrations) == 1 && person.Integrations[0].Status == "synced"
	}
	// Actito has it before its answer is written down, and an export counts for what
	// was written before it.
	until("delivered, and known to be", func() bool {
		off, there := held("p1@example.com")
		on, also := held("p2@example.com")
		return there && also && !off && on && synced("p1@example.com") && synced("p2@example.com")
	})
	if _, err := actito.PutProfile(simulator.SampleEntity, simulator.SampleTableID, map[string]any{"emailAddress": "p1@example.com"}, map[string]bool{"Newsletter": true}); err != nil {
		t.Fatal(err)
	}
	export := file(t, "export.csv", "emailAddress;subscriptions#Newsletter;subscriptions#Gone\np1@example.com;TRUE;TRUE\np3@example.com;FALSE;\np2@example.com;perhaps;\n")
	asOf := time.Now().Format(time.RFC3339Nano)
	got := command(t, "", flags("reconcile", "--as-of", asOf, made.ID, export)...)
	for _, want := range []string{
		"2 rows, policy withdrawals-only, done", `line 4`, "turned on by somebody else     1", "1 missing", "Gone: not in the snapshot", "sent again to 1 person", "turned_on: p1@example.com",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in %d %s%s", want, got.code, got.out, got.err)
		}
	}
	until("the refusal holds again", func() bool { on, _ := held("p1@example.com"); return !on })
	if again := command(t, "", flags("reconcile", made.ID)...); again.code != 0 || !strings.Contains(again.out, "1 missing") {
		t.Errorf("the last one: %+v", again)
	}
	cut := file(t, "cut.csv", string(zipped(t, "emailAddress,Newsletter\n"+strings.Repeat("p1,1\n", 5000)))[:60])
	if got := command(t, "", flags("reconcile", made.ID, cut)...); got.code != 1 || !strings.Contains(got.out+got.err, "cut off") {
		t.Errorf("of a file that is cut off: %+v", got)
	}
	if got := command(t, "", flags("reconcile", "--as-of", "tomorrow", made.ID, export)...); got.code != 2 {
		t.Errorf("of no time: %+v", got)
	}
}

package e2e_test

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/app"
	"consentsync/internal/simulator"
	"consentsync/internal/telemetry/tracetest"
)

// From a webhook to its effect in Actito there is a trace across the store, with
// nothing personal in it. Without --traces nothing of it is stored or sent.
func TestTraces(t *testing.T) {
	t.Parallel()
	collector := tracetest.New(t, nil)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1}, func(c *app.Config) { c.Traces, c.TracesRatio = collector.URL, 1 })
	var told atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told.Store(told.Load() || r.Header.Get("Traceparent") != "")
		b.actito.ServeHTTP(w, r)
	}))
	defer front.Close()
	b.actitoURL = front.URL
	b.integrate(nil)
	tell := func(id string) {
		b.send(simulator.EventCreated(organization, simulator.Event{
			ID: id, OrganizationUserID: anna, CreatedAt: time.Now(), Purposes: simulator.Choices{"newsletter": yes()}, Metadata: map[string]any{"first_name": "Annabel"},
		}))
		b.eventually("Actito has it", func() bool { return b.person(anna).status() == "synced" })
	}
	tell("e1")
	b.stop() // sends what is left

	webhook := only(t, collector, "POST /webhooks/didomi/{organization_id}")
	accept := only(t, collector, "accept")
	if accept.Trace != webhook.Trace || accept.Parent != webhook.Span || webhook.Attributes["consentsync.outcome"] != "applied" {
		t.Errorf("the webhook is %+v, accepting it %+v", webhook, accept)
	}
	deliver := only(t, collector, "deliver")
	if !slices.Equal(deliver.Links, []string{accept.Trace + "/" + accept.Span}) || deliver.Trace == accept.Trace || deliver.Attributes["consentsync.state"] != "synced" ||
		deliver.Attributes["consentsync.person"] != webhook.Attributes["consentsync.person"] {
		t.Errorf("the delivery is %+v, of what was accepted by %+v", deliver, accept)
	}
	update, create := only(t, collector, "actito.Update"), only(t, collector, "actito.Create")
	for _, call := range []tracetest.Span{update, create} {
		if call.Parent != deliver.Span || call.Kind != "SPAN_KIND_CLIENT" {
			t.Errorf("the call is %+v, within %+v", call, deliver)
		}
	}
	body, _, requests := collector.Raw()
	for _, secret := range []string{anna, "anna", "Annabel", simulator.SampleKey, adminToken, b.client.Secret, b.token} {
		if bytes.Contains(body, []byte(secret)) {
			t.Errorf("the traces hold %q", secret)
		}
	}
	if told.Load() {
		t.Error("Actito is told of our traces")
	}

	b.cfg.Traces = ""
	b.start()
	tell("e2")
	b.stop()
	if _, _, after := collector.Raw(); after != requests {
		t.Error("without --traces the collector was called")
	}
	db, err := sql.Open("sqlite", filepath.Join(b.cfg.Data, "consentsync.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var stored, events int
	if err := db.QueryRow(`SELECT count(*), sum(length(trace) > 0) FROM events`).Scan(&events, &stored); err != nil || events != 2 || stored != 1 {
		t.Errorf("%d of %d events have a trace, %v", stored, events, err)
	}
}

// only gives the one span with a name.
func only(t *testing.T, c *tracetest.Collector, name string) tracetest.Span {
	t.Helper()
	found := c.Spans(name)
	if len(found) != 1 {
		var names []string
		for _, s := range c.Spans("") {
			names = append(names, s.Name)
		}
		t.Fatalf("%d spans are called %s; there are: %s", len(found), name, strings.Join(names, ", "))
	}
	return found[0]
}

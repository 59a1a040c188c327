package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/consent"
	"consentsync/internal/simulator"
)

// importing begins an import and gives the path of its routes.
func (b *bundle) importing(name string) string {
	b.t.Helper()
	var v backfill.ImportView
	b.must(http.MethodPost, "/v1/imports?organization_id="+organization, fmt.Sprintf(`{"name":%q}`, name), http.StatusOK, &v)
	return "/v1/imports/" + v.ID
}

// rows hands in the rows of a file, from a place on.
func (b *bundle) rows(path, file string, from int, rows ...any) (v backfill.PartView) {
	b.t.Helper()
	var body strings.Builder
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil {
			b.t.Fatal(err)
		}
		body.Write(append(line, '\n'))
	}
	q := url.Values{"organization_id": {organization}, "file": {file}, "from": {fmt.Sprint(from)}}
	status, answer := b.ask(http.MethodPost, path+"/rows?"+q.Encode(), body.String(), "Content-Type", "application/x-ndjson")
	if status != http.StatusOK {
		b.t.Fatalf("the rows were answered %d: %s", status, answer)
	}
	if err := json.Unmarshal(answer, &v); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// bareEvent is an event as Didomi's API and export show it.
func bareEvent(e simulator.Event) any {
	return simulator.EventCreated(organization, e)["parameters"].(object)["entity"]
}

// R5, R23: what comes out of a file withdraws at once, turns nothing on before
// everybody was counted, asks where they are many, and undoes no newer choice.
func TestImportThroughTheAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(nil)
	now := time.Now()
	chose := func(id, email string, ago time.Duration, on bool) simulator.Event {
		return simulator.Event{ID: id, OrganizationUserID: email, CreatedAt: now.Add(-ago), Purposes: simulator.Choices{"newsletter": &on}}
	}
	b.send(simulator.EventCreated(organization, chose("live-1", "off@example.com", time.Hour, false)))
	b.send(simulator.EventCreated(organization, chose("live-2", "on@example.com", time.Hour, true)))
	b.eventually("delivered", func() bool { return b.on("on@example.com", "Newsletter") && b.synced("off@example.com") })

	path := b.importing("old events")
	var rows []any
	for n := range 150 {
		rows = append(rows, bareEvent(chose(fmt.Sprint("old-", n), fmt.Sprintf("old%d@example.com", n), 2*time.Hour, true)))
	}
	yes := true
	rows = append(rows, object{ // a snapshot is no proof against the withdrawal
		"id": "d-1", "organization_id": organization, "organization_user_id": "off@example.com", "updated_at": now.Format(time.RFC3339Nano), "created_at": now.Format(time.RFC3339Nano),
		"consents": object{"purposes": []object{{"id": "newsletter", "enabled": yes}}},
	}, bareEvent(chose("old-off", "on@example.com", 30*time.Minute, false)), "no event")
	v := b.rows(path, "events", 0, rows...)
	if v.Rows != 153 || v.Outcomes[consent.Applied] != 152 || len(v.Refused) != 1 || v.Refused[0].Row != 153 || v.Stopped != nil {
		t.Fatalf("the rows came to %+v", v)
	}
	b.eventually("the withdrawal out of the file took effect", func() bool { return !b.on("on@example.com", "Newsletter") })
	if _, there := b.profile("old0@example.com"); there {
		t.Error("somebody was turned on before the import was ended")
	}
	if v := b.rows(path, "events", 153, bareEvent(simulator.Event{ID: "last", OrganizationUserID: "last@example.com", CreatedAt: now.Add(-time.Hour), Channels: simulator.Choices{"sms": &yes}})); v.Rows != 154 {
		t.Errorf("the next row came to %+v", v)
	}
	if status, answer := b.ask(http.MethodPost, path+"/rows?organization_id="+organization+"&file=events&from=7", "{}\n", "Content-Type", "application/x-ndjson"); status != http.StatusConflict {
		t.Errorf("rows in the wrong place were answered %d: %s", status, answer)
	}
	b.must(http.MethodPost, path+"/end?organization_id="+organization, "", http.StatusOK, nil)
	b.eventually("it asks", func() bool { return b.asking(id) })
	if r := b.integration(id).Reprojection; r.Grants != 151 {
		t.Errorf("it asks about %d people, want 151", r.Grants)
	}
	b.must(http.MethodPost, "/v1/marketplace/integrations/"+id+"/resume", `{"approve_grants":true}`, http.StatusOK, nil)
	b.eventually("the grants are out", func() bool {
		return b.on("old0@example.com", "Newsletter") && b.on("old149@example.com", "Newsletter") && b.on("last@example.com", "SmsAlerts")
	})
	b.eventually("all is done", func() bool { return b.integration(id).Reprojection == nil && b.synced("off@example.com") })
	if b.on("off@example.com", "Newsletter") || b.on("on@example.com", "Newsletter") {
		t.Error("a withdrawal was undone")
	}
	var refusals struct{ Data []any }
	b.must(http.MethodGet, path+"/refusals?organization_id="+organization, "", http.StatusOK, &refusals)
	if len(refusals.Data) != 1 {
		t.Errorf("refusals: %v", refusals.Data)
	}
	b.must(http.MethodGet, path+"?organization_id="+organization, "", http.StatusOK, nil)
	b.must(http.MethodGet, "/v1/imports?organization_id="+organization, "", http.StatusOK, nil)
}

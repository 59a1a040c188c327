package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/backfill"
	"consentsync/internal/simulator"
)

// reconcile hands in an export of Actito's table, as it is now, and gives what was
// found.
func (b *bundle) reconcile(id, policy string, people ...string) (v backfill.ReconciliationView) {
	b.t.Helper()
	path := "/v1/marketplace/integrations/" + id + "/reconciliations"
	in, err := json.Marshal(object{"as_of": time.Now().Format(time.RFC3339Nano), "policy": policy, "columns": []string{"Newsletter", "Promotions"}, "source": "export.csv"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.must(http.MethodPost, path, string(in), http.StatusCreated, &v)
	path += "/" + v.ID
	var rows strings.Builder
	for _, email := range people {
		fmt.Fprintf(&rows, `{"key":%q,"subscriptions":{"Newsletter":%t}}`+"\n", email, b.on(email, "Newsletter"))
	}
	b.must(http.MethodPost, path+"/rows?from=0&fingerprint=x", rows.String(), http.StatusOK, nil)
	b.must(http.MethodPost, path+"/end", "", http.StatusAccepted, nil)
	b.eventually("compared", func() bool {
		b.must(http.MethodGet, path, "", http.StatusOK, &v)
		return v.State == "done"
	})
	return v
}

// Drift in Actito, of which no webhook told: a refusal that somebody undid is sent
// again; a refusal that somebody made there becomes the person's own newer choice
// and reaches Didomi; nothing is turned on before a yes (R23, R25).
func TestReconciliation(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{}, nil)
	now, yes, no := time.Now(), true, false
	choose := func(email string, on *bool) {
		w.send(simulator.EventCreated(organization, simulator.Event{ID: "e" + email, OrganizationUserID: email, CreatedAt: now.Add(-time.Hour), Purposes: simulator.Choices{"newsletter": on}}))
	}
	choose("ana@example.com", &no)
	choose("bob@example.com", &yes)
	choose("eve@example.com", &yes)
	people := []string{"ana@example.com", "bob@example.com", "eve@example.com"}
	w.eventually("delivered", func() bool { return w.allSynced(people) })
	w.between.Store(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { rw.WriteHeader(http.StatusBadGateway) })
	w.edit("ana@example.com", map[string]bool{"Newsletter": true})
	w.edit("bob@example.com", map[string]bool{"Newsletter": false})

	v := w.reconcile(w.id, "report", append(people, "stranger@example.com")...)
	r := v.Report
	if r.TurnedOn != 1 || r.TurnedOff != 1 || r.Agree != 1 || r.UnknownProfiles != 1 || r.Off+r.Read+r.On != 0 || len(r.MissingColumns) != 1 || len(r.Examples) != 2 {
		t.Errorf("it came to %+v", r)
	}
	if !w.on("ana@example.com", "Newsletter") {
		t.Error("a report has repaired something")
	}
	w.eventually("what was found is counted", func() bool {
		_, text := w.ask(http.MethodGet, "/metrics", "")
		return !slices.ContainsFunc([]string{"agree", "turned_on", "turned_off"}, func(kind string) bool {
			return !strings.Contains(string(text), "\nconsentsync_reconciled_cells_total{kind=\""+kind+"\"} 1\n")
		})
	})
	r = w.reconcile(w.id, "", people[:2]...).Report
	if r.Off != 1 || r.Read != 1 || r.On != 0 || r.MissingProfiles != 1 {
		t.Errorf("it came to %+v", r)
	}
	w.eventually("the refusal holds again", func() bool { return !w.on("ana@example.com", "Newsletter") })
	w.eventually("Didomi heard of the choice in Actito", func() bool { told := w.told("bob@example.com"); return len(told) == 1 && told[0] == "-newsletter" })
	if enabled, said := w.says("bob@example.com", "consents_purposes_newsletter_enabled"); enabled || !said || w.on("bob@example.com", "Newsletter") {
		t.Error("somebody's own newer choice was undone")
	}
	var list struct{ Data []backfill.ReconciliationView }
	w.must(http.MethodGet, "/v1/marketplace/integrations/"+w.id+"/reconciliations", "", http.StatusOK, &list)
	if len(list.Data) != 2 || list.Data[1].ID != v.ID {
		t.Errorf("the list has %+v", list.Data)
	}
	w.must(http.MethodPost, "/v1/marketplace/integrations/"+w.id+"/reconciliations", `{"as_of":"2026-01-01T00:00:00Z","columns":["Nothing"]}`, http.StatusBadRequest, nil)
}

// Profiles are read with calls that nothing else wants: withdrawals go before. Drift
// is found and repaired within the slice: a refusal that somebody undid is sent
// again; a grant that is gone is never put back, but heard as the person's own
// choice.
func TestReconciliationByReads(t *testing.T) {
	t.Parallel()
	w := setupTwoWay(t, simulator.ActitoOptions{CallsPerMinute: -1}, func(in object) { in["properties"].(object)["calls_per_minute"] = 600 })
	now := time.Now()
	known, waiting := []string{"ana@example.com", "bob@example.com"}, crowd("w", 50)
	w.sendAll(append(events(known[:1], now, simulator.Choices{"newsletter": no()}), events(known[1:], now, simulator.Choices{"newsletter": yes()})...))
	w.eventually("delivered", func() bool { return w.allSynced(known) })
	w.between.Store(func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { rw.WriteHeader(http.StatusBadGateway) })
	w.edit("ana@example.com", map[string]bool{"Newsletter": true})
	w.edit("bob@example.com", map[string]bool{"Newsletter": false})

	path := "/v1/marketplace/integrations/" + w.id
	w.must(http.MethodPost, path+"/pause", "", http.StatusOK, nil)
	w.sendAll(events(waiting, now, simulator.Choices{"newsletter": no()}))
	w.must(http.MethodPatch, path, `{"properties":{"reconcile_reads_per_hour":3601,"reconcile_policy":"none"}}`, http.StatusBadRequest, nil)
	w.must(http.MethodPatch, path, `{"properties":{"reconcile_reads_per_hour":3600}}`, http.StatusOK, nil)
	w.actito.ResetCounters()
	begun := time.Now()
	w.must(http.MethodPost, path+"/resume", "", http.StatusOK, nil)
	var list struct{ Data []backfill.ReconciliationView }
	w.eventually("drift is found", func() bool {
		w.must(http.MethodGet, path+"/reconciliations", "", http.StatusOK, &list)
		return len(list.Data) == 1 && list.Data[0].Report.TurnedOn == 1 && list.Data[0].Report.TurnedOff == 1
	})
	v := list.Data[0]
	if r := v.Report; v.Source != "reads" || v.State != "reading" || r.Off != 1 || r.Read != 1 || r.On != 0 || v.Rows > int64(time.Since(begun)/time.Second)+1 {
		t.Errorf("after %v it came to %+v", time.Since(begun), v)
	}
	w.eventually("the refusal holds again", func() bool { return !w.on("ana@example.com", "Newsletter") })
	w.eventually("Didomi heard of the choice in Actito", func() bool { return slices.Equal(w.told("bob@example.com"), []string{"-newsletter"}) })
	if w.on("bob@example.com", "Newsletter") {
		t.Error("a grant was put back that the person had taken away")
	}
	written, read := 0, false
	for _, call := range w.actito.Calls() {
		switch call.Kind {
		case simulator.KindUpdate, simulator.KindCreate:
			written++
		case simulator.KindRead:
			if !read && written < len(waiting) {
				t.Errorf("a profile was read when %d of %d withdrawals were delivered", written, len(waiting))
			}
			read = true
		}
	}
	if n := w.metric("consentsync_reconcile_reads_total", `outcome="found"`); n < 2 {
		t.Errorf("%v reads are counted", n)
	}
}

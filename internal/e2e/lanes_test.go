package e2e_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"consentsync/internal/simulator"
)

// Of the 24 loads that Actito takes of a table in a day two are never used: the
// 23rd is not started, and the plan says why.
func TestR22TheLastLoadsOfADay(t *testing.T) {
	parallelUnlessShort(t, another)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1, LoadDelay: -1})
	people := crowd("p", 180)
	putAll(t, b, people, map[string]bool{"Newsletter": true})
	id := b.integrate(bulky(func(p object) { p["bulk_withdrawals_after_seconds"] = 5 }))
	b.slow()
	b.loadedBefore(id, time.Now().Add(-time.Hour), 22, true)
	b.pile(id, events(people, time.Now(), simulator.Choices{"newsletter": no()}))
	b.looks("it is told that the day's loads are used", func() bool {
		bulk := b.plan(id).Lanes.Bulk
		return bulk.LoadsToday == 22 && bulk.LoadsLeft == 0 && strings.Contains(bulk.Reason, "22 of 24 loads are used")
	})
	b.stays("no load is started", 2500*time.Millisecond, func() bool { return b.actito.CallCount(simulator.KindTrigger) == 0 })
	// A day after the first of them there is one to start again.
	b.execute(`UPDATE loads SET started_at = started_at - 86400000000 WHERE integration = ? AND execution = '0'`, id)
	b.looks("a load is started", func() bool { return b.actito.CallCount(simulator.KindTrigger) == 1 })
	b.hurry()
	w := wants{}
	w.set(people, map[string]bool{"Newsletter": false})
	b.settle("everybody", w)
}

// Loads that were made count, however many attempts came to nothing since.
func TestR22LoadsOfADayAreNotForgotten(t *testing.T) {
	t.Parallel()
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	id := b.integrate(bulky(nil))
	b.loadedBefore(id, time.Now().Add(-2*time.Hour), 22, true)
	b.loadedBefore(id, time.Now().Add(-time.Hour), 100, false)
	b.looks("the loads of the day are counted", func() bool { return b.plan(id).Lanes.Bulk.LoadsToday == 22 })
}

// loadedBefore has an integration have made loads, of which Actito took some.
func (b *bundle) loadedBefore(id string, from time.Time, n int, taken bool) {
	b.t.Helper()
	for i := range n {
		at := from.Add(time.Duration(i) * time.Second)
		key := make([]byte, 16)
		binary.BigEndian.PutUint64(key, uint64(at.UnixMilli())<<16)
		startedAt := int64(0)
		if taken {
			startedAt = at.UnixMicro()
		}
		b.execute(`INSERT INTO loads (organization, integration, id, state, epoch, columns, people, execution, outcome, created_at, started_at, ended_at)
			VALUES (?, ?, ?, 'done', 1, '["Newsletter"]', 100, ?, 'confirmed', ?, ?, ?)`,
			organization, id, key, fmt.Sprint(i), at.UnixMicro(), startedAt, at.UnixMicro())
	}
}

// execute changes the database behind the program's back.
func (b *bundle) execute(query string, args ...any) {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.cfg.Data, "consentsync.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
		b.t.Fatal(err)
	}
}

// Two integrations of one licence share its calls: who has little to send is
// not held up by who has much.
func TestIntegrationsShareTheLicenceFairly(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	const small = "small-org"
	table := simulator.SampleTable()
	table.ID, table.Name = "17", "Others"
	b.actito.AddTable(simulator.SampleEntity, table)
	many, few := crowd("m", 300), crowd("f", 10)
	putAll(t, b, many, nil)
	for _, email := range few {
		if _, err := b.actito.PutProfile(simulator.SampleEntity, "17", map[string]any{"emailAddress": email}, nil); err != nil {
			t.Fatal(err)
		}
	}
	perMinute := func(in object) { in["properties"].(object)["calls_per_minute"] = 180 }
	id := b.integrate(perMinute)
	b.must(http.MethodPut, "/v1/premium-features/"+small, `{"actito":true}`, http.StatusOK, nil)
	b.must(http.MethodPost, "/v1/marketplace/integrations?organization_id="+small, b.settings(func(in object) {
		perMinute(in)
		in["properties"].(object)["table_name"] = "Others"
	}), http.StatusCreated, nil)
	var other credentials
	b.must(http.MethodPost, "/v1/organizations/"+small+"/webhook-clients", "", http.StatusCreated, &other)

	b.sendAll(events(many, time.Now(), simulator.Choices{"newsletter": yes()}))
	b.eventually("the backlog is under way", func() bool { return b.actito.CallCount(simulator.KindUpdate) > 12 }) // the burst is spent
	was := b.client
	b.client = other
	b.authenticate()
	b.client = was
	start := time.Now()
	for i, email := range few {
		body := simulator.EventCreated(small, simulator.Event{ID: fmt.Sprint(i), OrganizationUserID: email, CreatedAt: start, Purposes: simulator.Choices{"newsletter": yes()}})
		text, _ := json.Marshal(body)
		status, answer, err := b.request(http.MethodPost, "/webhooks/didomi/"+small, string(text), "Authorization", "Bearer "+b.token)
		if err != nil || status != http.StatusOK {
			t.Fatalf("the webhook was answered %d: %s %v", status, answer, err)
		}
	}
	b.eventually("who has little is served", func() bool {
		return !slices.ContainsFunc(few, func(email string) bool {
			p, _ := b.actito.Profile(simulator.SampleEntity, "17", "emailAddress", email)
			return !p.Subscriptions["Newsletter"]
		})
	})
	alone := time.Duration(len(few)) * time.Minute / 170 // the burst taken off the rate
	if took := time.Since(start); took > 2*alone+1500*time.Millisecond {
		t.Errorf("10 people took %v, and would take %v alone", took, alone)
	}
	if b.allSynced(many) {
		t.Error("the backlog was over before, so this tests nothing")
	}
	if p := b.plan(id); p.Licence.CallsPerMinute != 180 {
		t.Errorf("the licence makes %d calls a minute", p.Licence.CallsPerMinute)
	}
}

// Calls can be left to the customer's other tools.
func TestReservedCalls(t *testing.T) {
	parallelUnlessShort(t, timed)
	b := setup(t, simulator.ActitoOptions{CallsPerMinute: -1})
	people := crowd("p", 100)
	putAll(t, b, people, nil)
	id := b.integrate(func(in object) {
		p := in["properties"].(object)
		p["calls_per_minute"], p["reserved_calls_per_minute"] = 600, 480
	})
	start := time.Now()
	b.sendAll(events(people, start, simulator.Choices{"newsletter": yes()}))
	pause(6 * time.Second)
	if n, most := b.actito.CallCount(simulator.KindUpdate), 120/18+int(2*time.Since(start).Seconds())+2; n > most || n < 10 {
		t.Errorf("%d calls were made in %v, want 120 a minute", n, time.Since(start))
	}
	if p := b.plan(id); p.Licence.CallsPerMinute != 120 || p.Licence.MostCallsPerMinute != 120 {
		t.Errorf("the plan says %+v", p.Licence)
	}
	for field, value := range map[string]int{
		"reserved_calls_per_minute": 600, "bulk_after_seconds": -1, "bulk_withdrawals_after_seconds": -5,
	} {
		status, answer := b.ask(http.MethodPatch, "/v1/marketplace/integrations/"+id, fmt.Sprintf(`{"properties":{%q:%d}}`, field, value))
		if status != http.StatusBadRequest || !strings.Contains(string(answer), "properties."+field) {
			t.Errorf("%s %d is answered %d: %s", field, value, status, answer)
		}
	}
	if status, answer := b.ask(http.MethodPatch, "/v1/marketplace/integrations/"+id, `{"properties":{"reserved_calls_per_minute":-1}}`); status != http.StatusBadRequest {
		t.Errorf("-1 is answered %d: %s", status, answer)
	}
}

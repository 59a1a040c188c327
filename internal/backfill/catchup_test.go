package backfill

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"consentsync/internal/consent"
	"consentsync/internal/didomi"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

func TestDecideCatchUp(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := noon
	ago := func(d time.Duration) consent.Time { return now.Add(-d) }
	for name, x := range map[string]struct {
		was    store.CatchUp
		reason store.CatchUpReason // empty if nothing is begun
		since  consent.Time
	}{
		"never fetched":                    {store.CatchUp{}, store.CatchUpFirst, 0},
		"never fetched, alive":             {store.CatchUp{AliveAt: ago(time.Second)}, store.CatchUpFirst, 0},
		"all is well":                      {store.CatchUp{Done: true, AliveAt: ago(time.Second), EndedAt: ago(time.Hour)}, "", 0},
		"a short restart":                  {store.CatchUp{Done: true, AliveAt: ago(2 * time.Minute), EndedAt: ago(time.Hour)}, "", 0},
		"away":                             {store.CatchUp{Done: true, AliveAt: ago(5 * time.Hour), EndedAt: ago(6 * time.Hour)}, store.CatchUpAway, ago(6 * time.Hour)},
		"away after an error":              {store.CatchUp{Done: true, AliveAt: ago(5 * time.Hour), MissedAt: ago(7 * time.Hour), EndedAt: ago(9 * time.Hour)}, store.CatchUpAway, ago(8 * time.Hour)},
		"an error just now":                {store.CatchUp{Done: true, AliveAt: ago(time.Second), MissedAt: ago(time.Minute), EndedAt: ago(2 * time.Hour)}, "", 0},
		"an error that was not made good":  {store.CatchUp{Done: true, AliveAt: ago(time.Second), MissedAt: ago(7 * time.Minute), EndedAt: ago(2 * time.Hour)}, store.CatchUpMissed, ago(67 * time.Minute)},
		"errors are no reason every time":  {store.CatchUp{Done: true, AliveAt: ago(time.Second), MissedAt: ago(7 * time.Minute), EndedAt: ago(20 * time.Minute)}, "", 0},
		"it is time":                       {store.CatchUp{Done: true, AliveAt: ago(0), EndedAt: ago(25 * time.Hour)}, store.CatchUpSchedule, ago(25 * time.Hour)},
		"one is under way":                 {store.CatchUp{Running: true, Reason: store.CatchUpSchedule, AliveAt: ago(time.Second)}, "", 0},
		"it was interrupted for some time": {store.CatchUp{Done: true, Running: true, Since: 5, StartedAt: ago(time.Hour), AliveAt: ago(30 * time.Minute)}, "", 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := decideCatchUp(x.was, now, day)
			begun := is.Running && !x.was.Running
			if begun != (x.reason != "") || begun && is.Reason != x.reason || is.Since != x.since || begun && is.Counted == x.was.Done {
				t.Errorf("it is %+v", is)
			}
			if x.was.Running && x.was.AliveAt < ago(awayFor) && (is.MissedAt != x.was.AliveAt || !is.Away) {
				t.Errorf("what was missed while it was interrupted is forgotten: %+v", is)
			}
		})
	}
}

// What a node may have missed that ended without saying so is fetched, once, from when
// it was last there; one that was there before all others counts too.
func TestCatchUpAfterAnotherNode(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) consent.Time { return noon.Add(-d) }
	was := store.CatchUp{Done: true, AliveAt: ago(time.Second), EndedAt: ago(5 * time.Hour)}
	is := missedBy(was, []consent.Time{ago(2 * time.Hour), ago(10 * time.Minute)})
	if is.MissedAt != ago(2*time.Hour) || is.GoneAt != ago(10*time.Minute) {
		t.Errorf("it is %+v", is)
	}
	begun := decideCatchUp(is, noon, 24*time.Hour)
	if begun.Reason != store.CatchUpMissed || begun.Since != ago(3*time.Hour) || begun.Counted || begun.GoneAt != is.GoneAt {
		t.Errorf("it begins as %+v", begun)
	}
	was.MissedAt = ago(3 * time.Hour)
	if is := missedBy(was, []consent.Time{ago(time.Hour)}); is.MissedAt != was.MissedAt {
		t.Errorf("what was missed before is forgotten: %+v", is)
	}
	if is := missedBy(was, nil); is != was {
		t.Errorf("nobody is gone: %+v", is)
	}
}

// truth is a simulated Didomi in memory, with pages of two.
type truth struct {
	events   []fact
	calls    int
	failures int // of the next calls
}

// fact is an event of Didomi's.
type fact struct {
	id, person, purpose string
	at                  consent.Time
	on                  bool
}

func (f fact) json(organization string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"organization_id":%q,"created_at":%q,"user":{"organization_user_id":%q},"consents":{"purposes":[{"id":%q,"enabled":%t}]}}`,
		f.id, organization, f.at.Std().Format(time.RFC3339Nano), f.person, f.purpose, f.on)
}

// record gives what Didomi shows of a person after the first so many events.
func (d *truth) record(person string, after int) ([]byte, bool) {
	latest := map[string]fact{}
	var updated consent.Time
	for _, f := range d.events[:after] {
		if f.person != person {
			continue
		}
		updated = max(updated, f.at)
		if old, held := latest[f.purpose]; !held || f.at >= old.at {
			latest[f.purpose] = f
		}
	}
	var purposes []map[string]any
	for _, f := range latest {
		purposes = append(purposes, map[string]any{"id": f.purpose, "enabled": f.on})
	}
	slices.SortFunc(purposes, func(a, b map[string]any) int { return len(a["id"].(string)) - len(b["id"].(string)) })
	b, err := json.Marshal(map[string]any{
		"id": "user of " + person, "organization_user_id": person, "created_at": updated, "updated_at": updated, "consents": map[string]any{"purposes": purposes},
	})
	return b, err == nil && len(purposes) > 0
}

func (d *truth) people() (all []string) {
	for _, f := range d.events {
		if !slices.Contains(all, f.person) {
			all = append(all, f.person)
		}
	}
	return all
}

func (d *truth) call() error {
	d.calls++
	if d.failures > 0 {
		d.failures--
		return &consent.Error{Kind: consent.RateLimited, Message: "too many calls", RetryAfter: time.Minute}
	}
	return nil
}

func (d *truth) Users(_ context.Context, _, cursor string) (page []json.RawMessage, next string, err error) {
	if err := d.call(); err != nil {
		return nil, "", err
	}
	people := d.people()
	for n := len(cursor); n < len(people); n++ {
		if len(page) == 2 {
			return page, cursor + "xx", nil
		}
		if record, ok := d.record(people[n], len(d.events)); ok {
			page = append(page, record)
		}
	}
	return page, "", nil
}

func (d *truth) EventsOf(_ context.Context, person, _ string) (all []json.RawMessage, err error) {
	for _, f := range d.events {
		if f.person == person {
			all = append(all, f.json(""))
		}
	}
	return all, d.call()
}

// opened gives an empty database whose clock stands at noon.
func opened(t *testing.T) (*sqlite.Engine, *store.Hasher) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Now: noon.Std})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	h := store.NewHasher([]byte("a key for tests"))
	db.UseHasher(h)
	return db, h
}

// fetching gives the catch-ups of a node with a source.
func fetching(db *sqlite.Engine, h *store.Hasher, d Source) *CatchUps {
	return &CatchUps{
		Store: db, Hasher: h, Source: func(*store.Integration) (Source, error) { return d, nil }, Holds: func(string) bool { return true },
		Due: func() {}, Changed: func() {}, Log: slog.New(slog.DiscardHandler),
	}
}

// connect makes an integration of an organization.
func connect(t testing.TB, db *sqlite.Engine, organization string) *store.Integration {
	t.Helper()
	i := &store.Integration{
		Organization: organization, ID: "of " + organization, Status: store.Active, Revision: 1, Licence: "one", Sealed: []byte{0},
		Settings: store.Settings{
			Properties: store.Properties{Regulations: []string{consent.DefaultRegulation}},
			Mappings:   []consent.Mapping{{ID: "News", Value: "consents_purposes_news_enabled"}},
		},
		Snapshot: consent.Snapshot{Subscriptions: []consent.Subscription{{Name: "News"}}},
	}
	if err := db.CreateIntegration(context.Background(), i); err != nil {
		t.Fatal(err)
	}
	return i
}

// A catch-up that fails is tried again as late as Didomi asks, and goes on where
// it was; what it looks at is bounded by time; it ends with a good point.
func TestCatchUpGoesOn(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	d := &truth{}
	for n := range 5 {
		d.events = append(d.events, fact{fmt.Sprint("e", n), fmt.Sprint("p", n), "news", noon.Add(-time.Duration(n) * time.Hour), n%2 == 0})
	}
	c := fetching(db, h, d)
	i := connect(t, db, "acme")
	since := noon.Add(-150 * time.Minute)
	if _, err := c.Ask(t.Context(), "acme", &since); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Ask(t.Context(), "acme", nil); consent.KindOf(err) != consent.Conflict {
		t.Errorf("a second one is begun beside the first: %v", err)
	}
	// After the first page Didomi refuses.
	run := &catchUpRun{CatchUps: c, source: d, licence: "one", regulations: []string{consent.DefaultRegulation}}
	var err error
	if run.row, err = db.CatchUp(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	if more, err := run.page(t.Context()); err != nil || !more {
		t.Fatalf("the first page: %t, %v", more, err)
	}
	d.failures = 1
	if err := c.tend(t.Context(), i, d); consent.KindOf(err) != consent.RateLimited {
		t.Fatalf("the refusal: %v", err)
	}
	v, err := c.Get(t.Context(), "acme")
	if err != nil || v.LastError == "" || v.NextAt == nil || v.NextAt.Sub(noon) != time.Minute || v.Users != 2 {
		t.Errorf("after the refusal: %+v, %v", v, err)
	}
	calls := d.calls
	if err := c.tend(t.Context(), i, d); err != nil || d.calls != calls {
		t.Errorf("it is tried again at once: %d calls, %v", d.calls-calls, err)
	}
	row, err := db.CatchUp(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	row.NextAt = 0 // the time has come
	if err := db.SaveCatchUp(t.Context(), &row); err != nil {
		t.Fatal(err)
	}
	if err := c.tend(t.Context(), i, d); err != nil {
		t.Fatal(err)
	}
	v, err = c.Get(t.Context(), "acme")
	if err != nil || v.Running || v.Users != 5 || v.Changed != 3 || v.LastError != "" || v.EndedAt == nil {
		t.Errorf("at the end: %+v, %v", v, err)
	}
	// Whoever has fallen behind changes nothing.
	if _, err := run.page(t.Context()); consent.KindOf(err) != consent.Conflict {
		t.Errorf("another node goes on with what is done: %v", err)
	}
	// A first one looks at everybody.
	if _, err := c.Ask(t.Context(), "acme", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.tend(t.Context(), i, d); err != nil {
		t.Fatal(err)
	}
	v, err = c.Get(t.Context(), "acme")
	if err != nil || v.Changed != 5 || v.GoodAt == nil || *v.GoodAt != noon {
		t.Errorf("after all: %+v, %v", v, err)
	}
	if diff := cmp.Diff([]string{"p0 on", "p1 off", "p2 on", "p3 off", "p4 on"}, verdicts(t, db, h, "acme", d.people(), "news")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// verdicts says what is held of people's purposes.
func verdicts(t testing.TB, db *sqlite.Engine, h *store.Hasher, organization string, people []string, purposes ...string) (all []string) {
	t.Helper()
	for _, p := range people {
		person, err := db.Person(context.Background(), organization, h.Person(organization, consent.Subject{OrganizationUserID: p}))
		if consent.KindOf(err) == consent.NotFound {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, held := range person.View().Choices {
			name := p
			if len(purposes) != 1 {
				name += " " + held.Purpose
			}
			all = append(all, name+map[bool]string{true: " on", false: " off"}[held.Enabled])
		}
	}
	return all
}

func choices(t testing.TB, db *sqlite.Engine, h *store.Hasher, organization, person string) []consent.Held {
	t.Helper()
	p, err := db.Person(context.Background(), organization, h.Person(organization, consent.Subject{OrganizationUserID: person}))
	if err != nil {
		t.Fatal(err)
	}
	return p.View().Choices
}

// settleReprojection ends the comparison that a new integration begins.
func settleReprojection(t testing.TB, db *sqlite.Engine, i *store.Integration) {
	t.Helper()
	r, _, err := db.Reprojection(context.Background(), store.IntegrationKey{Organization: i.Organization, ID: i.ID})
	r.State = store.ReprojectionDone
	if err == nil {
		err = db.AdvanceReprojection(context.Background(), r, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// accept takes a webhook of Didomi's.
func accept(t testing.TB, db *sqlite.Engine, organization string, webhook []byte) {
	t.Helper()
	payload, err := didomi.Parse(webhook)
	if err != nil {
		t.Fatal(err)
	}
	message, err := payload.Message(organization)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Accept(context.Background(), []store.Inbound{{Organization: organization, Message: message, Canonical: payload.Canonical(), Payload: webhook}}); err != nil {
		t.Fatal(err)
	}
}

// catchUp fetches everything, as what was missed and not as what somebody asked
// for besides.
func catchUp(t testing.TB, c *CatchUps, i *store.Integration, d Source) {
	t.Helper()
	row, err := c.Store.CatchUp(context.Background(), i.Organization)
	if err != nil {
		t.Fatal(err)
	}
	row = startCatchUp(row, store.CatchUpAway, 0, noon)
	row.Counted = false
	if err := c.Store.SaveCatchUp(context.Background(), &row); err != nil {
		t.Fatal(err)
	}
	if err := c.tend(context.Background(), i, d); err != nil {
		t.Fatal(err)
	}
}

// person is a webhook of somebody who refuses.
func person(organization string, n int) store.Inbound {
	id := fmt.Sprint("person ", n)
	return store.Inbound{
		Organization: organization, Canonical: []byte(id), Payload: []byte("{}"),
		Message: &consent.Message{
			Type: consent.EventCreated, EntityID: id, OrganizationUserID: id, Regulation: consent.DefaultRegulation, CreatedAt: noon - 9000,
			Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "news"}}},
		},
	}
}

// heldLines are rows of an export of such people, of whom all are on.
func heldLines(from, to int) (body []byte) {
	for n := from; n < to; n++ {
		body = fmt.Appendf(body, "{\"key\":\"person %d\",\"subscriptions\":{\"News\":true}}\n", n)
	}
	return body
}

// A webhook that was not accepted is remembered, once, until it has been fetched;
// and a restored database that nobody has resumed fetches nothing by itself.
func TestCatchUpAfterErrors(t *testing.T) {
	t.Parallel()
	db, h := opened(t)
	d := &truth{events: []fact{{"e", "ana", "news", noon.Add(-time.Minute), false}}}
	c := fetching(db, h, d)
	c.Every = 24 * time.Hour
	registry := prometheus.NewRegistry()
	c.Metrics = NewMetrics(registry, db.Clock)
	behind := func(want time.Duration) {
		t.Helper()
		if is := c.Metrics.behind(noon.Add(time.Hour)); is != want {
			t.Errorf("it is behind by %v, want %v", is, want)
		}
	}
	i := connect(t, db, "acme")
	was := store.CatchUp{Organization: "acme", Done: true, AliveAt: noon.Add(-time.Second), EndedAt: noon.Add(-2 * time.Hour)}
	if err := db.SaveCatchUp(t.Context(), &was); err != nil {
		t.Fatal(err)
	}
	row := func() store.CatchUp {
		t.Helper()
		row, err := db.CatchUp(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	c.Missed("acme")
	c.Missed("globex") // which was never fetched
	if err := c.tellMissed(t.Context()); err != nil || len(c.missed) > 0 {
		t.Fatalf("%v, %d are left to be told", err, len(c.missed))
	}
	for range 2 {
		if err := c.tend(t.Context(), i, d); err != nil {
			t.Fatal(err)
		}
		if r := row(); r.MissedAt != noon || r.Running || d.calls > 0 {
			t.Errorf("at once: %+v, %d calls", r, d.calls)
		}
		behind(time.Hour)
	}
	later := row()
	later.MissedAt = noon.Add(-7 * time.Minute)
	if err := db.SaveCatchUp(t.Context(), &later); err != nil {
		t.Fatal(err)
	}
	paused := *i
	paused.Status, paused.Snapshot.RestoredAt = store.Paused, noon
	if err := c.tend(t.Context(), &paused, d); err != nil || d.calls > 0 {
		t.Errorf("a restored database that is paused: %d calls, %v", d.calls, err)
	}
	if err := c.tend(t.Context(), i, d); err != nil {
		t.Fatal(err)
	}
	if r := row(); r.MissedAt != 0 || r.Reason != store.CatchUpMissed || r.EndedAt != noon || r.Changed != 1 {
		t.Errorf("after six minutes: %+v", r)
	}
	behind(67 * time.Minute) // as it was when it was last looked at
	if err := c.tend(t.Context(), i, d); err != nil {
		t.Fatal(err)
	}
	behind(time.Hour)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "consentsync_catch_ups_total" && m.GetCounter().GetValue() != map[string]float64{catchUpEnded: 1}[l[0].GetValue()] {
				t.Errorf("catch-ups: %v", m)
			}
		}
	}
	c.Metrics.keep(map[string]bool{"another": true})
	behind(0)
}

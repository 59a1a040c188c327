package backfill

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// watched counts the pages of people that one node reads.
type watched struct {
	*sqlite.Engine
	pages atomic.Int64
}

func (w *watched) ComparePage(ctx context.Context, k store.IntegrationKey, between store.Keys, limit int) ([]*store.Compared, error) {
	w.pages.Add(1)
	return w.Engine.ComparePage(ctx, k, between, limit)
}

var hasher = store.NewHasher([]byte("a key for tests"))

// crowded has people who refused the news, and an integration that maps it: all
// of them are to be compared.
func crowded(t *testing.T, people int) (*sqlite.Engine, store.IntegrationKey) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	db.UseHasher(hasher)
	var batch []store.Inbound
	for n := range people {
		id := fmt.Sprint("person ", n)
		batch = append(batch, store.Inbound{
			Organization: "acme", Canonical: []byte(id), Payload: []byte("{}"),
			Message: &consent.Message{
				Type: consent.EventCreated, EntityID: id, OrganizationUserID: id, Regulation: consent.DefaultRegulation, CreatedAt: consent.TimeOf(time.Now()),
				Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "news"}}},
			},
		})
	}
	if _, err := db.Accept(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	i := &store.Integration{
		Organization: "acme", ID: "i", Status: store.Active, Revision: 1, Licence: "one", Sealed: []byte{0},
		Settings: store.Settings{
			Properties: store.Properties{Regulations: []string{consent.DefaultRegulation}},
			Mappings:   []consent.Mapping{{ID: "News", Value: "consents_purposes_news_enabled"}},
		},
		Snapshot: consent.Snapshot{Subscriptions: []consent.Subscription{{Name: "News"}}},
	}
	if err := db.CreateIntegration(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	return db, store.IntegrationKey{Organization: i.Organization, ID: i.ID}
}

// R12: of several nodes the one that holds the licence compares everyone, and
// when it is gone whoever takes the licence goes on.
func TestR12TheHolderOfTheLicenceCompares(t *testing.T) {
	t.Parallel()
	const crowd = 2*pageSize + 10
	db, k := crowded(t, crowd)
	due := func() int64 {
		q, err := db.Queue(t.Context(), k, store.TargetActito, store.BackfilledRefusal)
		if err != nil {
			t.Fatal(err)
		}
		return q.Due
	}

	other, holder := &watched{Engine: db}, &watched{Engine: db}
	node := func(w *watched, licence string) *Reprojector {
		return NewReprojector(w, func(l string) bool { return l == licence }, func() {}, slog.New(slog.DiscardHandler))
	}
	if err := node(other, "another").work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := other.pages.Load(); n > 0 || due() > 0 {
		t.Errorf("a node that does not hold the licence has read %d pages, and %d people are due", n, due())
	}
	// The holder dies after a page.
	running, err := db.Reprojections(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatalf("running: %v, %v", running, err)
	}
	if _, err := node(holder, "one").page(t.Context(), running[0]); err != nil {
		t.Fatal(err)
	}
	if n := due(); n != pageSize {
		t.Errorf("%d people are due after a page", n)
	}
	if err := node(other, "one").work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := other.pages.Load(); n != 2 || due() != crowd {
		t.Errorf("whoever took the licence has read %d pages, and %d of %d people are due", n, due(), crowd)
	}
	if running, err := db.Reprojections(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("running: %v, %v", running, err)
	}
}

// What Didomi refused of many is told again in the background, a page at a time:
// no further than those for the reason, once each, and to Didomi alone.
func TestDidomiIsToldAgainInPages(t *testing.T) {
	t.Parallel()
	const refused = pageSize + 1
	db, k := crowded(t, refused+1)
	due := 0
	node := NewReprojector(db, func(string) bool { return true }, func() { due++ }, slog.New(slog.DiscardHandler))
	if err := node.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	fail(t, db, k, refused)
	only := store.Only{Target: store.TargetDidomi, State: store.Failed, Reason: "invalid: x"}
	if err := db.StartRetry(t.Context(), k, only); err != nil {
		t.Fatal(err)
	}
	running, err := db.Reprojections(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatalf("running: %v, %v", running, err)
	}
	due = 0
	if _, err := node.page(t.Context(), running[0]); err != nil {
		t.Fatal(err)
	}
	progress, _, err := db.Reprojection(t.Context(), k)
	if err != nil || progress.People != pageSize || progress.State != store.ReprojectionCounting || due != 1 {
		t.Errorf("after a page it is %+v, %v; told of %d", progress, err, due)
	}
	if err := node.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	queue, err := db.Queue(t.Context(), k, store.TargetDidomi, store.BackfilledRefusal)
	if err != nil || queue.Due != refused {
		t.Errorf("%d people are due towards Didomi, %v", queue.Due, err)
	}
	counted, err := db.States(t.Context(), k)
	if err != nil || counted.FailedToDidomi != 1 {
		t.Errorf("of others %d wait, %v", counted.FailedToDidomi, err)
	}
	if running, err := db.Reprojections(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("running: %v, %v", running, err)
	}
}

// fail has Didomi refuse what it is told of so many for one reason, and of one
// more for another.
func fail(t *testing.T, db *sqlite.Engine, k store.IntegrationKey, people int) {
	t.Helper()
	leases, err := db.Acquire(t.Context(), "node")
	if err != nil || len(leases) != 1 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	var due []store.Due
	for n := range people + 1 {
		person := hasher.Person(k.Organization, consent.Subject{OrganizationUserID: fmt.Sprint("person ", n)})
		due = append(due, store.Due{SubjectKey: store.SubjectKey{Organization: k.Organization, Person: person}, Class: store.Ordinary, ConsentAt: 1, At: 1})
	}
	if err := db.StartRetry(t.Context(), k, store.Only{Target: store.TargetDidomi, State: store.Failed}); err != nil {
		t.Fatal(err)
	}
	retry, _, err := db.Reprojection(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	retry.State = store.ReprojectionDone
	if err := db.AdvanceReprojection(t.Context(), retry, due); err != nil {
		t.Fatal(err)
	}
	for n, d := range due {
		reason := "invalid: x"
		if n == people {
			reason = "invalid: y"
		}
		key := store.DeliveryKey{Organization: k.Organization, Integration: k.ID, Target: store.TargetDidomi, Person: d.Person}
		if err := db.Fail(t.Context(), leases[0], key, 1, reason); err != nil {
			t.Fatal(err)
		}
	}
}

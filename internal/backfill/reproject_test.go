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

// R12: of several nodes the one that holds the licence compares everyone, and
// when it is gone whoever takes the licence goes on.
func TestR12TheHolderOfTheLicenceCompares(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	db.UseHasher(store.NewHasher([]byte("a key for tests")))
	var batch []store.Inbound
	for n := range 2*pageSize + 10 {
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
	k := store.IntegrationKey{Organization: i.Organization, ID: i.ID}
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
	if n := other.pages.Load(); n != 2 || due() != int64(len(batch)) {
		t.Errorf("whoever took the licence has read %d pages, and %d of %d people are due", n, due(), len(batch))
	}
	if running, err := db.Reprojections(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("running: %v, %v", running, err)
	}
}

package app

import (
	"database/sql"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/sqlite"
)

// crashed makes a data directory in which somebody has deliveries to two
// integrations, and the process ended while it deleted one of them.
func crashed(t *testing.T, deleted, kept string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	e, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.UseHasher(store.NewHasher([]byte("a key for tests")))
	for _, id := range []string{deleted, kept} {
		i := &store.Integration{Organization: "acme", ID: id, Status: store.Paused, Revision: 1, Licence: id}
		if err := e.CreateIntegration(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	m := &consent.Message{
		Type: consent.EventCreated, EntityID: "e", OrganizationUserID: "ana", Regulation: "gdpr", CreatedAt: 1,
		Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "p"}}},
	}
	if _, err := e.Accept(t.Context(), []store.Inbound{{Organization: "acme", Message: m}}); err != nil {
		t.Fatal(err)
	}
	if err := e.DeleteIntegration(t.Context(), store.IntegrationKey{Organization: "acme", ID: deleted}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What is left of a deleted integration goes, with the deletion or, after a
// crash, with the next start.
func TestNothingIsLeftOfADeletedIntegration(t *testing.T) {
	t.Parallel()
	dir := crashed(t, "deleted", "kept")
	a, err := Start(t.Context(), Config{
		Listen: "127.0.0.1:0", Data: dir, TokenLife: time.Hour, ConfirmAfter: time.Hour, ReadbackDelay: time.Minute, AdminToken: "a token of the administrator",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "consentsync.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	left := func(id string) (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM deliveries WHERE organization = 'acme' AND integration = ?`, id).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(30 * time.Second); left("deleted") > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the start leaves what a crash left")
		}
	}
	if left("kept") != 1 {
		t.Error("what is known for one that is there is gone")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, a.URL()+"/v1/marketplace/integrations/kept?organization_id=acme", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer a token of the administrator")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode >= 300 || left("kept") != 0 {
		t.Errorf("deleting answers %d and leaves %d", answer.StatusCode, left("kept"))
	}
}

package postgres

import (
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// many makes 12 000 deliveries of an integration, in a state since long ago.
func many(t *testing.T, e *Engine, k store.IntegrationKey, state store.DeliveryState) {
	t.Helper()
	if _, err := e.pool.Exec(t.Context(), `INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, next_at, updated_at)
		SELECT $1, $2, 'actito', decode(md5(n::text), 'hex'), $3, 2, n, n, CASE WHEN $3 = 'waiting' THEN n ELSE 0 END, n FROM generate_series(1, 12000) n`,
		k.Organization, k.ID, string(state)); err != nil {
		t.Fatal(err)
	}
}

// After an outage many have waited their time at once.
func TestPromoteIsBounded(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	k := integrate(t, e, "i")
	many(t, e, k, store.Waiting)
	var promoted []int64
	for range 4 {
		n, err := e.Promote(t.Context(), k, store.TargetActito)
		if err != nil {
			t.Fatal(err)
		}
		promoted = append(promoted, n)
	}
	if promoted[0] != mostPromoted || promoted[1] != mostPromoted || promoted[2] != 12000-2*mostPromoted || promoted[3] != 0 {
		t.Errorf("promoted are %d", promoted)
	}
	oldest, err := e.NextDue(t.Context(), k, store.TargetActito, store.Ordinary, 1)
	if err != nil || len(oldest) != 1 || oldest[0].ConsentAt != 1 {
		t.Errorf("the first is %+v, %v", oldest, err)
	}
}

// R18: a table that turns out to be gone may have made many unmatched.
func TestR18ManyAreReopened(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	k := integrate(t, e, "i")
	many(t, e, k, store.Unmatched)
	if err := e.Reopen(t.Context(), k, consent.Time(2000)); err != nil {
		t.Fatal(err)
	}
	if n := number(t, e, `SELECT count(*) FROM deliveries WHERE state = 'pending'`); n != 10000 {
		t.Errorf("%d are due", n)
	}
}

// Somebody whom another transaction holds meanwhile is reopened when it has
// ended.
func TestR18WhoIsHeldIsReopenedLater(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	k := integrate(t, e, "i")
	many(t, e, k, store.Unmatched)
	holding, err := e.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holding.Rollback(t.Context())
	for _, text := range []string{
		`SET LOCAL idle_in_transaction_session_timeout = 0`, // however slow the machine is
		`SELECT 1 FROM deliveries WHERE updated_at = 12000 FOR UPDATE`,
	} {
		if _, err := holding.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	reopened := make(chan error)
	go func() { reopened <- e.Reopen(t.Context(), k, 0) }()
	for number(t, e, `SELECT count(*) FROM deliveries WHERE state = 'pending'`) < 11999 {
		select {
		case err := <-reopened:
			t.Fatalf("it ended before all were reopened: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := holding.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-reopened; err != nil {
		t.Fatal(err)
	}
	if n := number(t, e, `SELECT count(*) FROM deliveries WHERE state = 'pending'`); n != 12000 {
		t.Errorf("%d are due", n)
	}
}

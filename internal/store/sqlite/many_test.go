package sqlite

import (
	"testing"

	"consentsync/internal/consent"
)

// R18: a table that turns out to be gone may have made many unmatched. They are
// reopened part by part; those who were unmatched before stay so.
func TestR18ManyAreReopened(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	k := integrate(t, e)
	if _, err := e.write.db.ExecContext(t.Context(), `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3500)
		INSERT INTO deliveries (organization, integration, target, person, state, class, consent_at, due_at, next_at, updated_at)
		SELECT ?, ?, 'actito', randomblob(16), 'unmatched', 2, n, n, 0, n FROM numbers`, k.Organization, k.ID); err != nil {
		t.Fatal(err)
	}
	if err := e.Reopen(t.Context(), k, consent.Time(1000)); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]int{"pending": 2500, "unmatched": 1000} {
		var n int
		if err := e.read.QueryRowContext(t.Context(), `SELECT count(*) FROM deliveries WHERE state = ? AND (updated_at > 1000) = (state = 'pending')`, state).Scan(&n); err != nil || n != want {
			t.Errorf("%d are %s, want %d (%v)", n, state, want, err)
		}
	}
}

package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store/pgtest"
)

// A database is looked at beside whoever works with it, and tells of what weakens
// it; one that can only be read is looked at too.
func TestInspect(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	if i, err := Inspect(t.Context(), address); err != nil || i.Schema != 0 || i.Newest == 0 || !strings.HasPrefix(i.Engine, "PostgreSQL ") {
		t.Errorf("an empty database: %+v, %v", i, err)
	}
	e, err := Open(t.Context(), address, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	i, err := e.Inspect(t.Context())
	if err != nil || i.Schema != e.knows || i.Newest != e.knows || i.Needs == 0 || i.ReadOnly {
		t.Errorf("an open database: %+v, %v; this program knows %d", i, err, e.knows)
	}
	if off := i.ReadAt.Sub(i.Clock.Std()); off.Abs() > time.Minute {
		t.Errorf("the clock is off by %v", off)
	}
	var name string
	if err := e.pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{name}.Sanitize()
	for _, setting := range []string{"default_transaction_read_only = on", "synchronous_commit = off"} {
		if _, err := e.pool.Exec(t.Context(), `ALTER DATABASE `+quoted+` SET `+setting); err != nil {
			t.Fatal(err)
		}
	}
	i, err = Inspect(t.Context(), address)
	if err != nil || !i.ReadOnly || !strings.Contains(strings.Join(i.Weak, " "), "synchronous_commit is off") {
		t.Errorf("a database that can only be read, and forgets: %+v, %v", i, err)
	}
}

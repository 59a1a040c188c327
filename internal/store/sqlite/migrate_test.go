package sqlite

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/pressly/goose/v3"
)

// A data directory of the first version goes on where it was: what was deleted
// stays deleted.
func TestAnOlderDatabaseIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "consentsync.db"))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO tombstones VALUES ('acme', x'01', 7), ('globex', x'01', 5)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir, Options{})
	got := e.rows(t, `SELECT organization, hex(entity), at FROM tombstones ORDER BY organization`)
	if len(got) != 2 || got[0][0] != "acme" || got[0][1] != "01" || got[0][2] != "7" || got[1][2] != "5" {
		t.Errorf("the tombstones are %v", got)
	}
}

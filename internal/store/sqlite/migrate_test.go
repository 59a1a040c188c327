package sqlite

import (
	"database/sql"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/pressly/goose/v3"
)

// A data directory of the first version goes on where it was: what was deleted
// stays deleted, and what was seen stays seen.
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
	if _, err := db.ExecContext(t.Context(), `INSERT INTO tombstones VALUES ('acme', x'01', 7), ('globex', x'01', 5);
		INSERT INTO ledger VALUES ('acme', x'01', x'02', x'abcd', 7), ('acme', x'01', x'03', x'0102', 8)`); err != nil {
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
	got = e.rows(t, `SELECT hex(slice), hex(entity), hex(content), hex(person), seen_at FROM ledger ORDER BY slice`)
	if want := [][]string{{"01", "01", "03", "0102", "8"}, {"AB", "01", "02", "ABCD", "7"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("the ledger is %v", got)
	}
	if on := e.rows(t, `PRAGMA secure_delete`); on[0][0] != "1" {
		t.Errorf("what is deleted from now on is not overwritten: %v", on)
	}
}

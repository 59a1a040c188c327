package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A database is looked at without being changed, and one in use not at all.
func TestInspect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Inspect(t.Context(), dir); !errors.Is(err, ErrNone) {
		t.Errorf("an empty directory gives %v", err)
	}
	e, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if i, err := e.Inspect(t.Context()); err != nil || i.Schema != i.Newest || i.Schema == 0 || i.ReadOnly || len(i.Weak) > 0 {
		t.Errorf("an open database: %+v, %v", i, err)
	}
	if _, err := Inspect(t.Context(), dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a directory in use gives %v", err)
	}
	if _, err := e.write.db.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := Inspect(t.Context(), dir); err != nil || i.Schema >= i.Newest || i.Schema == 0 {
		t.Errorf("an older database: %+v, %v", i, err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, databaseFile)); err != nil || string(before) != string(after) {
		t.Errorf("the look changed the database: %v", err)
	}
}

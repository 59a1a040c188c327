package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/pgtest"
)

// newer changes the schema as a program would that is newer by a version.
func newer(t *testing.T, e *Engine, by int64, statements string) error {
	t.Helper()
	return e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("%s; INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, true)", statements, e.knows+by))
		return err
	})
}

// A program goes on working on a schema that a newer one has expanded, and can
// be started on it.
func TestAnExpandedSchemaIsUsed(t *testing.T) {
	t.Parallel()
	running := ready(t, pgtest.Database(t))
	accept := func(e *Engine, id string) {
		t.Helper()
		if _, err := e.Accept(t.Context(), []store.Inbound{says(id, "ana", true, 1)}); err != nil {
			t.Error(err)
		}
		if _, err := e.Acquire(t.Context(), "node"); err != nil {
			t.Error(err)
		}
		if !on(t, e, "ana") {
			t.Error("what was accepted is not there")
		}
	}
	accept(running, "before")
	if err := newer(t, running, 1, "ALTER TABLE people ADD COLUMN nickname text NOT NULL DEFAULT ''; CREATE TABLE more (n integer)"); err != nil {
		t.Fatal(err)
	}
	accept(running, "after")
	accept(ready(t, running.pool.Config().ConnString()), "started after")
	if n := number(t, running, `SELECT count(*) FROM events`); n != 3 {
		t.Errorf("%d events", n)
	}
}

// A schema is contracted only when no program runs that needs what goes. One
// that was overlooked ends, and cannot be started.
func TestAContractedSchemaIsNotUsed(t *testing.T) {
	t.Parallel()
	e := ready(t, pgtest.Database(t))
	if _, err := e.Acquire(t.Context(), "web-1"); err != nil {
		t.Fatal(err)
	}
	contract := fmt.Sprintf("SELECT contract(%d); ALTER TABLE people DROP COLUMN didomi_users", e.knows+1)
	err := newer(t, e, 2, contract)
	if err == nil || !strings.Contains(err.Error(), "web-1") {
		t.Fatalf("while a node runs: %v", err)
	}
	if n := number(t, e, `SELECT oldest FROM compatibility`); n > e.knows {
		t.Errorf("it was refused, and version %d is needed", n)
	}
	// The node was cut off, and is not seen any more.
	if _, err := e.pool.Exec(t.Context(), "UPDATE nodes SET seen_at = seen_at - $1", (16 * time.Second).Microseconds()); err != nil {
		t.Fatal(err)
	}
	if err := newer(t, e, 2, contract); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Acquire(t.Context(), "web-1"); !errors.Is(err, store.ErrOutdated) || consent.KindOf(err) == consent.Transient {
		t.Errorf("a program that runs: %v", err)
	}
	if again, err := Open(t.Context(), e.pool.Config().ConnString(), Options{}); !errors.Is(err, store.ErrOutdated) {
		t.Errorf("one that is started: %v", err)
		if err == nil {
			_ = again.Close()
		}
	}
}

// What older programs could not work with begins with contract(version), and
// a new column has a value where they write none.
func TestMigrationsExpandOrSayThatTheyDoNot(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		if name >= "migrations/0005" { // before, nobody ran several versions
			for _, problem := range unsafeFor(string(text)) {
				t.Errorf("%s: %s", name, problem)
			}
		}
	}
	for text, want := range map[string]int{
		"ALTER TABLE people ADD COLUMN x text NOT NULL DEFAULT ''":            0,
		"ALTER TABLE people ADD COLUMN x text":                                0,
		"CREATE TABLE t (x text NOT NULL)":                                    0,
		"ALTER TABLE people ADD COLUMN x text NOT NULL":                       1,
		"ALTER TABLE people\n  DROP COLUMN x":                                 1,
		"alter table people rename column x TO y":                             1,
		"DROP TABLE people":                                                   1,
		"ALTER TABLE people ALTER COLUMN x TYPE bigint":                       1,
		"ALTER TABLE people ALTER x SET NOT NULL":                             1,
		"SELECT contract(4);\nDROP TABLE people":                              0,
		"CREATE TABLE t (x text);\n-- +goose Down\nDROP TABLE t":              0,
		"ALTER TABLE people ADD CONSTRAINT c CHECK (x <> '')":                 1,
		"CREATE UNIQUE INDEX people_x ON people (organization, x)":            1,
		"CREATE INDEX people_x ON people (organization, x) WHERE x <> 'DROP'": 0,
	} {
		if got := unsafeFor(text); len(got) != want {
			t.Errorf("%s: problems %q, want %d", text, got, want)
		}
	}
}

var (
	contracts = regexp.MustCompile(`(?i)\b(DROP\s+(TABLE|COLUMN)|RENAME|SET\s+NOT\s+NULL|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE|ADD\s+CONSTRAINT|CREATE\s+UNIQUE\s+INDEX)\b`)
	newColumn = regexp.MustCompile(`(?i)ADD\s+COLUMN\s[^;]*`)
)

// unsafeFor tells what of a migration programs of the version before could not
// work with.
func unsafeFor(text string) (problems []string) {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	if !strings.Contains(up, "SELECT contract(") {
		for _, found := range contracts.FindAllString(up, -1) {
			problems = append(problems, found+" without contract(version)")
		}
	}
	for _, c := range newColumn.FindAllString(up, -1) {
		if upper := strings.ToUpper(c); strings.Contains(upper, "NOT NULL") && !strings.Contains(upper, "DEFAULT") {
			problems = append(problems, c+" without a default")
		}
	}
	return problems
}

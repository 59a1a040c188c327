package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// rowsOf gives how many rows of a table were counted.
func rowsOf(c Contents, table string) int64 {
	for _, t := range c.Rows {
		if t.Table == table {
			return t.Rows
		}
	}
	return -1
}

// A backup that is made while webhooks are accepted holds one moment: all that
// was acknowledged before it was begun, and of every event all or nothing.
func TestABackupWhileWebhooksComeIn(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "b?ck%41up.db")
	e := open(t, dir, Options{})
	for n := range 50 {
		accept(t, e, withdrawal(fmt.Sprint("before ", n)))
	}
	ctx, stop := context.WithCancel(t.Context())
	var during atomic.Int64
	ended := make(chan error)
	go func() {
		var err error
		for err == nil && ctx.Err() == nil {
			_, err = e.Accept(context.WithoutCancel(ctx), []store.Inbound{withdrawal(fmt.Sprint("during ", during.Add(1)))})
		}
		ended <- err
	}()
	c, err := Backup(t.Context(), dir, file)
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || info.Size() != c.Bytes {
		t.Errorf("the file is %v, %v; told were %d bytes", info, err, c.Bytes)
	}
	events := rowsOf(c, "events")
	if events < 50 || events > 50+during.Load() || rowsOf(c, "ledger") != events || rowsOf(c, "payloads") != events {
		t.Errorf("after 50 events, and %d meanwhile, it holds %+v", during.Load(), c.Rows)
	}
	alone(t, file)
}

// alone wants no other file in the folder of a file.
func alone(t *testing.T, file string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file there are %v, %v", entries, err)
	}
}

func backedUp(t *testing.T) (file string) {
	t.Helper()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	e := open(t, dir, Options{})
	if err := e.SetFeature(t.Context(), "acme", true); err != nil {
		t.Fatal(err)
	}
	integrate(t, e)
	accept(t, e, withdrawal("e"))
	if _, err := Backup(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func fine(context.Context, *Engine) error { return nil }

// What comes back is what was backed up, but for the integrations, which wait
// for somebody.
func TestRestore(t *testing.T) {
	t.Parallel()
	file, dir := backedUp(t), filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(filepath.Join(dir, restoring), 0o700); err != nil { // of one that was killed
		t.Fatal(err)
	}
	for _, name := range []string{"master-key", "admin-token", filepath.Join(restoring, databaseFile)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	checked := false
	c, paused, err := Restore(t.Context(), file, dir, func(context.Context, *Engine) error {
		checked = true
		return nil
	})
	if err != nil || paused != 1 || !checked || rowsOf(c, "events") != 1 {
		t.Fatalf("paused %d, checked %v, %+v, %v", paused, checked, c, err)
	}
	if _, err := os.Stat(filepath.Join(dir, restoring)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	e := open(t, dir, Options{})
	if r := accept(t, e, withdrawal("e"))[0]; r.Outcome != consent.Duplicate {
		t.Errorf("the ledger has forgotten: %+v", r)
	}
	i, err := e.Integration(t.Context(), store.IntegrationKey{Organization: "acme", ID: "i"})
	if err != nil || i.Status != store.Paused || !i.Snapshot.HoldsGrants() {
		t.Errorf("the integration is %+v, %v", i, err)
	}
	if at, err := e.RestoredAt(t.Context(), "acme"); err != nil || at != i.Snapshot.RestoredAt {
		t.Errorf("restored at %v, %v", at, err)
	}
	alone(t, file)
}

// A restore that fails leaves no database behind.
func TestARestoreThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	file, dir := backedUp(t), t.TempDir()
	wrong := errors.New("wrong key")
	if _, _, err := Restore(t.Context(), file, dir, func(context.Context, *Engine) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got error %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("it leaves %v, %v", entries, err)
	}
	if _, _, err := Restore(t.Context(), file, dir, fine); err != nil {
		t.Errorf("it cannot be tried again: %v", err)
	}
}

func TestWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	changed := func(t *testing.T, change func(t *testing.T, file string)) string {
		t.Helper()
		file := backedUp(t)
		change(t, file)
		return file
	}
	exec := func(statement string) func(t *testing.T, file string) {
		return func(t *testing.T, file string) {
			t.Helper()
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), statement)
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, x := range map[string]struct {
		file func(t *testing.T) string
		want string
	}{
		"nothing": {func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "none") }, "no such file"},
		"another file": {func(t *testing.T) string {
			t.Helper()
			return changed(t, func(t *testing.T, file string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(strings.Repeat("text ", 100)), 0o600); err != nil {
					t.Fatal(err)
				}
			})
		}, "is no SQLite file"},
		"another database": {func(t *testing.T) string { t.Helper(); return changed(t, exec(`DROP TABLE goose_db_version`)) }, "is no database of consentsync"},
		"a newer one": {func(t *testing.T) string {
			t.Helper()
			return changed(t, exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`))
		}, "a newer consentsync"},
		"one that is in use": {func(t *testing.T) string { t.Helper(); return changed(t, exec(`PRAGMA journal_mode = wal`)) }, "whose log may be missing"},
		"an index that lacks a row": {func(t *testing.T) string {
			t.Helper()
			return changed(t, exec(`PRAGMA writable_schema = on;
				UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'deliveries_next') WHERE name = 'integrations_by_id'`))
		}, "is damaged"},
		"a damaged one": {func(t *testing.T) string {
			t.Helper()
			return changed(t, func(t *testing.T, file string) {
				t.Helper()
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for i := 8 * 4096; i < len(data); i += 7 {
					data[i] ^= 0xff
				}
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
			})
		}, ""},
		"a part of one": {func(t *testing.T) string {
			t.Helper()
			return changed(t, func(t *testing.T, file string) {
				t.Helper()
				if err := os.Truncate(file, 5*4096); err != nil {
					t.Fatal(err)
				}
			})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, dir := x.file(t), t.TempDir()
			_, _, err := Restore(t.Context(), file, dir, fine)
			if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got error %v, want %q and which file", err, x.want)
			}
			if _, err := os.Stat(filepath.Join(dir, databaseFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a database: %v", err)
			}
		})
	}
}

func TestWhereNothingIsRestored(t *testing.T) {
	t.Parallel()
	file, used := backedUp(t), t.TempDir()
	e := open(t, used, Options{})
	accept(t, e, withdrawal("e2"))
	if _, _, err := Restore(t.Context(), file, used, fine); err == nil || !strings.Contains(err.Error(), "in use by another") {
		t.Errorf("a server runs: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "consentsync.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Restore(t.Context(), file, other, fine); err == nil || !strings.Contains(err.Error(), "is not empty (consentsync.db-wal)") {
		t.Errorf("there is a log: %v", err)
	}
}

func TestWhereNothingIsBackedUp(t *testing.T) {
	t.Parallel()
	file := backedUp(t)
	dir := t.TempDir()
	open(t, dir, Options{})
	if _, err := Backup(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over another file: %v", err)
	}
	if _, err := Backup(t.Context(), dir, filepath.Join(dir, databaseFile)); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over the database itself: %v", err)
	}
	to := filepath.Join(t.TempDir(), "new")
	if _, err := Backup(t.Context(), t.TempDir(), to); err == nil || !strings.Contains(err.Error(), "there is no database in") {
		t.Errorf("of nothing: %v", err)
	}
	half := t.TempDir()
	e := open(t, half, Options{})
	if err := e.BeginCopy(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), half, to); err == nil || !strings.Contains(err.Error(), "unfinished copy") {
		t.Errorf("of an unfinished copy: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, dir, to); err == nil {
		t.Error("it goes on though it was interrupted")
	}
	if entries, err := os.ReadDir(filepath.Dir(to)); err != nil || len(entries) > 0 {
		t.Errorf("something is left: %v, %v", entries, err)
	}
}

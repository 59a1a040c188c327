package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/storetest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) storetest.Engine {
		t.Helper()
		return open(t, t.TempDir(), Options{Now: clock})
	})
}

func TestTampering(t *testing.T) {
	t.Parallel()
	storetest.RunTampering(t, func(t *testing.T, clock func() time.Time) storetest.Engine {
		t.Helper()
		return open(t, t.TempDir(), Options{Now: clock})
	}, func(ctx context.Context, e storetest.Engine, statement string) error {
		_, err := e.(*Engine).write.db.ExecContext(ctx, statement)
		return err
	})
}

// open opens a database that is closed with the test.
func open(t *testing.T, dir string, opts Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	e.UseHasher(hasher)
	return e
}

var hasher = store.NewHasher([]byte("a key for tests"))

// withdrawal is a webhook by which ana refuses the purpose p.
func withdrawal(id string) store.Inbound {
	return store.Inbound{
		Organization: "acme", Canonical: []byte(id), Payload: []byte("payload of " + id),
		Message: &consent.Message{
			Type: consent.EventCreated, EntityID: id, OrganizationUserID: "ana", Regulation: "gdpr", CreatedAt: 1,
			Choices: []consent.Said{{Choice: consent.Choice{Kind: consent.OfPurpose, Purpose: "p"}}},
		},
	}
}

var ana = hasher.Person("acme", consent.Subject{OrganizationUserID: "ana"})

func accept(t *testing.T, e *Engine, in ...store.Inbound) []store.Receipt {
	t.Helper()
	receipts, err := e.Accept(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}

// events counts what is traced of ana.
func events(t *testing.T, e *Engine) int {
	t.Helper()
	trace, err := e.Trace(t.Context(), "acme", []store.PersonKey{ana}, 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(trace.Events)
}

func integrate(t *testing.T, e *Engine) store.IntegrationKey {
	t.Helper()
	i := &store.Integration{Organization: "acme", ID: "i", Status: store.Active, Revision: 1, Licence: "licence"}
	if err := e.CreateIntegration(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	return store.IntegrationKey{Organization: "acme", ID: "i"}
}

func TestADirectoryBelongsToOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), dir, Options{})
	if want := "data directory " + dir + " is in use by another consentsync process"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
	first.UseHasher(hasher)
	accept(t, first, withdrawal("e")) // the refused one did no harm
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if n := events(t, open(t, dir, Options{})); n != 1 {
		t.Errorf("%d events", n)
	}
}

func TestTheDirectoryMayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a?b#c%41 d&e")
	e := open(t, dir, Options{})
	accept(t, e, withdrawal("e"))
	if n := events(t, e); n != 1 {
		t.Errorf("%d events", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "consentsync.db")); err != nil {
		t.Error(err)
	}
}

// What was acknowledged is there after a proper end, and after none: then the
// next process finds the files as they are.
func TestAllIsThereAfterwards(t *testing.T) {
	t.Parallel()
	dir, crashed := t.TempDir(), t.TempDir()
	e, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	e.UseHasher(hasher)
	k := integrate(t, e)
	receipts := accept(t, e, withdrawal("e"))
	held, err := e.Acquire(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	delivery := store.DeliveryKey{Organization: "acme", Integration: k.ID, Target: store.TargetActito, Person: ana}
	ok, err := e.Begin(t.Context(), held[0], store.Start{DeliveryKey: delivery, Version: 1, Call: store.Call{Organization: "acme", Person: ana, ID: store.NewID()}})
	if err != nil || !ok {
		t.Fatalf("the call may not begin: %v", err)
	}
	for _, name := range []string{"consentsync.db", "consentsync.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for end, dir := range map[string]string{"closed": dir, "crashed": crashed} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			e := open(t, dir, Options{})
			if r := accept(t, e, withdrawal("e"))[0]; r.Outcome != consent.Duplicate {
				t.Errorf("the ledger has forgotten: %+v", r)
			}
			p, err := e.Person(t.Context(), "acme", ana)
			if err != nil || len(p.View().Choices) != 1 {
				t.Errorf("the person is %+v, %v", p, err)
			}
			salt, body, err := e.Payload(t.Context(), "acme", receipts[0].Event)
			if err != nil || !bytes.Equal(body, withdrawal("e").Payload) {
				t.Errorf("the payload is %q, %v", body, err)
			}
			trace, err := e.Trace(t.Context(), "acme", []store.PersonKey{ana}, 10)
			if err != nil || len(trace.Events) != 1 || len(trace.Calls) != 1 || trace.Events[0].Commitment != sha256.Sum256(append(salt[:], body...)) {
				t.Errorf("the trace is %+v, %v", trace, err)
			}
			// Whoever held the lease is dead, though it has not expired.
			now, err := e.Acquire(t.Context(), "another")
			if err != nil || len(now) != 1 || !now[0].Taken || now[0].Epoch != held[0].Epoch+1 {
				t.Errorf("the lease is %+v, %v", now, err)
			}
			d, err := e.Delivery(t.Context(), delivery)
			if err != nil || d.State != store.Pending || d.Readback != 2 {
				t.Errorf("what was in flight is %+v, %v", d, err)
			}
		})
	}
}

// A checkpoint must itself sync what it moves; what is committed is synced by
// us.
func TestCheckpointsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	for name, db := range map[string]*sql.DB{"write": e.write.db, "checkpoint": e.checkpoint.db} {
		var mode string
		var synchronous int
		if err := db.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous); err != nil {
			t.Fatal(err)
		}
		if mode != "wal" || synchronous != 1 {
			t.Errorf("%s: journal_mode is %s, synchronous is %d", name, mode, synchronous)
		}
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, path string) {
		t.Helper()
		if err := os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, x := range map[string]struct {
		prepare func(t *testing.T, dir string) string
		want    string
	}{
		"another file": {func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "consentsync.db"))
			return dir
		}, "consentsync.db: "},
		"a folder in its place": {func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "consentsync.db"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "consentsync.db: "},
		"a file instead of the directory": {func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"))
			return filepath.Join(dir, "file")
		}, "data directory: "},
		"a newer database": {func(t *testing.T, dir string) string {
			e, err := Open(t.Context(), dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.write.db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "was made by a newer consentsync"},
		"a directory that nobody may make": {func(*testing.T, string) string { return "/proc/consentsync" }, "data directory: "},
		"a database that is none": {func(t *testing.T, dir string) string {
			if err := os.Mkdir(filepath.Join(dir, "consentsync.db"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "consentsync.db: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := x.prepare(t, t.TempDir())
			e, err := Open(t.Context(), dir, Options{})
			if err == nil {
				_ = e.Close()
				t.Fatal("it is opened all the same")
			}
			if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), x.want) {
				t.Errorf("the error %q does not say %q and where", err, x.want)
			}
		})
	}
}

// The data directory may be one that others can look into; the database is not.
func TestOnlyTheOwnerReadsTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	e := open(t, dir, Options{})
	if err := e.SetFeature(t.Context(), "acme", true); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("there are %v: %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %v: %v", f, info.Mode(), err)
		}
	}
}

package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// wantTransient expects the failure of a database that may work again.
func wantTransient(t *testing.T, err error) {
	t.Helper()
	if err == nil || consent.KindOf(err) != consent.Transient || consent.RetryAfter(err) == 0 {
		t.Errorf("got error %v, want a transient one that says when to come again", err)
	}
}

func TestLockedByAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(t, dir, Options{BusyTimeout: 20 * time.Millisecond})
	accept(t, e, withdrawal("before"))
	outside, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "consentsync.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	tx, err := outside.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Accept(t.Context(), []store.Inbound{withdrawal("during")})
	wantTransient(t, err)
	wantTransient(t, e.Ping(t.Context()))
	if n := events(t, e); n != 1 {
		t.Errorf("%d events can be read while it is locked, want 1", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := e.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if r := accept(t, e, withdrawal("during"))[0]; r.Outcome == consent.Duplicate || events(t, e) != 2 {
		t.Errorf("what was refused has left traces: %+v", r)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	k := integrate(t, e)
	pages := func(most string) {
		t.Helper()
		if _, err := e.write.db.Exec("PRAGMA max_page_count = " + most); err != nil {
			t.Fatal(err)
		}
	}
	pages("1") // which counts as: no more than there are
	big := withdrawal("big")
	big.Payload = bytes.Repeat([]byte("x"), 1<<20)
	for range 2 { // the first failure must not spoil the connection
		_, err := e.Accept(t.Context(), []store.Inbound{withdrawal("small"), big})
		wantTransient(t, err)
	}
	if n := events(t, e); n != 0 {
		t.Errorf("%d events after a failure", n)
	}
	if _, err := e.Person(t.Context(), "acme", ana); consent.KindOf(err) != consent.NotFound {
		t.Errorf("the person after a failure: %v", err)
	}
	if due, err := e.NextDue(t.Context(), k, store.TargetActito, store.LiveWithdrawal, 10); err != nil || len(due) > 0 {
		t.Errorf("due after a failure: %v, %v", due, err)
	}
	pages("1000000")
	for _, r := range accept(t, e, withdrawal("small"), big) {
		if r.Outcome == consent.Duplicate {
			t.Errorf("what was refused has left traces: %+v", r)
		}
	}
	var integrity string
	if err := e.write.db.QueryRow("PRAGMA integrity_check").Scan(&integrity); err != nil || integrity != "ok" {
		t.Errorf("integrity: %s, %v", integrity, err)
	}
}

// What lies in the data would come again: to call it transient would have the
// message sent, and refuse its batch-mates, for ever.
func TestFaultsOfTheDataAreNotTransient(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	for text, want := range map[string]consent.Kind{
		"INSERT INTO secret_keys (name) VALUES ('x')":                               consent.Internal, // NOT NULL
		"INSERT INTO secret_keys (name, sealed) VALUES ('x', 1)":                    consent.Internal, // a type
		"INSERT INTO nothing VALUES (1)":                                            consent.Internal,
		"INSERT INTO secret_keys (name, sealed) VALUES ('x', zeroblob(2000000000))": consent.Internal, // too big
		"INSERT INTO secret_keys (name, sealed) VALUES ('x', x''), ('x', x'')":      consent.Conflict, // the key
		// another index
		"INSERT INTO integrations (organization, id, status, revision, licence, settings, sealed, snapshot, created_at, updated_at)" +
			" SELECT 'b', 'i', '', 1, '', '', x'', '', 1, 1 UNION ALL SELECT 'a', 'i', '', 1, '', '', x'', '', 1, 1": consent.Conflict,
	} {
		err := e.inTx(t.Context(), func(tx *transaction) error {
			_, err := tx.ExecContext(t.Context(), text)
			return err
		})
		if err == nil || consent.KindOf(err) != want {
			t.Errorf("%s: got error %v, want one of kind %v", text, err, want)
		}
	}
}

// A request that ends must not leave the only writer in a transaction.
func TestACancelledWriteLeavesTheWriterFree(t *testing.T) {
	t.Parallel()
	e := open(t, t.TempDir(), Options{})
	for n := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = e.Accept(ctx, []store.Inbound{withdrawal(fmt.Sprint("cancelled ", n))})
		}()
		cancel()
		<-done
	}
	accept(t, e, withdrawal("after"))
	if err := e.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store"
	"consentsync/internal/store/pgtest"
)

// What lies in the data would come again: to call it transient would have the
// message sent, and refuse its batch-mates, for ever.
func TestFaultsOfTheDataAreNotTransient(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	for text, want := range map[string]consent.Kind{
		"INSERT INTO secret_keys (name) VALUES ('x')":                        consent.Internal, // NOT NULL
		"INSERT INTO nothing VALUES (1)":                                     consent.Internal,
		"INSERT INTO secret_keys (name, sealed) VALUES ('x', ''), ('x', '')": consent.Conflict,
		"SELECT 1/0": consent.Internal,
		"INSERT INTO pings (at) VALUES (9223372036854775807 + 1)":       consent.Internal,
		"SELECT pg_terminate_backend(pg_backend_pid())":                 consent.Transient,
		"SET LOCAL lock_timeout = 1; SELECT pg_advisory_xact_lock(1)":   consent.Transient,
		"SET LOCAL transaction_read_only = on; UPDATE pings SET at = 1": consent.Transient,
	} {
		var held sync.WaitGroup
		release := make(chan struct{})
		if strings.Contains(text, "lock_timeout") {
			locked := make(chan struct{})
			held.Go(func() {
				_ = e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
					_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(1)")
					close(locked)
					<-release
					return err
				})
			})
			<-locked
		}
		err := e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
			_, err := tx.Exec(ctx, text)
			return err
		})
		close(release)
		held.Wait()
		if err == nil || consent.KindOf(err) != want {
			t.Errorf("%s: got error %v, want one of kind %v", text, err, want)
		}
	}
	if err := e.Ping(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A transaction that others make impossible is tried again, but not for ever.
func TestATransactionIsTriedAgain(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	const fail = `DO $$ BEGIN RAISE EXCEPTION 'for a test' USING ERRCODE = '40001'; END $$`
	tries := 0
	err := e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		if tries++; tries < 4 {
			_, err := tx.Exec(ctx, fail)
			return err
		}
		return nil
	})
	if err != nil || tries != 4 {
		t.Errorf("%d tries, %v", tries, err)
	}
	tries = 0
	err = e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		tries++
		_, err := tx.Exec(ctx, fail)
		return err
	})
	wantTransient(t, err)
	if tries != mostTries {
		t.Errorf("%d tries", tries)
	}
	// What fails within, and is swallowed, must not count as committed.
	err = e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		_, _ = tx.Exec(ctx, "SELECT 1/0")
		return nil
	})
	if err == nil {
		t.Error("a transaction that was rolled back counts as committed")
	}
}

// The network between a node and the database is cut, and healed.
func TestTheConnectionIsCut(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	p := pgtest.NewProxy(t)
	e := ready(t, p.Address(direct))
	accept := func(id string) error {
		_, err := e.Accept(t.Context(), []store.Inbound{says(id, "ana", true, 1)})
		return err
	}
	if err := accept("before"); err != nil {
		t.Fatal(err)
	}
	p.Cut()
	wantTransient(t, accept("during"))
	wantTransient(t, e.Ping(t.Context()))
	_, err := e.Person(t.Context(), "acme", person("ana"))
	wantTransient(t, err)
	_, err = e.Acquire(t.Context(), "node")
	wantTransient(t, err)
	p.Mend()
	if err := accept("during"); err != nil {
		t.Fatalf("it does not connect again: %v", err)
	}
	if n := number(t, e, `SELECT count(*) FROM events`); n != 2 {
		t.Errorf("%d events", n)
	}
}

// When the connection is lost during the COMMIT nobody knows whether it was
// done. Then the webhook is not acknowledged, and comes again as a duplicate.
func TestTheConnectionIsLostDuringTheCommit(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	p := pgtest.NewProxy(t)
	e := ready(t, p.Address(direct))
	commit := "Q\x00\x00\x00\x0bcommit\x00"
	for _, id := range []string{"one", "two"} {
		p.Eat(commit)
		_, err := e.Accept(t.Context(), []store.Inbound{says(id, "ana", true, 1)})
		wantTransient(t, err)
		var r []store.Receipt
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			if r, err = e.Accept(t.Context(), []store.Inbound{says(id, "ana", true, 1)}); err == nil {
				break
			}
		}
		if err != nil || r[0].Outcome != consent.Duplicate {
			t.Errorf("sent again it is %v, %v", r, err)
		}
	}
	if n := number(t, e, `SELECT count(*) FROM events`); n != 2 {
		t.Errorf("%d events", n)
	}
}

// A node that freezes within a transaction holds its locks for a while only.
func TestAFrozenTransactionIsEnded(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	frozen := ready(t, address+"&idle_in_transaction_session_timeout=300ms")
	other := ready(t, address)
	err := frozen.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		if _, err := tx.Exec(ctx, `UPDATE pings SET at = 1`); err != nil {
			return err
		}
		if err := other.Ping(ctx); err != nil { // waits for the lock
			t.Errorf("the other node: %v", err)
		}
		_, err := tx.Exec(ctx, `UPDATE pings SET at = 2`)
		return err
	})
	wantTransient(t, err)
	if got := usualParams["idle_in_transaction_session_timeout"]; got != "5s" || store.LeaseLife < 10*time.Second {
		t.Errorf("a frozen node holds its locks for %s, its leases for %v", got, store.LeaseLife)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	e := ready(t, pgtest.Database(t)) // and so the schema is made
	if _, err := e.pool.Exec(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true); UPDATE compatibility SET oldest = 999"); err != nil {
		t.Fatal(err)
	}
	newer := e.pool.Config().ConnString()
	readonly := migrated(t)
	for name, x := range map[string]struct{ address, want string }{
		"nobody listens":     {"postgres://postgres@127.0.0.1:1/x?connect_timeout=2", "--database: "},
		"no address":         {"postgres://%zz", "--database: "},
		"a newer database":   {newer, "was changed for a newer consentsync: run that version (it needs version 999 of the schema"},
		"no such database":   {strings.Replace(readonly, "/test", "/none", 1), "does not exist"},
		"only to be read":    {readonly + "&default_transaction_read_only=on", "it is a standby"},
		"a secret in it":     {"postgres://u:topsecret@127.0.0.1:1/x", "--database: "},
		"a secret, no parse": {"postgres://u:topsecret@127.0.0.1:none/x", "--database: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := Open(t.Context(), x.address, Options{})
			if err == nil {
				_ = e.Close()
				t.Fatal("it is opened all the same")
			}
			if !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("the error %q does not say %q, or says too much", err, x.want)
			}
		})
	}
}

// Of several hosts the one that can be written to is used.
func TestSeveralHosts(t *testing.T) {
	t.Parallel()
	direct := migrated(t)
	p := pgtest.NewProxy(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	address := strings.Replace(p.Address(direct), "@", "@"+dead.Addr().String()+",", 1)
	e := ready(t, address)
	if err := e.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	address := migrated(t)
	e := ready(t, address)
	if w := e.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "fsync is off") {
		t.Errorf("the warnings are %q", w)
	}
	e = ready(t, address+"&synchronous_commit=off")
	if w := e.Warnings(); len(w) != 2 || !strings.HasPrefix(w[0], "synchronous_commit is off") {
		t.Errorf("the warnings are %q", w)
	}
	if n := e.pool.Config().MaxConns; n != mostConnections {
		t.Errorf("%d connections at most", n)
	}
	if n := ready(t, address+"&pool_max_conns=3").pool.Config().MaxConns; n != 3 {
		t.Errorf("%d connections at most, want 3", n)
	}
}

// Nodes that start at once make the schema together.
func TestNodesStartAtOnce(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			e, err := Open(t.Context(), address, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := errors.Join(e.Ping(t.Context()), e.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Without a clock of a test the database's counts, to the microsecond.
func TestTheClockIsTheDatabases(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	for range 3 {
		before := number(t, e, `SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
		now, err := e.Now(t.Context())
		after := number(t, e, `SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`)
		if err != nil || int64(now) < before || int64(now) > after {
			t.Errorf("%d is not between %d and %d: %v", now, before, after, err)
		}
		if err := e.inTx(t.Context(), func(_ context.Context, tx *tx) error {
			if int64(tx.now) < after {
				t.Errorf("a transaction begins at %d, after %d", tx.now, after)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// A merge waits for no disk, an accept does, whatever was done before on its
// connection.
func TestAcceptWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t)+"&pool_max_conns=1")
	if _, err := e.Merge(t.Context(), store.InboxKey{Organization: "acme"}, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.inTx(t.Context(), func(ctx context.Context, tx *tx) error {
		var mode string
		err := tx.QueryRow(ctx, "SHOW synchronous_commit").Scan(&mode)
		if mode != "on" {
			t.Errorf("synchronous_commit is %s", mode)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"consentsync/internal/consent"
	"consentsync/internal/store/pgtest"
	"consentsync/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestEngine(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, clock func() time.Time) storetest.Engine {
		t.Helper()
		return open(t, migrated(t), Options{Now: clock})
	})
}

func TestTampering(t *testing.T) {
	t.Parallel()
	storetest.RunTampering(t, func(t *testing.T, clock func() time.Time) storetest.Engine {
		t.Helper()
		return open(t, migrated(t), Options{Now: clock})
	}, func(ctx context.Context, e storetest.Engine, statement string) error {
		_, err := e.(*Engine).pool.Exec(ctx, statement)
		return err
	})
}

// migrated makes a database with the schema.
func migrated(t *testing.T) string {
	t.Helper()
	return pgtest.Prepared(t, "migrated", func(address string) error {
		e, err := Open(context.Background(), address, Options{})
		if err != nil {
			return err
		}
		return e.Close()
	}, emptied...)
}

// emptied makes a database as the migrations leave it.
var emptied = []string{`DO $$ DECLARE t text; BEGIN
	FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname NOT IN ('goose_db_version', 'pings', 'compatibility')
	LOOP EXECUTE format('DELETE FROM %I', t); END LOOP;
END $$`, `ALTER SEQUENCE epochs RESTART`}

// open opens a database, which is closed with the test.
func open(t *testing.T, address string, opts Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// A text that PostgreSQL cannot hold, wherever it comes from, is its sender's
// fault and not ours.
func TestTextsThatCannotBeAskedFor(t *testing.T) {
	t.Parallel()
	e := ready(t, migrated(t))
	for _, id := range []string{"a\x00b", "\xff"} {
		if _, _, err := e.Feature(t.Context(), id); err == nil || consent.KindOf(err) != consent.Invalid {
			t.Errorf("%q is answered with %v", id, err)
		}
	}
}

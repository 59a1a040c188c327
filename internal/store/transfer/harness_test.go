package transfer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/store"
	"consentsync/internal/store/pgtest"
	"consentsync/internal/store/postgres"
	"consentsync/internal/store/sqlite"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// closing is a database that can be closed and opened again.
type closing interface {
	Database
	Close() error
}

// place is where a database is; open opens it for a copy.
type place struct {
	name string
	open func(ctx context.Context) (closing, error)
	// serve opens it as a server does.
	serve func(ctx context.Context) (server, error)
	// exec runs a statement in a PostgreSQL.
	exec func(t *testing.T, statement string) error
}

type server interface {
	Acquire(ctx context.Context, node string) ([]store.Lease, error)
	SetFeature(ctx context.Context, organization string, actito bool, changes ...store.Change) error
	Close() error
}

func directory(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{
		"SQLite",
		func(ctx context.Context) (closing, error) { return sqlite.Open(ctx, dir, sqlite.Options{Copy: true}) },
		func(ctx context.Context) (server, error) { return sqlite.Open(ctx, dir, sqlite.Options{}) },
		nil,
	}
}

func address(t *testing.T) place {
	t.Helper()
	address := pgtest.Database(t)
	return place{
		"PostgreSQL",
		func(ctx context.Context) (closing, error) {
			return postgres.Open(ctx, address, postgres.Options{Copy: true})
		},
		func(ctx context.Context) (server, error) { return postgres.Open(ctx, address, postgres.Options{}) },
		func(t *testing.T, statement string) error {
			t.Helper()
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				return err
			}
			defer conn.Close(t.Context())
			_, err = conn.Exec(t.Context(), statement)
			return err
		},
	}
}

// with opens a place, and closes it when f has ended.
func (p place) with(t *testing.T, f func(d Database)) {
	t.Helper()
	d, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	f(d)
}

// copyTo copies all of p, a few rows at a time.
func (p place) copyTo(t *testing.T, to place) (result *Result, err error) {
	t.Helper()
	p.with(t, func(from Database) {
		to.with(t, func(to Database) { result, err = Copy(t.Context(), from, to, Options{PageRows: 3}) })
	})
	return result, err
}

func (p place) mustCopyTo(t *testing.T, to place) *Result {
	t.Helper()
	result, err := p.copyTo(t, to)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// fill makes an installation of any content: every table has rows rows.
func (p place) fill(t *testing.T, seed uint64, rows int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	p.with(t, func(d Database) {
		must(t, d.BeginCopy(t.Context(), "filled"))
		for i := range store.Tables {
			table := &store.Tables[i]
			var all []store.CopyRow
			for n := range rows {
				all = append(all, row(r, table, n, p.name == "SQLite"))
			}
			must(t, d.WriteRows(t.Context(), table, all, store.CopyState{}))
		}
		must(t, d.EndCopy(t.Context()))
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// row makes one row of a table. Its texts and bytes hold n, so that no key is
// there twice; those of SQLite may hold any bytes where they are no keys.
func row(r *rand.Rand, t *store.Table, n int, anyBytes bool) store.CopyRow {
	var row store.CopyRow
	for i, c := range t.Columns() {
		switch c.Kind {
		case store.Text:
			text := []string{"", "é√", "a\"b", "line\nbreak", "\\x41"}[r.IntN(5)] + fmt.Sprint(n)
			if anyBytes && i >= len(t.Key) && r.IntN(4) == 0 {
				text += "\x00\xff"
			}
			row = append(row, text)
		case store.Bytes:
			b := []byte{byte(r.IntN(256)), 0, byte(n >> 8), byte(n)}
			if i >= len(t.Key) && r.IntN(4) == 0 && c.Name != "person" && c.Name != "hash" {
				b = []byte{}
			}
			row = append(row, b)
		case store.Int:
			number := int64(r.IntN(30_000)) - 100
			if i < len(t.Key) {
				number = int64(n)
			}
			row = append(row, number)
		case store.Bool:
			row = append(row, r.IntN(2) == 0)
		}
	}
	return row
}

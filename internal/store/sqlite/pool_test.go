package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

func testPool(t testing.TB, most int) *pool {
	t.Helper()
	p, err := openPool(dsn(filepath.Join(t.TempDir(), "pool.db"), "_txlock=immediate", 1<<10, 0), most)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.db.Exec(`CREATE TABLE numbers (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	insertNumber = `INSERT INTO numbers (n) VALUES (?)`
	sumOfNumbers = `SELECT coalesce(sum(n), 0) FROM numbers`
)

func (p *pool) sum(t testing.TB) (n int) {
	t.Helper()
	if err := p.QueryRowContext(t.Context(), sumOfNumbers).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func insert(ctx context.Context, n int) func(*transaction) error {
	return func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, insertNumber, n)
		return err
	}
}

// A transaction that fails, panics or is given up leaves nothing, and the same
// statement works in the next.
func TestTransactionsOfAPool(t *testing.T) {
	t.Parallel()
	p := testPool(t, 1)
	for round := range 3 { // with a statement of its own, then with the kept one
		given, give := context.WithCancel(t.Context())
		fault := errors.New("a fault")
		if err := p.inTx(t.Context(), func(tx *transaction) error {
			if err := insert(t.Context(), 100)(tx); err != nil {
				t.Error(err)
			}
			return fault
		}); !errors.Is(err, fault) {
			t.Errorf("a fault is told as %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = p.inTx(t.Context(), func(tx *transaction) error {
				if err := insert(t.Context(), 100)(tx); err != nil {
					t.Error(err)
				}
				panic("on the way")
			})
		}()
		if err := p.inTx(given, func(tx *transaction) error {
			err := insert(given, 100)(tx)
			give()
			return err
		}); !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("what was given up is told as %v", err)
		}
		if err := p.inTx(t.Context(), insert(t.Context(), 1)); err != nil {
			t.Fatal(err)
		}
		if n := p.sum(t); n != round+1 {
			t.Fatalf("after round %d the sum is %d", round, n)
		}
	}
	if p.statement(insertNumber) == nil {
		t.Error("what transactions run again and again is not kept")
	}
}

// However many texts are run, only so many are kept, and the others work.
func TestAPoolKeepsSoManyStatements(t *testing.T) {
	t.Parallel()
	p := testPool(t, 2)
	for n := range mostKept + 20 {
		var got int
		if err := p.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d", n)).Scan(&got); err != nil || got != n {
			t.Fatalf("%d: %d, %v", n, got, err)
		}
	}
	if len(p.kept) != mostKept {
		t.Errorf("%d are kept", len(p.kept))
	}
	if err := p.QueryRowContext(t.Context(), "SELECT nothing FROM nowhere").Scan(new(int)); err == nil {
		t.Error("a text that cannot be prepared is not refused")
	}
}

// Rows that are read hold connections; others who prepare the same meanwhile
// wait for one, and nobody waits for ever.
func TestAPoolIsSharedByMany(t *testing.T) {
	t.Parallel()
	p := testPool(t, 2)
	for range 20 {
		if err := p.inTx(t.Context(), insert(t.Context(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			some := func(n int) {
				rows, err := p.QueryContext(t.Context(), fmt.Sprintf("SELECT n + %d FROM numbers", n))
				if err != nil {
					t.Error(err)
					return
				}
				defer rows.Close()
				read := 0
				for rows.Next() {
					read++
				}
				if err := rows.Err(); err != nil || read != 20 {
					t.Errorf("%d rows, %v", read, err)
				}
			}
			for n := range 50 {
				some(n)
			}
		})
	}
	wg.Wait()
}

// BenchmarkStatements looks for the next delivery, and into an inbox, with the
// statement that is kept, and with one that is prepared each time.
func BenchmarkStatements(b *testing.B) {
	e, err := Open(b.Context(), b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	for name, q := range map[string]struct {
		text string
		args []any
	}{
		"next delivery": {selectDeliveries + nextDue, []any{"acme", "i", "actito", 0, 10}},
		"inbox":         {laneEndsSQL, []any{"acme", 0}},
	} {
		for way, r := range map[string]reader{"kept": e.read, "prepared each time": e.read.db} {
			b.Run(name+", "+way, func(b *testing.B) {
				for b.Loop() {
					rows, err := r.QueryContext(b.Context(), q.text, q.args...)
					if err != nil {
						b.Fatal(err)
					}
					for rows.Next() {
					}
					if err := errors.Join(rows.Err(), rows.Close()); err != nil { //nolint:sqlclosecheck // of each round, not of all
						b.Fatal(err)
					}
				}
			})
		}
	}
}

package sqlite

import (
	"context"
	"database/sql"
)

// querier is a transaction, or one that keeps its statements.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// keeping is a transaction in which the same statements run for many rows: each
// is prepared once, for to prepare it takes longer than to run it.
type keeping struct {
	tx         *sql.Tx
	statements map[string]*sql.Stmt
}

func keep(tx *sql.Tx) *keeping { return &keeping{tx, make(map[string]*sql.Stmt)} }

// prepared gives a statement, which ends with the transaction.
func (k *keeping) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := k.statements[query]; s != nil {
		return s, nil
	}
	s, err := k.tx.PrepareContext(ctx, query)
	if err == nil {
		k.statements[query] = s
	}
	return s, err
}

func (k *keeping) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := k.prepared(ctx, query) //nolint:sqlclosecheck // it ends with the transaction
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (k *keeping) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := k.prepared(ctx, query) //nolint:sqlclosecheck // it ends with the transaction
	if err != nil {
		return k.tx.QueryRowContext(ctx, query, args...) // fails alike, and a row can tell it
	}
	return s.QueryRowContext(ctx, args...)
}

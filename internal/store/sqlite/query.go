package sqlite

import (
	"context"
	"database/sql"

	"consentsync/internal/store"
)

// reader is a transaction or the connections for reading.
type reader interface {
	QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// query reads rows.
func query[T any](ctx context.Context, r reader, scan func(store.Row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := r.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		found = append(found, x)
	}
	return found, classify(rows.Err())
}

// one reads the first row; ok is false if there is none.
func one[T any](ctx context.Context, r reader, scan func(store.Row) (T, error), text string, args ...any) (found T, ok bool, err error) {
	all, err := query(ctx, r, scan, text, args...)
	if err != nil || len(all) == 0 {
		return found, false, err
	}
	return all[0], true, nil
}

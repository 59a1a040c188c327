package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"consentsync/internal/store"
)

// What consentsync copy needs of an engine; store/transfer says what the parts
// of it are for.

// Idle tells that nobody else uses the database: the lock on the directory sees
// to it.
func (e *Engine) Idle(context.Context) error { return nil }

// CountRows counts the rows of a table.
func (e *Engine) CountRows(ctx context.Context, t *store.Table) (n int64, err error) {
	err = e.read.QueryRowContext(ctx, `SELECT count(*) FROM `+t.Name).Scan(&n)
	return n, err
}

// ReadRows reads rows in an order of the engine's own, which stays the same, from after
// the one with a key; nil is the beginning. It gives at most limit of them, and none at the end.
func (e *Engine) ReadRows(ctx context.Context, t *store.Table, after []any, limit int) ([]store.CopyRow, error) {
	columns := t.Columns()
	rows, err := e.read.QueryContext(ctx, readRowsSQL(t, after != nil), append(slices.Clip(after), limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []store.CopyRow
	for size := 0; size < store.CopyPageBytes && rows.Next(); {
		row, into := make(store.CopyRow, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, c := range columns {
			if row[i], err = fromSQLite(row[i], c.Kind); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
			}
		}
		page, size = append(page, row), size+row.Size()
	}
	return page, rows.Err()
}

// placeholders are ?1 to ?n.
func placeholders(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("?%d", i+1))
	}
	return strings.Join(list, ", ")
}

func readRowsSQL(t *store.Table, after bool) string {
	order, query, limit := orderOf(t), `SELECT `+store.Names(t.Columns())+` FROM `+t.Name, 1
	if after {
		query += ` WHERE (` + order.names + `) > (` + order.after + `)`
		limit += len(t.Key)
	}
	return fmt.Sprintf("%s ORDER BY %s LIMIT ?%d", query, order.names, limit)
}

// copyOrder is the order in which the rows of a table are read: its primary key as it
// is here, and what that is in the row whose key, as store.Table has it, are the
// arguments. That row has to be there.
type copyOrder struct{ names, after string }

func orderOf(t *store.Table) copyOrder {
	if t.Name == "ledger" {
		return copyOrder{
			names: `organization, slice, entity, content`,
			after: `?1, (SELECT max(l.slice) FROM (` + slicesSQL + `) s CROSS JOIN ledger l ON l.organization = ?1 AND l.slice = s.slice AND l.entity = ?2 AND l.content = ?3), ?2, ?3`,
		}
	}
	return copyOrder{store.Names(t.Key), placeholders(len(t.Key))}
}

// fromSQLite gives a value the type that its kind has in a row.
func fromSQLite(v any, kind store.Kind) (any, error) {
	switch v := v.(type) {
	case int64:
		switch kind {
		case store.Int:
			return v, nil
		case store.Bool:
			return v != 0, nil
		}
	case string:
		if kind == store.Text {
			return v, nil
		}
	case []byte:
		switch kind {
		case store.Bytes:
			return blob(v), nil
		case store.Text:
			return string(v), nil
		}
	case nil: // how the driver gives an empty blob
		switch kind {
		case store.Bytes:
			return []byte{}, nil
		case store.Text:
			return "", nil
		}
	}
	return nil, fmt.Errorf("a value of type %T where kind %d was expected", v, kind)
}

// CopyState tells how far a copy into the database is; nil if there is no
// unfinished one.
func (e *Engine) CopyState(ctx context.Context) (*store.CopyState, error) {
	return copyState(ctx, e.write.db)
}

func copyState(ctx context.Context, db *sql.DB) (*store.CopyState, error) {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)`, store.CopyMark).Scan(&there); err != nil || !there {
		return nil, err
	}
	var s store.CopyState
	err := db.QueryRowContext(ctx, `SELECT source, at_table, after_key, copied FROM `+store.CopyMark).Scan(&s.Source, &s.Table, &s.After, &s.Rows)
	return &s, err
}

// BeginCopy marks the database as an unfinished copy. It fails if there is
// anything in it.
func (e *Engine) BeginCopy(ctx context.Context, source string) error {
	return e.inTx(ctx, func(tx *transaction) error {
		for i := range store.Tables {
			var any bool
			if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+store.Tables[i].Name+`)`).Scan(&any); err != nil {
				return err
			}
			if any {
				return fmt.Errorf("the table %s is not empty, and a copy needs an empty database", store.Tables[i].Name)
			}
		}
		if _, err := tx.ExecContext(ctx, `CREATE TABLE `+store.CopyMark+` (source TEXT NOT NULL, at_table TEXT NOT NULL, after_key BLOB NOT NULL, copied INTEGER NOT NULL) STRICT`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO `+store.CopyMark+` VALUES (?, '', x'', 0)`, source)
		return err
	})
}

// WriteRows adds rows to a table and notes how far the copy is, in one
// transaction.
func (e *Engine) WriteRows(ctx context.Context, t *store.Table, rows []store.CopyRow, s store.CopyState) error {
	return e.inTx(ctx, func(tx *transaction) error {
		insert, err := insertion(ctx, tx, t)
		if err != nil {
			return err
		}
		defer insert.Close() //nolint:errcheck // it ends with the transaction
		for _, row := range rows {
			if _, err := insert.ExecContext(ctx, row...); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE `+store.CopyMark+` SET at_table = ?, after_key = ?, copied = ?`, s.Table, blob(s.After), s.Rows)
		return err
	})
}

// insertion prepares the statement that adds a row of t. A text may stand in a
// column of bytes, which do not take it as it is.
func insertion(ctx context.Context, tx *transaction, t *store.Table) (*sql.Stmt, error) {
	columns := t.Columns()
	values := make([]string, len(columns))
	for i, c := range columns {
		values[i] = "?"
		if c.Kind != store.Text {
			continue
		}
		var bytes bool
		if err := tx.QueryRowContext(ctx, `SELECT type = 'BLOB' FROM pragma_table_info(?) WHERE name = ?`, t.Name, c.Name).Scan(&bytes); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
		}
		if bytes {
			values[i] = "CAST(? AS BLOB)"
		}
	}
	names := store.Names(columns)
	if t.Name == "ledger" { // of which the slice is not copied
		person := slices.Index(columns, store.Column{Name: "person", Kind: store.Bytes})
		names, values = names+", slice", append(values, fmt.Sprintf("substr(?%d, 1, 1)", person+1))
	}
	return tx.once.PrepareContext(ctx, `INSERT INTO `+t.Name+` (`+names+`) VALUES (`+strings.Join(values, ", ")+`)`)
}

// EndCopy makes the copy one that a server can start on.
func (e *Engine) EndCopy(ctx context.Context) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `DROP TABLE `+store.CopyMark)
		return err
	})
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consentsync/internal/store"
)

// What consentsync copy needs of an engine; store/transfer says what the parts
// of it are for.

// copyLock is the advisory lock of whoever copies a database: "copying". It is
// held by a connection of its own, so that it goes with the process.
const copyLock = 0x636f7079696e67

// copyPatience is how long it is waited for the lock: the server takes a moment
// to notice that a process was killed.
const copyPatience = 5 * time.Second

// keepOut keeps nodes and other copies out of the database until the engine is
// closed.
func (e *Engine) keepOut(ctx context.Context) (err error) {
	if e.copying, err = e.pool.Acquire(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(copyPatience); ; {
		var alone bool
		if err := e.copying.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(copyLock)).Scan(&alone); err != nil || alone {
			return err
		}
		if time.Now().After(end) {
			return errors.New("another consentsync copy uses the database")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// notCopied refuses a database that is being copied, or that a copy into it has
// left unfinished.
func (e *Engine) notCopied(ctx context.Context) error {
	var free bool // the lock is given back at the end of the statement
	if err := e.pool.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock_shared($1)`, int64(copyLock)).Scan(&free); err != nil {
		return err
	}
	if !free {
		return errors.New("a consentsync copy uses the database: wait until it has ended")
	}
	s, err := e.CopyState(ctx)
	if err == nil && s != nil {
		err = store.ErrUnfinishedCopy
	}
	return err
}

// Idle fails while nodes run on the database. It waits until those are forgotten
// that are gone, or that ran on the database of which this one is a copy.
func (e *Engine) Idle(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(store.LeaseLife + time.Second); ; {
		now, err := e.Now(ctx)
		if err != nil {
			return err
		}
		var nodes int
		if err := e.pool.QueryRow(ctx, `SELECT count(*) FROM nodes WHERE seen_at > $1`, int64(now.Add(-store.LeaseLife))).Scan(&nodes); err != nil || nodes == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("nodes run on the database (%d): stop every consentsync serve that uses it", nodes)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// CountRows counts the rows of a table.
func (e *Engine) CountRows(ctx context.Context, t *store.Table) (n int64, err error) {
	err = e.pool.QueryRow(ctx, `SELECT count(*) FROM `+t.Name).Scan(&n)
	return n, err
}

// ReadRows reads rows in the order of their keys, from after a key; nil is the
// beginning. It gives at most limit of them, and none at the end.
func (e *Engine) ReadRows(ctx context.Context, t *store.Table, after []any, limit int) ([]store.CopyRow, error) {
	columns := t.Columns()
	text := `SELECT ` + store.Names(columns) + ` FROM ` + t.Name
	if after != nil {
		text += ` WHERE (` + store.Names(t.Key) + `) > (` + placeholders(len(t.Key)) + `)`
	}
	rows, err := e.pool.Query(ctx, text+` ORDER BY `+store.Names(t.Key)+` LIMIT `+strconv.Itoa(limit), after...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []store.CopyRow
	for size := 0; size < store.CopyPageBytes && rows.Next(); {
		values, err := rows.Values()
		if err != nil {
			return nil, err
		}
		for i, c := range columns {
			if values[i], err = fromPostgres(values[i], c.Kind); err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.Name, c.Name, err)
			}
		}
		page, size = append(page, values), size+store.CopyRow(values).Size()
	}
	rows.Close() // of a page that is full by its size there may be more
	return page, rows.Err()
}

func placeholders(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(list, ", ")
}

// fromPostgres gives a value the type that its kind has in a row.
func fromPostgres(v any, kind store.Kind) (any, error) {
	switch n := v.(type) {
	case int16:
		v = int64(n)
	case int32:
		v = int64(n)
	}
	ok := false
	switch kind {
	case store.Text:
		_, ok = v.(string)
	case store.Bytes:
		_, ok = v.([]byte)
	case store.Int:
		_, ok = v.(int64)
	case store.Bool:
		_, ok = v.(bool)
	}
	if !ok {
		return nil, fmt.Errorf("a value of type %T where kind %d was expected", v, kind)
	}
	return v, nil
}

// CopyState tells how far a copy into the database is; nil if there is no
// unfinished one.
func (e *Engine) CopyState(ctx context.Context) (*store.CopyState, error) {
	var there bool
	if err := e.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, store.CopyMark).Scan(&there); err != nil || !there {
		return nil, err
	}
	var s store.CopyState
	err := e.pool.QueryRow(ctx, `SELECT source, at_table, after_key, copied FROM `+store.CopyMark).Scan(&s.Source, &s.Table, &s.After, &s.Rows)
	return &s, err
}

// BeginCopy marks the database as an unfinished copy. It fails if there is
// anything in it.
func (e *Engine) BeginCopy(ctx context.Context, source string) error {
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		for i := range store.Tables {
			var any bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM `+store.Tables[i].Name+`)`).Scan(&any); err != nil {
				return err
			}
			if any {
				return fmt.Errorf("the table %s is not empty, and a copy needs an empty database", store.Tables[i].Name)
			}
		}
		var b pgx.Batch
		b.Queue(`CREATE TABLE ` + store.CopyMark + ` (source text NOT NULL, at_table text NOT NULL, after_key bytea NOT NULL, copied bigint NOT NULL)`)
		b.Queue(needsRestored)
		if err := tx.run(ctx, &b); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO `+store.CopyMark+` VALUES ($1, '', '', 0)`, source)
		return err
	})
}

// WriteRows adds rows to a table and notes how far the copy is, in one
// transaction.
func (e *Engine) WriteRows(ctx context.Context, t *store.Table, rows []store.CopyRow, s store.CopyState) error {
	var names []string
	for _, c := range t.Columns() {
		names = append(names, c.Name)
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		// COPY takes the numbers of the inbox as they are.
		if _, err := tx.Conn.Conn().CopyFrom(ctx, pgx.Identifier{t.Name}, names, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i], nil })); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		_, err := tx.Exec(ctx, `UPDATE `+store.CopyMark+` SET at_table = $1, after_key = $2, copied = $3`, s.Table, blob(s.After), s.Rows)
		return err
	})
}

// EndCopy makes the copy one that nodes can start on: what is numbered goes on
// after the highest number.
func (e *Engine) EndCopy(ctx context.Context) error {
	if _, err := e.pool.Exec(ctx, `ANALYZE`); err != nil {
		return err
	}
	return e.inTx(ctx, func(ctx context.Context, tx *tx) error {
		var b pgx.Batch
		b.Queue(`SELECT setval('epochs', greatest((SELECT max(epoch) FROM licences), (SELECT max(epoch) FROM loads), 0) + 1, false)`)
		b.Queue(`SELECT setval(pg_get_serial_sequence('inbox', 'seq'), coalesce((SELECT max(seq) FROM inbox), 0) + 1, false)`)
		b.Queue(`DROP TABLE ` + store.CopyMark)
		return tx.run(ctx, &b)
	})
}

// release gives the lock of keepOut back.
func release(c *pgxpool.Conn) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = c.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(copyLock)) // it goes with the connection anyway
	c.Release()
}

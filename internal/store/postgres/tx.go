package postgres

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// tx is a transaction. now is the database's clock at its beginning.
type tx struct {
	*pgxpool.Conn
	now consent.Time
}

// mostTries bounds how often a transaction is tried that others made
// impossible.
const mostTries = 10

// inTx runs f in a transaction. What goes wrong with the database itself comes
// back as Transient: nothing was changed, and the same again may work. A
// transaction that met another in a deadlock is rolled back and tried again,
// so f must not add to what an earlier try has left in its results.
func (e *Engine) inTx(ctx context.Context, f func(context.Context, *tx) error) error {
	return e.inTxWith(ctx, nil, f)
}

// inTxWith is inTx with statements at the beginning, for which there is no
// round trip of their own.
func (e *Engine) inTxWith(ctx context.Context, first []string, f func(context.Context, *tx) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for n := 1; ; n++ {
		err := e.try(ctx, first, f)
		if n == mostTries || !again(err) {
			return classify(err)
		}
		wait := time.NewTimer(rand.N(time.Millisecond << n)) //nolint:gosec // spreads retries, protects nothing
		select {
		case <-ctx.Done():
			wait.Stop()
			return classify(err)
		case <-wait.C:
		}
	}
}

func (e *Engine) try(ctx context.Context, first []string, f func(context.Context, *tx) error) (err error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// A connection that is given back within a transaction is closed, which
	// rolls it back.
	defer conn.Release()
	t := &tx{Conn: conn}
	if err := e.begin(ctx, t, first); err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			rollback(context.WithoutCancel(ctx), conn)
		}
	}()
	if err := f(ctx, t); err != nil {
		return err
	}
	tag, err := conn.Exec(ctx, "commit")
	ended = err == nil
	if err == nil && tag.String() != "COMMIT" {
		return pgx.ErrTxCommitRollback
	}
	return err
}

// begin starts the transaction and reads the clock in one round trip.
func (e *Engine) begin(ctx context.Context, t *tx, first []string) error {
	var b pgx.Batch
	b.Queue("begin")
	for _, s := range first {
		b.Queue(s)
	}
	if e.now != nil {
		t.now = consent.TimeOf(e.now())
	} else {
		b.Queue(clockSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&t.now) })
	}
	return t.SendBatch(ctx, &b).Close()
}

func rollback(ctx context.Context, conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, "rollback") // a connection that cannot is closed instead
}

// run sends statements without results in one round trip.
func (t *tx) run(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return t.SendBatch(ctx, b).Close()
}

// again tells whether the server rolled a transaction back because of another
// one, so that the same may succeed at once.
func again(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// classify tells faults of the database, which pass, from those of the data,
// which would come again.
func classify(err error) error {
	var known *consent.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg):
		switch pg.Code {
		case "23505":
			return &consent.Error{Kind: consent.Conflict, Op: "postgres", Message: "it is there already", Err: err}
		case "22021", "22P05":
			return &consent.Error{Kind: consent.Invalid, Op: "postgres", Message: "a text in it has a NUL in it, or is not UTF-8: leave that out", Err: err}
		}
		if !passes(pg.Code) {
			return err
		}
	case !unreachable(err):
		return err
	}
	return &consent.Error{Kind: consent.Transient, Op: "postgres", Message: "the database cannot be written now", Err: err, RetryAfter: 5 * time.Second}
}

// passes tells the codes of SQLSTATE that lie in the state of the server.
func passes(code string) bool {
	switch code {
	case "25006", "25P03", "55P03": // read-only, idle for too long, waited too long for a lock
		return true
	}
	// Connections, resources, limits, the operator, the system, other
	// transactions.
	for _, class := range []string{"08", "53", "57", "58", "40"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// unreachable tells whether an error is one of the connection.
func unreachable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// query reads rows outside a transaction.
func query[T any](ctx context.Context, e *Engine, scan pgx.RowToFunc[T], text string, args ...any) ([]T, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	found, err := collect(ctx, e.pool, scan, text, args...)
	return found, classify(err)
}

// querier is a transaction or the pool.
type querier interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}

func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], text string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// scanned reads rows as every engine does.
func scanned[T any](scan func(store.Row) (T, error)) pgx.RowToFunc[T] {
	return func(row pgx.CollectableRow) (T, error) { return scan(row) }
}

// one reads the first row outside a transaction; ok is false if there is none.
func one[T any](ctx context.Context, e *Engine, scan pgx.RowToFunc[T], text string, args ...any) (found T, ok bool, err error) {
	all, err := query(ctx, e, scan, text, args...)
	if err != nil || len(all) == 0 {
		return found, false, err
	}
	return all[0], true, nil
}

// blob keeps an empty value from being written as NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// plain makes a text of any bytes one that PostgreSQL can hold.
func plain(s string) string { return store.PlainText(s) }

package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"consentsync/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the advisory lock of whoever changes the schema: "consent".
const migrationLock = 0x636f6e73656e74

// migrationParams are set on connections that change the schema. A change may
// take long. One that waits for a lock keeps others waiting behind it, so it
// does not wait for long: whoever starts the program tries again.
var migrationParams = map[string]string{"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "10s"}

// migrate brings the schema up to date. Nodes that start at once wait for one
// another; the lock goes with the connection, however the process ends. A
// schema that a newer program has made is used as it is, unless that program
// has said that older ones cannot.
func (e *Engine) migrate(ctx context.Context) (err error) {
	cfg := e.pool.Config().ConnConfig.Copy()
	maps.Copy(cfg.RuntimeParams, migrationParams)
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	guard, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer guard.Close() //nolint:errcheck // db.Close tells
	// Whoever is first may need long.
	if _, err := guard.ExecContext(ctx, `SET lock_timeout = 0`); err != nil {
		return err
	}
	if _, err := guard.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return err
	}
	defer unlock(context.WithoutCancel(ctx), guard)
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	sources := p.ListSources()
	e.knows = sources[len(sources)-1].Version
	is, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if is > e.knows {
		return e.fits(ctx)
	}
	_, err = p.Up(ctx)
	return err
}

// fits tells whether this program can work with a schema that is newer.
func (e *Engine) fits(ctx context.Context) error {
	var oldest int64
	if err := e.pool.QueryRow(ctx, oldestSQL).Scan(&oldest); err != nil {
		return err
	}
	return e.suffices(oldest)
}

// oldestSQL reads which version of the schema a program must know at least.
const oldestSQL = `SELECT oldest FROM compatibility`

func (e *Engine) suffices(oldest int64) error {
	if oldest > e.knows {
		return fmt.Errorf("%w (it needs version %d of the schema, this one knows %d)", store.ErrOutdated, oldest, e.knows)
	}
	return nil
}

func unlock(ctx context.Context, guard *sql.Conn) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = guard.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(migrationLock)) // it goes with the connection anyway
}

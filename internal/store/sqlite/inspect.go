package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"consentsync/internal/store"
)

// ErrNone says that a directory has no database.
var ErrNone = errors.New("there is no database")

// Inspect looks at the database in a directory on which nothing runs, and changes
// nothing of it. The error is ErrInUse where another process has the directory open,
// ErrNone where there is no database.
func Inspect(ctx context.Context, dir string) (i *store.Inspection, err error) {
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, ErrNone
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	db, err := sql.Open("sqlite", dsn(path, "mode=rw", 2<<10, 2*time.Second))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if s, err := copyState(ctx, db); err != nil || s != nil {
		return nil, cmp.Or(err, store.ErrUnfinishedCopy)
	}
	return inspect(ctx, db)
}

// Inspect looks at the open database.
func (e *Engine) Inspect(ctx context.Context) (*store.Inspection, error) {
	return inspect(ctx, e.read.db)
}

func inspect(ctx context.Context, db *sql.DB) (*store.Inspection, error) {
	i := &store.Inspection{Durable: "every write waits until the log is on disk"}
	var version, mode string
	if err := db.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&version); err != nil {
		return nil, err
	}
	i.Engine = "SQLite " + version
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		i.Weak = append(i.Weak, fmt.Sprintf("the journal mode is %s, not wal", mode))
	}
	p, err := migrator(db)
	if err != nil {
		return nil, err
	}
	sources := p.ListSources()
	i.Newest = sources[len(sources)-1].Version
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'goose_db_version')`).Scan(&there); err != nil || !there {
		return i, err
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&i.Schema); err != nil {
		return nil, err
	}
	i.Needs = i.Schema // there is one process, so that no older one may work with it
	return i, nil
}

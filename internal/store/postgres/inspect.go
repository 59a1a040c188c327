package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

// Inspect looks at the database at an address, beside whoever works with it, and
// changes nothing. A server that can only be read is looked at too.
func Inspect(ctx context.Context, address string) (i *store.Inspection, err error) {
	cfg, err := configure(address)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.ValidateConnect = nil
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return inspect(ctx, conn)
}

// Inspect looks at the open database.
func (e *Engine) Inspect(ctx context.Context) (*store.Inspection, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return inspect(ctx, e.pool)
}

// asking runs one query.
type asking interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func inspect(ctx context.Context, db asking) (*store.Inspection, error) {
	i := &store.Inspection{}
	var s settings
	var versioned, dated bool
	if err := db.QueryRow(ctx, settingsSQL).Scan(&s.version, &s.shown, &s.encoding, &s.commit, &s.fsync); err != nil {
		return nil, err
	}
	i.Engine = "PostgreSQL " + s.shown
	if err := s.fit(); err != nil {
		return nil, err
	}
	i.Weak = s.weak()
	i.Durable = "fsync is on, and synchronous_commit is " + s.commit
	began := time.Now()
	var clock int64
	if err := db.QueryRow(ctx, clockSQL).Scan(&clock); err != nil {
		return nil, err
	}
	i.ReadAt = time.Now()
	i.Clock, i.Took = consent.Time(clock), i.ReadAt.Sub(began)
	if err := db.QueryRow(ctx, `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
		to_regclass('goose_db_version') IS NOT NULL, to_regclass('compatibility') IS NOT NULL`).Scan(&i.ReadOnly, &versioned, &dated); err != nil {
		return nil, err
	}
	newest, err := newest()
	if err != nil {
		return nil, err
	}
	i.Newest = newest
	if versioned {
		if err := db.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&i.Schema); err != nil {
			return nil, err
		}
	}
	if dated {
		if err := db.QueryRow(ctx, oldestSQL).Scan(&i.Needs); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// newest gives the newest version of the schema that this program knows.
func newest() (n int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		v, failed := strconv.ParseInt(number, 10, 64)
		if failed != nil {
			return 0, fmt.Errorf("migration %s: %w", file, failed)
		}
		n = max(n, v)
	}
	return n, err
}

// settings are those of a server that matter here.
type settings struct {
	version                        int
	shown, encoding, commit, fsync string
}

const settingsSQL = `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
	current_setting('server_encoding'), current_setting('synchronous_commit'), current_setting('fsync')`

// fit refuses a server that cannot do.
func (s *settings) fit() error {
	if s.version < oldest {
		return fmt.Errorf("the server is PostgreSQL %s; 13 or newer is needed", s.shown)
	}
	if s.encoding != "UTF8" {
		return fmt.Errorf("the database has the encoding %s; make one with ENCODING 'UTF8'", s.encoding)
	}
	return nil
}

// weak tells what of the server's settings weakens what is promised.
func (s *settings) weak() (all []string) {
	if s.commit == "off" {
		all = append(all, "synchronous_commit is off: a crash of the database server loses webhooks that were acknowledged; set it to on for this database or role")
	}
	if s.fsync == "off" {
		all = append(all, "fsync is off: a crash of the database's machine loses webhooks that were acknowledged, and perhaps the database")
	}
	return all
}

package app

import (
	"context"
	"errors"
	"fmt"

	"consentsync/internal/auth"
	"consentsync/internal/store/postgres"
	"consentsync/internal/store/sqlite"
)

// RestoreConfig says what is brought back where.
type RestoreConfig struct {
	// File is a backup; empty for a database that was brought back by other
	// means and is only to be marked.
	File string
	// Data is the data directory, Database the PostgreSQL address instead.
	Data, Database string
	MasterKey      string
}

// Validate names the flag that cannot be used, and what to do.
func (c *RestoreConfig) Validate() error {
	switch {
	case c.Data == "" && c.Database == "":
		return errors.New("--data: say into which directory the backup goes; or with --database which PostgreSQL database was restored")
	case c.Data != "" && c.Database != "":
		return errors.New("--database: stands for itself; leave out --data")
	case c.File != "" && c.Database != "":
		return errors.New("--from: is for a data directory. Restore a PostgreSQL database with pg_restore, and then run consentsync restore with --database alone")
	case c.Database != "" && !isAddress(c.Database):
		return errors.New("--database: must be a PostgreSQL address (postgres://...)")
	}
	return nil
}

// Restored is what a restore has done.
type Restored struct {
	Contents sqlite.Contents // of the backup; empty if there was none
	Paused   int             // integrations
	// Opened tells that there was a master key, and that it opens the database.
	Opened bool
}

// Restore brings a backup back, or marks a database that was brought back by
// other means: every integration is paused, and what it knows counts as
// outdated. Where the master key is known it has to open the database.
func Restore(ctx context.Context, c RestoreConfig) (r Restored, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	check := func(ctx context.Context, keys auth.KeyStore) error {
		masters, found, err := masterKeys(ctx, c.MasterKey, c.Data)
		if err != nil || !found {
			return err
		}
		r.Opened = true
		return opens(ctx, keys, masters)
	}
	if c.File != "" {
		r.Contents, r.Paused, err = sqlite.Restore(ctx, c.File, c.Data, func(ctx context.Context, e *sqlite.Engine) error { return check(ctx, e) })
		return r, err
	}
	e, err := openToMark(ctx, c)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := check(ctx, e); err != nil {
		return r, err
	}
	if err := e.Idle(ctx); err != nil {
		return r, err
	}
	r.Paused, err = e.MarkRestored(ctx)
	return r, err
}

// markable is an engine whose database may have been brought back.
type markable interface {
	auth.KeyStore
	Idle(ctx context.Context) error
	MarkRestored(ctx context.Context) (int, error)
	Close() error
}

func openToMark(ctx context.Context, c RestoreConfig) (markable, error) {
	if c.Database != "" {
		return postgres.Open(ctx, c.Database, postgres.Options{})
	}
	if err := hasDatabase(c.Data); err != nil {
		return nil, fmt.Errorf("--data: %w; give the backup with --from", err)
	}
	return sqlite.Open(ctx, c.Data, sqlite.Options{})
}

// Backup writes a backup of the data directory into a new file; see
// sqlite.Backup.
func Backup(ctx context.Context, dir, file string) (sqlite.Contents, error) {
	return sqlite.Backup(ctx, dir, file)
}

// Compact writes the database of a data directory anew; see sqlite.Compact.
func Compact(ctx context.Context, dir string) (before, after int64, err error) {
	return sqlite.Compact(ctx, dir)
}

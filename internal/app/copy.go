package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"consentsync/internal/auth"
	"consentsync/internal/store/postgres"
	"consentsync/internal/store/sqlite"
	"consentsync/internal/store/transfer"
)

// CopyConfig says what is copied where: one end is a data directory, the other
// a PostgreSQL address.
type CopyConfig struct {
	From, To string
	// MasterKey opens the database; when empty it is read from the directory.
	MasterKey string
	Report    func(transfer.Progress)
}

// Validate names the flag that cannot be used, and what to do.
func (c *CopyConfig) Validate() error {
	switch {
	case c.From == "":
		return errors.New("--from: say what is to be copied: a data directory, or a PostgreSQL address (postgres://...)")
	case c.To == "":
		return errors.New("--to: say where it is to be copied: a PostgreSQL address (postgres://...), or a data directory")
	case isAddress(c.From) && isAddress(c.To):
		return errors.New("--to: must be a data directory when --from is a PostgreSQL address; between two PostgreSQL servers use pg_dump and pg_restore")
	case !isAddress(c.From) && !isAddress(c.To):
		return errors.New("--to: must be a PostgreSQL address (postgres://...) when --from is a data directory; to copy a data directory into another use consentsync backup and consentsync restore")
	}
	return nil
}

// Directory is the end that is a data directory.
func (c *CopyConfig) Directory() string {
	if isAddress(c.From) {
		return c.To
	}
	return c.From
}

func isAddress(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// database is an end of a copy.
type database interface {
	transfer.Database
	auth.KeyStore
	Close() error
}

// Copy copies an installation from one engine to the other. It makes sure that
// the master key opens the source, and what has arrived in the target.
func Copy(ctx context.Context, c CopyConfig) (_ *transfer.Result, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	masters, found, err := masterKeys(ctx, c.MasterKey, c.Directory())
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("there is no master key to check with that the copy can be opened: set CONSENTSYNC_MASTER_KEY to the one that the source was made with, or put it into %s",
			filepath.Join(c.Directory(), "master-key"))
	}
	if !isAddress(c.From) {
		if err := hasDatabase(c.From); err != nil {
			return nil, fmt.Errorf("--from: %w", err)
		}
	}
	from, err := openForCopy(ctx, "--from", c.From)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := opens(ctx, from, masters); err != nil && !errors.Is(err, errNoKeys) { // what is empty is refused below
		return nil, fmt.Errorf("--from: %w", err)
	}
	to, err := openForCopy(ctx, "--to", c.To)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	result, err := transfer.Copy(ctx, from, to, transfer.Options{Report: c.Report})
	if err != nil {
		return nil, err
	}
	if err := opens(ctx, to, masters); err != nil {
		return nil, fmt.Errorf("--to: what was copied cannot be opened: %w", err)
	}
	return result, nil
}

func openForCopy(ctx context.Context, flag, place string) (database, error) {
	if isAddress(place) {
		return postgres.Open(ctx, place, postgres.Options{Copy: true, Flag: flag})
	}
	e, err := sqlite.Open(ctx, place, sqlite.Options{Copy: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return e, nil
}

// hasDatabase keeps a directory that was mistyped from being made.
func hasDatabase(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "consentsync.db")); err != nil {
		return fmt.Errorf("there is no database in %s: %w", dir, err)
	}
	return nil
}

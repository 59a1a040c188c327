package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Compact writes the database of dir anew, with nothing in it but what it holds.
// Rows that are removed are overwritten at once, but SQLite leaves copies of rows
// behind in the unused part of a page that it divides, until that part is used.
// It takes as much space again meanwhile, and the directory for itself, and brings
// the schema up to date, as every start does.
func Compact(ctx context.Context, dir string) (before, after int64, err error) {
	path := filepath.Join(dir, databaseFile)
	was, err := os.Stat(path)
	if err != nil {
		return 0, 0, fmt.Errorf("there is no database: %w", err)
	}
	e, err := Open(ctx, dir, Options{})
	if err != nil {
		return 0, 0, err
	}
	_, err = e.write.db.ExecContext(ctx, `VACUUM`)
	if err = errors.Join(err, e.Close()); err != nil { // which brings the log into the file, and removes it
		return 0, 0, err
	}
	is, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	return was.Size(), is.Size(), nil
}

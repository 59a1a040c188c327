package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"consentsync/internal/store"
)

// Contents is what a verified database file holds.
type Contents struct {
	Version int64 // of the schema
	Rows    []TableRows
	Bytes   int64
}

// TableRows is how many rows a table has.
type TableRows struct {
	Table string
	Rows  int64
}

// Backup writes what the database in dir holds into a new file, as it is at one
// moment, also while a server runs on it. When Backup has returned without
// error the file is whole, verified and on disk, and only its owner may read
// it. Otherwise there is no file of that name.
func Backup(ctx context.Context, dir, file string) (c Contents, err error) {
	path := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(path); err != nil {
		return c, fmt.Errorf("there is no database in %s: %w", dir, err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return c, errors.Join(fmt.Errorf("%s is there already: give the name of a new file", file), err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".consentsync-backup-*") // mode 0600
	if err != nil {
		return c, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary.Name())
		}
	}()
	defer temporary.Close() //nolint:errcheck // it was synced
	if err := vacuumInto(ctx, path, temporary.Name()); err != nil {
		return c, err
	}
	if err := temporary.Sync(); err != nil {
		return c, err
	}
	if c, err = Verify(ctx, temporary.Name()); err != nil {
		return c, err
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return c, err
	}
	return c, syncDirectory(filepath.Dir(file))
}

// vacuumInto copies a database as one read transaction sees it. Writers go on
// meanwhile: only the log cannot be cut.
func vacuumInto(ctx context.Context, path, file string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "mode=rw", 2<<10, 10*time.Second))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if s, err := copyState(ctx, db); err != nil || s != nil {
		return cmp.Or(err, store.ErrUnfinishedCopy)
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, file)
	return err
}

// Verify reads the whole of a file that Backup has made, and fails unless it is
// sound and this version can use it.
func Verify(ctx context.Context, file string) (c Contents, err error) {
	if err := checkHeader(file); err != nil {
		return c, err
	}
	// Nothing is written beside the file, nor may it change meanwhile.
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=ro&immutable=1")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var said string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&said); err != nil {
		return c, fmt.Errorf("%s cannot be read: %w", file, err)
	}
	if said != "ok" {
		return c, fmt.Errorf("%s is damaged: %s", file, said)
	}
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&c.Version); err != nil {
		return c, fmt.Errorf("%s is no database of consentsync: %w", file, err)
	}
	p, err := migrator(db)
	if err != nil {
		return c, err
	}
	if sources := p.ListSources(); c.Version > sources[len(sources)-1].Version {
		return c, fmt.Errorf("%s has version %d of the schema and was made by a newer consentsync", file, c.Version)
	}
	if c.Rows, err = countAll(ctx, db); err != nil {
		return c, err
	}
	info, err := os.Stat(file)
	if err == nil {
		c.Bytes = info.Size()
	}
	return c, err
}

// countAll counts the rows of the tables that the database has: an older one
// lacks some.
func countAll(ctx context.Context, db *sql.DB) (all []TableRows, err error) {
	for i := range store.Tables {
		n := TableRows{Table: store.Tables[i].Name}
		var there bool
		if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)`, n.Table).Scan(&there); err != nil {
			return nil, err
		}
		if !there {
			continue
		}
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM `+n.Table).Scan(&n.Rows); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

// checkHeader refuses what is no SQLite file, and the bare file of a database
// that was in use: what was in its log is missing. The format is that of
// https://www.sqlite.org/fileformat2.html#the_database_header.
func checkHeader(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	header := make([]byte, 20)
	if _, err := io.ReadFull(f, header); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%s is no backup: it is no SQLite file", file)
	}
	if header[18] == 2 {
		return fmt.Errorf("%s is no backup but the file of a database in use, whose log may be missing: give one that consentsync backup has made", file)
	}
	return nil
}

// restoring is the folder in which a database is made ready, within the data
// directory. Nothing starts on it.
const restoring = ".restoring"

// Restore makes a database of a file that Backup has made, in a directory that
// has none, and marks it as restored. check is asked before it is put in its
// place. It gives how many integrations were paused. After a failure or a crash
// there is no database in the directory.
func Restore(ctx context.Context, file, dir string, check func(context.Context, *Engine) error) (c Contents, paused int, err error) {
	if c, err = Verify(ctx, file); err != nil {
		return c, 0, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return c, 0, err
	}
	lock, err := lockDirectory(dir)
	if err != nil {
		return c, 0, err
	}
	defer lock.Close() //nolint:errcheck // it holds nothing
	if err := mustBeEmpty(dir); err != nil {
		return c, 0, err
	}
	folder := filepath.Join(dir, restoring)
	if err := os.RemoveAll(folder); err != nil {
		return c, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := os.Mkdir(folder, 0o700); err != nil {
		return c, 0, err
	}
	if err := copyFile(file, filepath.Join(folder, databaseFile)); err != nil {
		return c, 0, err
	}
	if paused, err = prepare(ctx, folder, check); err != nil {
		return c, 0, err
	}
	if err := os.Rename(filepath.Join(folder, databaseFile), filepath.Join(dir, databaseFile)); err != nil {
		return c, 0, err
	}
	return c, paused, syncDirectory(dir)
}

// prepare brings a restored database up to date and marks it.
func prepare(ctx context.Context, folder string, check func(context.Context, *Engine) error) (paused int, err error) {
	e, err := Open(ctx, folder, Options{})
	if err != nil {
		return 0, err
	}
	paused, err = e.MarkRestored(ctx)
	if err == nil {
		err = check(ctx, e)
	}
	// With the last connection the log goes into the file, which is synced.
	if err := errors.Join(err, e.Close()); err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(folder, databaseFile+"-wal")); !errors.Is(err, os.ErrNotExist) {
		return 0, errors.Join(errors.New("the restored database could not be closed: its log is still there"), err)
	}
	return paused, nil
}

// mayStay are the files of a data directory that are no database.
var mayStay = []string{"lock", "master-key", "admin-token", restoring}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var others []string
	for _, e := range entries {
		if !slices.Contains(mayStay, e.Name()) {
			others = append(others, e.Name())
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("%s is not empty (%s): give an empty directory, or one with nothing but master-key and admin-token", dir, strings.Join(others, ", "))
	}
	return nil
}

// copyFile copies a file, to be read by its owner alone, onto the disk.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it is only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// syncDirectory puts the names in a directory on disk.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

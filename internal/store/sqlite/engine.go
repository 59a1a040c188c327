// Package sqlite is the store on one SQLite file, for one node.
//
// A method that has returned without error has its effect on disk, so that it
// survives a crash of the process and of the machine: the database runs in WAL
// mode, and every write but Merge waits for a sync of the log; see syncer. All
// writes go through one connection. The data directory is locked against a
// second process.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"
	msqlite "modernc.org/sqlite" // registers the driver "sqlite"

	"consentsync/internal/consent"
	"consentsync/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// databaseFile is the database within the data directory.
const databaseFile = "consentsync.db"

// Engine is an open database. It is safe for concurrent use.
type Engine struct {
	dir   string
	lock  *os.File
	write *pool // one connection
	read  *pool
	// checkpoint has a connection of its own: a checkpoint runs beside writers.
	checkpoint *pool
	commits    atomic.Int64 // that were tried, and at first one, which a crash may have left
	moved      int64        // commits that the database holds; only moveLog uses it
	hasher     *store.Hasher
	now        func() time.Time

	mu    sync.Mutex              // serializes writers ahead of the driver's own wait, and guards seq and seen
	seq   int64                   // the last in the inbox
	seen  map[string]consent.Time // when nodes last acquired leases
	alone sync.Mutex
	sync  *syncer
}

// Options are what Open needs besides the directory.
type Options struct {
	// Now is the database's clock; nil is the system's.
	Now func() time.Time
	// BusyTimeout is how long a write waits while another process, such as an
	// operator's tool, holds the database; zero is 2 s.
	BusyTimeout time.Duration
	// Copy opens a database for consentsync copy, though a copy into it be
	// unfinished.
	Copy bool
	// Synced is told of each sync of the write-ahead log: how long it took, and how
	// many transactions waited for it. It may be called by several goroutines, and
	// must not block. Nil for nobody.
	Synced func(took time.Duration, transactions int)
}

// Open opens the database in dir, making both where needed and bringing the
// schema up to date. It fails when another process has the directory open.
func Open(ctx context.Context, dir string, opts Options) (_ *Engine, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	e := &Engine{dir: dir, now: opts.Now, seen: make(map[string]consent.Time)}
	e.commits.Store(1)
	if e.now == nil {
		e.now = time.Now
	}
	if opts.Synced == nil {
		opts.Synced = func(time.Duration, int) {}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	if e.lock, err = lockDirectory(dir); err != nil {
		return nil, err
	}
	// fdatasync makes a commit as durable as fsync does, without the journal of
	// the file system having to take its time stamp. Where there is none, fsync
	// stays.
	_, _ = msqlite.Fdatasync(true)
	path := filepath.Join(dir, databaseFile)
	if err := private(path); err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	busy := cmp.Or(opts.BusyTimeout, 2*time.Second)
	if e.write, err = openPool(dsn(path, "_txlock=immediate", 40<<10, busy), 1); err != nil {
		return nil, err
	}
	if s, err := copyState(ctx, e.write.db); err != nil || s != nil && !opts.Copy {
		return nil, fmt.Errorf("database %s: %w", path, cmp.Or(err, store.ErrUnfinishedCopy))
	}
	if err := e.migrate(ctx); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	// So that the upper pages of the index of a million people fit into it.
	if e.read, err = openPool(dsn(path, "mode=ro", 6<<10, busy), 4); err != nil {
		return nil, err
	}
	if e.checkpoint, err = openPool(dsn(path, "mode=rw", 1<<10, busy), 1); err != nil {
		return nil, err
	}
	// There is one node: whoever held a lease is dead.
	if _, err := e.write.db.ExecContext(ctx, "UPDATE licences SET expires_at = 0"); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	if e.seq, err = e.lastSeq(ctx); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	if e.sync, err = newSyncer(path+"-wal", opts.Synced); err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	return e, nil
}

// dsn sets what every connection needs; cacheKiB bounds its page cache, for
// which the allocator takes twice as much.
func dsn(path, mode string, cacheKiB int, busy time.Duration) string {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB), "temp_store(MEMORY)",
		// What is deleted or written anew is overwritten: an erasure would
		// otherwise leave what an update or the inbox has left before.
		"secure_delete(1)",
		// The background does it sooner; this bounds the log if it cannot. The
		// file keeps that size: to cut it and have it grow again costs each sync
		// an update of the file system's journal.
		"wal_autocheckpoint(50000)", "journal_size_limit(268435456)",
	}
	// The path stands in a URI, where ?, # and % mean something.
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + mode + "&_pragma=" + strings.Join(pragmas, "&_pragma=")
}

func (e *Engine) migrate(ctx context.Context) error {
	p, err := migrator(e.write.db)
	if err != nil {
		return err
	}
	is, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if sources := p.ListSources(); is > sources[len(sources)-1].Version {
		return fmt.Errorf("it has version %d of the schema and was made by a newer consentsync", is)
	}
	_, err = p.Up(ctx)
	return err
}

func migrator(db *sql.DB) (*goose.Provider, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, sub, goose.WithLogger(goose.NopLogger()))
}

// private makes the file of a new database, which only its owner may read; the
// files that SQLite makes beside it are as it is.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// ErrInUse says that another process has the directory open.
var ErrInUse = errors.New("in use by another consentsync process")

// lockDirectory takes the directory for this process alone. The lock goes with
// the process, however it ends.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data directory %s is %w", dir, ErrInUse)
	}
	return f, nil
}

// Close releases the database and the directory.
func (e *Engine) Close() error {
	var errs []error
	for _, p := range []*pool{e.checkpoint, e.read, e.write} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if e.sync != nil {
		errs = append(errs, e.sync.close())
	}
	if e.lock != nil {
		errs = append(errs, e.lock.Close())
	}
	return errors.Join(errs...)
}

// UseHasher sets the keyed hash under which people and messages are stored. It
// is called once, before anything else is asked of the engine.
func (e *Engine) UseHasher(h *store.Hasher) { e.hasher = h }

// Now gives the database's clock, which on SQLite is the machine's.
func (e *Engine) Now(context.Context) (consent.Time, error) { return consent.TimeOf(e.now()), nil }

// Ping tells whether the database can be written: it writes a little, so that
// a full disk shows.
func (e *Engine) Ping(ctx context.Context) error {
	return e.inTx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE pings SET at = ?`, int64(consent.TimeOf(e.now())))
		return err
	})
}

// inTx runs f in the one write transaction. What goes wrong with the database
// itself (full disk, locked, read-only) comes back as Transient: nothing was
// changed, and the same again may work.
func (e *Engine) inTx(ctx context.Context, f func(*transaction) error) error {
	if err := e.commit(ctx, f); err != nil {
		return err
	}
	if err := e.sync.wait(); err != nil {
		return &consent.Error{Kind: consent.Transient, Op: "sqlite", Message: "the database cannot be written now", Err: err, RetryAfter: 5 * time.Second}
	}
	return nil
}

// commit runs f in a transaction that is not durable yet.
func (e *Engine) commit(ctx context.Context, f func(*transaction) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.commits.Add(1)
	return classify(e.write.inTx(ctx, f))
}

// Clock is the database's clock, which on SQLite is the machine's.
func (e *Engine) Clock() time.Time { return e.now() }
